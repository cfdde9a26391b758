-- +goose Up
CREATE TABLE switch (
    name       TEXT PRIMARY KEY,
    driver     TEXT NOT NULL,
    address    TEXT NOT NULL,
    username   TEXT NOT NULL,
    password   BYTEA,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE TABLE network (
    id          TEXT PRIMARY KEY,
    project_id  TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    plane       TEXT NOT NULL,
    admin_up    BOOLEAN NOT NULL,
    shared      BOOLEAN NOT NULL,
    mtu         BIGINT NOT NULL,
    vlan        BIGINT NOT NULL UNIQUE,
    tags        TEXT NOT NULL,
    revision    BIGINT NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    updated_at  TIMESTAMPTZ NOT NULL
);
CREATE INDEX network_project ON network (project_id);
CREATE TABLE subnet (
    id          TEXT PRIMARY KEY,
    network_id  TEXT NOT NULL REFERENCES network (id),
    project_id  TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    ip_version  BIGINT NOT NULL,
    cidr        TEXT NOT NULL,
    gateway     TEXT NOT NULL,
    dhcp        BOOLEAN NOT NULL,
    pools       TEXT NOT NULL,
    dns         TEXT NOT NULL,
    ntp         TEXT NOT NULL,
    routes      TEXT NOT NULL,
    tags        TEXT NOT NULL,
    revision    BIGINT NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    updated_at  TIMESTAMPTZ NOT NULL
);
CREATE INDEX subnet_network ON subnet (network_id);
CREATE TABLE port (
    id           TEXT PRIMARY KEY,
    network_id   TEXT NOT NULL REFERENCES network (id),
    project_id   TEXT NOT NULL,
    name         TEXT NOT NULL,
    description  TEXT NOT NULL,
    admin_up     BOOLEAN NOT NULL,
    mac          TEXT NOT NULL,
    device_id    TEXT NOT NULL,
    device_owner TEXT NOT NULL,
    pairs        TEXT NOT NULL,
    made_by      TEXT NOT NULL,
    tags         TEXT NOT NULL,
    revision     BIGINT NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL,
    updated_at   TIMESTAMPTZ NOT NULL,
    UNIQUE (network_id, mac)
);
CREATE INDEX port_project ON port (project_id);
CREATE INDEX port_device ON port (device_id) WHERE device_id <> '';
CREATE TABLE fixed_ip (
    subnet_id TEXT NOT NULL REFERENCES subnet (id),
    address   TEXT NOT NULL,
    port_id   TEXT NOT NULL REFERENCES port (id) ON DELETE CASCADE,
    PRIMARY KEY (subnet_id, address)
);
CREATE INDEX fixed_ip_port ON fixed_ip (port_id);
CREATE TABLE dhcp_lease (
    network    TEXT NOT NULL,
    mac        TEXT NOT NULL,
    address    TEXT NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (network, mac),
    UNIQUE (network, address)
);

-- +goose Down
DROP TABLE dhcp_lease;
DROP TABLE fixed_ip;
DROP TABLE port;
DROP TABLE subnet;
DROP TABLE network;
DROP TABLE switch;
