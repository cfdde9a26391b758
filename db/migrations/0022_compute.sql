-- +goose Up
CREATE TABLE server_group (
    id         TEXT PRIMARY KEY,
    project_id TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    name       TEXT NOT NULL,
    policy     TEXT NOT NULL,
    most       BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX server_group_project ON server_group (project_id, created_at);
ALTER TABLE server ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE server ADD COLUMN hostname TEXT NOT NULL DEFAULT '';
ALTER TABLE server ADD COLUMN labels TEXT NOT NULL DEFAULT '';
ALTER TABLE server ADD COLUMN locked_by TEXT NOT NULL DEFAULT '';
ALTER TABLE server ADD COLUMN locked_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE server ADD COLUMN reservation TEXT NOT NULL DEFAULT '';
ALTER TABLE server ADD COLUMN launch_index BIGINT NOT NULL DEFAULT 0;
ALTER TABLE server ADD COLUMN launched_at TIMESTAMPTZ;
ALTER TABLE server ADD COLUMN group_id TEXT NOT NULL DEFAULT '';
CREATE INDEX server_created ON server (created_at, id);
CREATE INDEX server_node ON server (node_id);
CREATE TABLE server_action (
    id         TEXT PRIMARY KEY,
    server_id  TEXT NOT NULL REFERENCES server (id) ON DELETE CASCADE,
    request    TEXT NOT NULL,
    name       TEXT NOT NULL,
    project_id TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    message    TEXT NOT NULL,
    at         TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX server_action_server ON server_action (server_id, at);
ALTER TABLE flavor ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE flavor ADD COLUMN private BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE flavor ADD COLUMN specs TEXT NOT NULL DEFAULT '{}';
CREATE TABLE flavor_access (
    flavor_id  TEXT NOT NULL REFERENCES flavor (id) ON DELETE CASCADE,
    project_id TEXT NOT NULL,
    PRIMARY KEY (flavor_id, project_id)
);
CREATE TABLE server_quota (
    project_id TEXT NOT NULL,
    resource   TEXT NOT NULL,
    amount     BIGINT NOT NULL,
    PRIMARY KEY (project_id, resource)
);
CREATE TABLE server_tenant (
    project_id TEXT PRIMARY KEY
);
CREATE TABLE keypair_of_user (
    project_id  TEXT NOT NULL,
    name        TEXT NOT NULL,
    user_id     TEXT NOT NULL,
    public_key  TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (project_id, user_id, name)
);
INSERT INTO keypair_of_user (project_id, name, user_id, public_key, fingerprint, created_at)
SELECT project_id, name, user_id, public_key, fingerprint, created_at FROM keypair;
DROP TABLE keypair;
ALTER TABLE keypair_of_user RENAME TO keypair;

-- +goose Down
CREATE TABLE keypair_of_project (
    project_id  TEXT NOT NULL,
    name        TEXT NOT NULL,
    user_id     TEXT NOT NULL,
    public_key  TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (project_id, name)
);
INSERT INTO keypair_of_project (project_id, name, user_id, public_key, fingerprint, created_at)
SELECT project_id, name, user_id, public_key, fingerprint, created_at FROM keypair WHERE TRUE ON CONFLICT (project_id, name) DO NOTHING;
DROP TABLE keypair;
ALTER TABLE keypair_of_project RENAME TO keypair;
DROP TABLE server_tenant;
DROP TABLE server_quota;
DROP TABLE flavor_access;
ALTER TABLE flavor DROP COLUMN specs;
ALTER TABLE flavor DROP COLUMN private;
ALTER TABLE flavor DROP COLUMN description;
DROP TABLE server_action;
DROP INDEX server_node;
DROP INDEX server_created;
ALTER TABLE server DROP COLUMN group_id;
ALTER TABLE server DROP COLUMN launched_at;
ALTER TABLE server DROP COLUMN launch_index;
ALTER TABLE server DROP COLUMN reservation;
ALTER TABLE server DROP COLUMN locked_reason;
ALTER TABLE server DROP COLUMN locked_by;
ALTER TABLE server DROP COLUMN labels;
ALTER TABLE server DROP COLUMN hostname;
ALTER TABLE server DROP COLUMN description;
DROP TABLE server_group;
