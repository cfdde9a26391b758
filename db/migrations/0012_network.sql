-- +goose Up
-- Labels are OpenStack's tags, kept as ",one,two,"; the column tags has ECL2.0's object.
ALTER TABLE network ADD COLUMN labels TEXT NOT NULL DEFAULT '';
ALTER TABLE network ADD COLUMN port_security BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE subnet ADD COLUMN labels TEXT NOT NULL DEFAULT '';
ALTER TABLE subnet ADD COLUMN pool_id TEXT NOT NULL DEFAULT '';
ALTER TABLE subnet ADD COLUMN ra_mode TEXT NOT NULL DEFAULT '';
ALTER TABLE subnet ADD COLUMN address_mode TEXT NOT NULL DEFAULT '';
ALTER TABLE subnet ADD COLUMN service_types TEXT NOT NULL DEFAULT '[]';
CREATE INDEX subnet_of_pool ON subnet (pool_id) WHERE pool_id <> '';
CREATE INDEX subnet_project ON subnet (project_id);
ALTER TABLE port ADD COLUMN labels TEXT NOT NULL DEFAULT '';
ALTER TABLE port ADD COLUMN port_security BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE port ADD COLUMN trusted BOOLEAN;
ALTER TABLE port ADD COLUMN dhcp_options TEXT NOT NULL DEFAULT '[]';
ALTER TABLE port ADD COLUMN host TEXT NOT NULL DEFAULT '';
ALTER TABLE port ADD COLUMN profile TEXT NOT NULL DEFAULT '{}';
ALTER TABLE port ADD COLUMN vnic_type TEXT NOT NULL DEFAULT 'normal';
CREATE INDEX port_of_server ON port (network_id) WHERE device_owner = 'baremetal:server';
CREATE INDEX fixed_ip_address ON fixed_ip (address);
-- One row a project: what counts its things and makes its default group holds the row's lock.
CREATE TABLE network_tenant (
    project_id TEXT PRIMARY KEY
);
CREATE TABLE network_quota (
    project_id TEXT NOT NULL,
    resource   TEXT NOT NULL,
    amount     BIGINT NOT NULL,
    PRIMARY KEY (project_id, resource)
);
-- Policies share one thing with one project; the column shared of the thing says that all see it.
CREATE TABLE network_policy (
    id          TEXT PRIMARY KEY,
    project_id  TEXT NOT NULL,
    object_type TEXT NOT NULL,
    object_id   TEXT NOT NULL,
    action      TEXT NOT NULL,
    target      TEXT NOT NULL,
    revision    BIGINT NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    updated_at  TIMESTAMPTZ NOT NULL,
    UNIQUE (object_type, object_id, action, target)
);
CREATE INDEX network_policy_target ON network_policy (target, object_type);
INSERT INTO network_policy (id, project_id, object_type, object_id, action, target, revision, created_at, updated_at)
SELECT id, project_id, 'network', id, 'access_as_shared', '*', 1, created_at, created_at FROM network WHERE shared;
CREATE TABLE address_scope (
    id         TEXT PRIMARY KEY,
    project_id TEXT NOT NULL,
    name       TEXT NOT NULL,
    ip_version BIGINT NOT NULL,
    shared     BOOLEAN NOT NULL,
    revision   BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX address_scope_project ON address_scope (project_id);
CREATE TABLE subnet_pool (
    id             TEXT PRIMARY KEY,
    project_id     TEXT NOT NULL,
    name           TEXT NOT NULL,
    description    TEXT NOT NULL,
    ip_version     BIGINT NOT NULL,
    prefixes       TEXT NOT NULL,
    min_prefix     BIGINT NOT NULL,
    default_prefix BIGINT NOT NULL,
    max_prefix     BIGINT NOT NULL,
    quota          BIGINT NOT NULL,
    scope_id       TEXT REFERENCES address_scope (id),
    is_default     BOOLEAN NOT NULL,
    shared         BOOLEAN NOT NULL,
    tags           TEXT NOT NULL,
    labels         TEXT NOT NULL,
    revision       BIGINT NOT NULL,
    created_at     TIMESTAMPTZ NOT NULL,
    updated_at     TIMESTAMPTZ NOT NULL
);
CREATE INDEX subnet_pool_project ON subnet_pool (project_id);
CREATE UNIQUE INDEX subnet_pool_default ON subnet_pool (ip_version) WHERE is_default;
CREATE TABLE security_group (
    id          TEXT PRIMARY KEY,
    project_id  TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    stateful    BOOLEAN NOT NULL,
    shared      BOOLEAN NOT NULL,
    tags        TEXT NOT NULL,
    labels      TEXT NOT NULL,
    revision    BIGINT NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    updated_at  TIMESTAMPTZ NOT NULL
);
CREATE INDEX security_group_project ON security_group (project_id);
CREATE UNIQUE INDEX security_group_default ON security_group (project_id) WHERE name = 'default';
CREATE TABLE address_group (
    id          TEXT PRIMARY KEY,
    project_id  TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    addresses   TEXT NOT NULL,
    shared      BOOLEAN NOT NULL,
    revision    BIGINT NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    updated_at  TIMESTAMPTZ NOT NULL
);
CREATE INDEX address_group_project ON address_group (project_id);
-- Empty texts and -1 mean any: nulls would not keep rules unique.
CREATE TABLE security_group_rule (
    id                   TEXT PRIMARY KEY,
    project_id           TEXT NOT NULL,
    group_id             TEXT NOT NULL REFERENCES security_group (id) ON DELETE CASCADE,
    description          TEXT NOT NULL,
    direction            TEXT NOT NULL,
    ether_type           TEXT NOT NULL,
    protocol             TEXT NOT NULL,
    port_min             BIGINT NOT NULL,
    port_max             BIGINT NOT NULL,
    remote_prefix        TEXT NOT NULL,
    remote_group         TEXT NOT NULL,
    remote_address_group TEXT NOT NULL,
    revision             BIGINT NOT NULL,
    created_at           TIMESTAMPTZ NOT NULL,
    updated_at           TIMESTAMPTZ NOT NULL,
    UNIQUE (group_id, direction, ether_type, protocol, port_min, port_max, remote_prefix, remote_group, remote_address_group)
);
CREATE INDEX security_group_rule_project ON security_group_rule (project_id);
CREATE INDEX security_group_rule_remote ON security_group_rule (remote_group) WHERE remote_group <> '';
CREATE TABLE port_security_group (
    port_id  TEXT NOT NULL REFERENCES port (id) ON DELETE CASCADE,
    group_id TEXT NOT NULL REFERENCES security_group (id),
    PRIMARY KEY (port_id, group_id)
);
CREATE INDEX port_security_group_group ON port_security_group (group_id);

-- +goose Down
DROP TABLE port_security_group;
DROP TABLE security_group_rule;
DROP TABLE address_group;
DROP TABLE security_group;
DROP TABLE subnet_pool;
DROP TABLE address_scope;
DROP TABLE network_policy;
DROP TABLE network_quota;
DROP TABLE network_tenant;
DROP INDEX fixed_ip_address;
DROP INDEX port_of_server;
DROP INDEX subnet_project;
DROP INDEX subnet_of_pool;
ALTER TABLE port DROP COLUMN vnic_type;
ALTER TABLE port DROP COLUMN profile;
ALTER TABLE port DROP COLUMN host;
ALTER TABLE port DROP COLUMN dhcp_options;
ALTER TABLE port DROP COLUMN trusted;
ALTER TABLE port DROP COLUMN port_security;
ALTER TABLE port DROP COLUMN labels;
ALTER TABLE subnet DROP COLUMN service_types;
ALTER TABLE subnet DROP COLUMN address_mode;
ALTER TABLE subnet DROP COLUMN ra_mode;
ALTER TABLE subnet DROP COLUMN pool_id;
ALTER TABLE subnet DROP COLUMN labels;
ALTER TABLE network DROP COLUMN port_security;
ALTER TABLE network DROP COLUMN labels;
