-- +goose Up
CREATE TABLE flavor (
    id             TEXT PRIMARY KEY,
    name           TEXT NOT NULL UNIQUE,
    resource_class TEXT NOT NULL,
    traits         TEXT NOT NULL,
    vcpus          BIGINT NOT NULL,
    ram            BIGINT NOT NULL,
    disk           BIGINT NOT NULL,
    created_at     TIMESTAMPTZ NOT NULL
);
CREATE TABLE keypair (
    project_id  TEXT NOT NULL,
    name        TEXT NOT NULL,
    user_id     TEXT NOT NULL,
    public_key  TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (project_id, name)
);
CREATE TABLE server (
    id         TEXT PRIMARY KEY,
    project_id TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    name       TEXT NOT NULL,
    flavor_id  TEXT NOT NULL REFERENCES flavor (id),
    image_id   TEXT NOT NULL,
    zone       TEXT NOT NULL,
    key_name   TEXT NOT NULL,
    metadata   TEXT NOT NULL,
    nics       TEXT NOT NULL,
    state      TEXT NOT NULL,
    deleting   BOOLEAN NOT NULL,
    fault      TEXT NOT NULL,
    fault_at   TIMESTAMPTZ,
    node_id    TEXT NOT NULL,
    tried      TEXT NOT NULL,
    sealed     BYTEA,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX server_project ON server (project_id, created_at);

-- +goose Down
DROP TABLE server;
DROP TABLE keypair;
DROP TABLE flavor;
