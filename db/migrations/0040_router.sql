-- +goose Up
-- Routers of tenants lead to external networks, which operators make.
ALTER TABLE network ADD COLUMN external BOOLEAN NOT NULL DEFAULT FALSE;
CREATE TABLE router (
    id          TEXT PRIMARY KEY,
    project_id  TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    admin_up    BOOLEAN NOT NULL,
    network_id  TEXT NOT NULL, -- of its gateway; '' is none
    snat        BOOLEAN NOT NULL,
    routes      TEXT NOT NULL,
    tags        TEXT NOT NULL,
    labels      TEXT NOT NULL,
    revision    BIGINT NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    updated_at  TIMESTAMPTZ NOT NULL
);
CREATE INDEX router_project ON router (project_id);
CREATE INDEX router_network ON router (network_id) WHERE network_id <> '';
CREATE TABLE floating_ip (
    id            TEXT PRIMARY KEY,
    project_id    TEXT NOT NULL,
    description   TEXT NOT NULL,
    network_id    TEXT NOT NULL REFERENCES network (id),
    address       TEXT NOT NULL,
    port_id       TEXT NOT NULL, -- whose it is just now; '' is nobody's
    fixed_address TEXT NOT NULL,
    router_id     TEXT NOT NULL,
    tags          TEXT NOT NULL,
    labels        TEXT NOT NULL,
    revision      BIGINT NOT NULL,
    created_at    TIMESTAMPTZ NOT NULL,
    updated_at    TIMESTAMPTZ NOT NULL
);
CREATE INDEX floating_ip_project ON floating_ip (project_id);
CREATE INDEX floating_ip_network ON floating_ip (network_id);
CREATE INDEX floating_ip_router ON floating_ip (router_id) WHERE router_id <> '';
CREATE UNIQUE INDEX floating_ip_port ON floating_ip (port_id, fixed_address, network_id) WHERE port_id <> '';
CREATE INDEX port_owner ON port (device_owner);

-- +goose Down
DROP INDEX port_owner;
DROP TABLE floating_ip;
DROP TABLE router;
ALTER TABLE network DROP COLUMN external;
