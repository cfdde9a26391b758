-- +goose Up
CREATE TABLE node (
    id             TEXT PRIMARY KEY,
    name           TEXT NOT NULL,
    driver         TEXT NOT NULL,
    driver_info    TEXT NOT NULL,
    password       BYTEA,
    boot_mode      TEXT NOT NULL,
    resource_class TEXT NOT NULL,
    zone           TEXT NOT NULL,
    traits         TEXT NOT NULL,
    properties     TEXT NOT NULL,
    extra          TEXT NOT NULL,
    description    TEXT NOT NULL,
    root_hint      TEXT NOT NULL,
    inventory      TEXT,
    identity       TEXT,
    state          TEXT NOT NULL,
    state_at       TIMESTAMPTZ NOT NULL,
    run_id         TEXT NOT NULL,
    last_error     TEXT NOT NULL,
    holds          TEXT NOT NULL,
    owner          TEXT NOT NULL,
    power          TEXT NOT NULL,
    power_at       TIMESTAMPTZ,
    power_target   TEXT NOT NULL,
    power_due      TIMESTAMPTZ NOT NULL,
    boot           TEXT,
    gate           TEXT,
    version        BIGINT NOT NULL,
    created_at     TIMESTAMPTZ NOT NULL,
    updated_at     TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX node_name ON node (name) WHERE name <> '';
CREATE INDEX node_stock ON node (state, resource_class, state_at);
CREATE INDEX node_owner ON node (owner) WHERE owner <> '';
CREATE INDEX node_power_due ON node (power_due);

CREATE TABLE node_port (
    id         TEXT PRIMARY KEY,
    node_id    TEXT NOT NULL REFERENCES node (id) ON DELETE CASCADE,
    mac        TEXT NOT NULL UNIQUE,
    switch     TEXT NOT NULL,
    port       TEXT NOT NULL,
    link       TEXT NOT NULL,
    plane      TEXT NOT NULL,
    pxe        BOOLEAN NOT NULL,
    extra      TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX node_port_node ON node_port (node_id);

CREATE TABLE deployment (
    node_id  TEXT PRIMARY KEY REFERENCES node (id) ON DELETE CASCADE,
    image_id TEXT NOT NULL,
    image    TEXT NOT NULL,
    links    TEXT NOT NULL,
    files    BYTEA,
    written  TEXT
);

CREATE TABLE agent (
    node_id    TEXT PRIMARY KEY REFERENCES node (id) ON DELETE CASCADE,
    run_id     TEXT NOT NULL,
    wanted     BOOLEAN NOT NULL,
    claim      TEXT NOT NULL,
    token      TEXT NOT NULL,
    claimed_at TIMESTAMPTZ,
    seen_at    TIMESTAMPTZ,
    boot_mode  TEXT NOT NULL,
    order_id   TEXT NOT NULL,
    task       TEXT,
    done       BOOLEAN NOT NULL,
    error      TEXT NOT NULL,
    progress   TEXT,
    result     TEXT
);
CREATE INDEX agent_claim ON agent (claim);
CREATE INDEX agent_token ON agent (token);

CREATE TABLE node_event (
    id      TEXT PRIMARY KEY,
    node_id TEXT NOT NULL REFERENCES node (id) ON DELETE CASCADE,
    at      TIMESTAMPTZ NOT NULL,
    kind    TEXT NOT NULL,
    text    TEXT NOT NULL
);
CREATE INDEX node_event_node ON node_event (node_id, at);

-- +goose Down
DROP TABLE node_event;
DROP TABLE agent;
DROP TABLE deployment;
DROP TABLE node_port;
DROP TABLE node;
