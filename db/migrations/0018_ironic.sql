-- +goose Up
ALTER TABLE node ADD COLUMN chassis_id TEXT NOT NULL DEFAULT '';
ALTER TABLE node ADD COLUMN conductor_group TEXT NOT NULL DEFAULT '';
ALTER TABLE node ADD COLUMN project TEXT NOT NULL DEFAULT '';
ALTER TABLE node ADD COLUMN lessee TEXT NOT NULL DEFAULT '';
ALTER TABLE node ADD COLUMN shard TEXT NOT NULL DEFAULT '';
ALTER TABLE node ADD COLUMN parent_id TEXT NOT NULL DEFAULT '';
ALTER TABLE node ADD COLUMN protected BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE node ADD COLUMN protected_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE node ADD COLUMN retired BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE node ADD COLUMN retired_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE node ADD COLUMN automated_clean TEXT NOT NULL DEFAULT '';
ALTER TABLE node ADD COLUMN interfaces TEXT NOT NULL DEFAULT '{}';
ALTER TABLE node ADD COLUMN instance_info TEXT NOT NULL DEFAULT '{}';
ALTER TABLE node ADD COLUMN network_data TEXT NOT NULL DEFAULT '{}';
ALTER TABLE node ADD COLUMN target_raid TEXT NOT NULL DEFAULT '{}';
ALTER TABLE node ADD COLUMN allocation_id TEXT NOT NULL DEFAULT '';
ALTER TABLE node ADD COLUMN inspected_at TIMESTAMPTZ;
ALTER TABLE node ADD COLUMN deeds TEXT NOT NULL DEFAULT '[]';
CREATE INDEX node_project ON node (project) WHERE project <> '';
CREATE INDEX node_lessee ON node (lessee) WHERE lessee <> '';
CREATE INDEX node_shard ON node (shard);

ALTER TABLE node_port ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE node_port ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE node_port ADD COLUMN group_id TEXT NOT NULL DEFAULT '';
ALTER TABLE node_port ADD COLUMN smart_nic BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE node_port ADD COLUMN vif TEXT NOT NULL DEFAULT '';

CREATE TABLE chassis (
    id          TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    extra       TEXT NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    updated_at  TIMESTAMPTZ NOT NULL
);

CREATE TABLE port_group (
    id         TEXT PRIMARY KEY,
    node_id    TEXT NOT NULL REFERENCES node (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    mac        TEXT NOT NULL,
    mode       TEXT NOT NULL,
    standalone BOOLEAN NOT NULL,
    properties TEXT NOT NULL,
    extra      TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX port_group_node ON port_group (node_id);
CREATE UNIQUE INDEX port_group_name ON port_group (name) WHERE name <> '';
CREATE UNIQUE INDEX port_group_mac ON port_group (mac) WHERE mac <> '';

CREATE TABLE allocation (
    id             TEXT PRIMARY KEY,
    name           TEXT NOT NULL,
    node_id        TEXT NOT NULL,
    resource_class TEXT NOT NULL,
    traits         TEXT NOT NULL,
    candidates     TEXT NOT NULL,
    project        TEXT NOT NULL,
    state          TEXT NOT NULL,
    last_error     TEXT NOT NULL,
    extra          TEXT NOT NULL,
    created_at     TIMESTAMPTZ NOT NULL,
    updated_at     TIMESTAMPTZ NOT NULL
);
CREATE INDEX allocation_node ON allocation (node_id);
CREATE UNIQUE INDEX allocation_name ON allocation (name) WHERE name <> '';

CREATE TABLE template (
    id              TEXT PRIMARY KEY,
    kind            TEXT NOT NULL,
    name            TEXT NOT NULL,
    steps           TEXT NOT NULL,
    extra           TEXT NOT NULL,
    description     TEXT NOT NULL,
    project         TEXT NOT NULL,
    public          BOOLEAN NOT NULL,
    disable_ramdisk BOOLEAN NOT NULL,
    created_at      TIMESTAMPTZ NOT NULL,
    updated_at      TIMESTAMPTZ NOT NULL,
    UNIQUE (kind, name)
);

CREATE TABLE volume (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    node_id    TEXT NOT NULL REFERENCES node (id) ON DELETE CASCADE,
    type       TEXT NOT NULL,
    value      TEXT NOT NULL,
    properties TEXT NOT NULL,
    extra      TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    UNIQUE (kind, node_id, type, value)
);

-- +goose Down
DROP TABLE volume;
DROP TABLE template;
DROP TABLE allocation;
DROP TABLE port_group;
DROP TABLE chassis;
