-- +goose Up
-- Names are unique within a domain now. SQLite can not take a key away, so the tables are made anew; those that refer
-- to others go first, because dropping a table deletes its rows and what hangs on them.
DROP INDEX grants_target;
DROP INDEX token_account;
DROP INDEX token_expires;
ALTER TABLE project RENAME TO project_0003;
ALTER TABLE account RENAME TO account_0003;
ALTER TABLE app_credential RENAME TO app_credential_0003;
DROP TABLE token;

CREATE TABLE project (
    id          TEXT PRIMARY KEY,
    domain_id   TEXT NOT NULL,
    parent_id   TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    enabled     BOOLEAN NOT NULL,
    is_domain   BOOLEAN NOT NULL,
    tags        TEXT,
    options     TEXT,
    extra       TEXT,
    created_at  TIMESTAMPTZ NOT NULL,
    UNIQUE (domain_id, name)
);
CREATE INDEX project_parent ON project (parent_id);
CREATE INDEX project_name ON project (name, id);
INSERT INTO project (id, domain_id, parent_id, name, description, enabled, is_domain, created_at)
    VALUES ('default', '', '', 'Default', 'The default domain', TRUE, TRUE, '2020-01-01 00:00:00+00:00');
INSERT INTO project (id, domain_id, parent_id, name, description, enabled, is_domain, created_at)
    SELECT id, 'default', 'default', name, description, enabled, FALSE, created_at FROM project_0003;

CREATE TABLE account (
    id                  TEXT PRIMARY KEY,
    domain_id           TEXT NOT NULL,
    name                TEXT NOT NULL,
    email               TEXT NOT NULL,
    description         TEXT NOT NULL,
    password            TEXT NOT NULL,
    enabled             BOOLEAN NOT NULL,
    default_project_id  TEXT NOT NULL,
    options             TEXT,
    extra               TEXT,
    password_expires_at TIMESTAMPTZ,
    failures            BIGINT NOT NULL,
    failed_at           TIMESTAMPTZ,
    created_at          TIMESTAMPTZ NOT NULL,
    UNIQUE (domain_id, name)
);
CREATE INDEX account_name ON account (name, id);
INSERT INTO account (id, domain_id, name, email, description, password, enabled, default_project_id, failures, created_at)
    SELECT id, 'default', name, email, description, password, enabled, default_project_id, 0, created_at FROM account_0003;

CREATE TABLE user_group (
    id          TEXT PRIMARY KEY,
    domain_id   TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    extra       TEXT,
    created_at  TIMESTAMPTZ NOT NULL,
    UNIQUE (domain_id, name)
);
CREATE TABLE membership (
    account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    group_id   TEXT NOT NULL REFERENCES user_group (id) ON DELETE CASCADE,
    PRIMARY KEY (account_id, group_id)
);
CREATE INDEX membership_group ON membership (group_id);

CREATE TABLE role (
    id          TEXT PRIMARY KEY,
    domain_id   TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    options     TEXT,
    extra       TEXT,
    created_at  TIMESTAMPTZ NOT NULL,
    UNIQUE (domain_id, name)
);
INSERT INTO role (id, domain_id, name, description, options, created_at) VALUES
    ('role-admin', '', 'admin', '', '{"immutable":true}', '2020-01-01 00:00:00+00:00'),
    ('role-member', '', 'member', '', '{"immutable":true}', '2020-01-01 00:00:00+00:00'),
    ('role-reader', '', 'reader', '', '{"immutable":true}', '2020-01-01 00:00:00+00:00'),
    ('role-service', '', 'service', '', '{"immutable":true}', '2020-01-01 00:00:00+00:00');
CREATE TABLE implication (
    prior_id   TEXT NOT NULL REFERENCES role (id) ON DELETE CASCADE,
    implied_id TEXT NOT NULL REFERENCES role (id) ON DELETE CASCADE,
    PRIMARY KEY (prior_id, implied_id)
);
INSERT INTO implication (prior_id, implied_id) VALUES ('role-admin', 'role-member'), ('role-member', 'role-reader');

CREATE TABLE assignment (
    actor     TEXT NOT NULL,
    is_group  BOOLEAN NOT NULL,
    target    TEXT NOT NULL,
    role_id   TEXT NOT NULL REFERENCES role (id) ON DELETE CASCADE,
    inherited BOOLEAN NOT NULL,
    PRIMARY KEY (actor, target, role_id, inherited)
);
CREATE INDEX assignment_target ON assignment (target);
INSERT INTO assignment (actor, is_group, target, role_id, inherited)
    SELECT account_id, FALSE, target, 'role-' || role, FALSE FROM grants;

CREATE TABLE token (
    hash         TEXT PRIMARY KEY,
    account_id   TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    target       TEXT NOT NULL,
    methods      TEXT NOT NULL,
    app_cred     TEXT NOT NULL,
    trust        TEXT NOT NULL,
    audit_id     TEXT NOT NULL,
    audit_parent TEXT NOT NULL,
    issued_at    TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL
);
CREATE INDEX token_account ON token (account_id);
CREATE INDEX token_expires ON token (expires_at);
CREATE INDEX token_app_cred ON token (app_cred) WHERE app_cred <> '';
CREATE INDEX token_trust ON token (trust) WHERE trust <> '';
CREATE TABLE revocation (
    id            TEXT PRIMARY KEY,
    account_id    TEXT NOT NULL,
    target        TEXT NOT NULL,
    domain        BOOLEAN NOT NULL,
    audit_id      TEXT NOT NULL,
    issued_before TIMESTAMPTZ NOT NULL,
    revoked_at    TIMESTAMPTZ NOT NULL
);
CREATE INDEX revocation_at ON revocation (revoked_at);

CREATE TABLE app_credential (
    id           TEXT PRIMARY KEY,
    account_id   TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    project_id   TEXT NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    description  TEXT NOT NULL,
    secret       TEXT NOT NULL,
    roles        TEXT NOT NULL,
    rules        TEXT,
    unrestricted BOOLEAN NOT NULL,
    expires_at   TIMESTAMPTZ,
    created_at   TIMESTAMPTZ NOT NULL,
    UNIQUE (account_id, name)
);
INSERT INTO app_credential (id, account_id, project_id, name, description, secret, roles, unrestricted, expires_at, created_at)
    SELECT id, account_id, project_id, name, description, secret,
        replace(replace(replace(roles, '"admin"', '"role-admin"'), '"member"', '"role-member"'), '"reader"', '"role-reader"'),
        unrestricted, expires_at, created_at FROM app_credential_0003;
CREATE TABLE access_rule (
    id         TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    service    TEXT NOT NULL,
    method     TEXT NOT NULL,
    path       TEXT NOT NULL,
    UNIQUE (account_id, service, method, path)
);
DROP TABLE app_credential_0003;
DROP TABLE grants;
DROP TABLE account_0003;
DROP TABLE project_0003;

CREATE TABLE trust (
    id                  TEXT PRIMARY KEY,
    trustor_id          TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    trustee_id          TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    project_id          TEXT NOT NULL,
    impersonation       BOOLEAN NOT NULL,
    roles               TEXT NOT NULL,
    remaining_uses      BIGINT,
    redelegated_from    TEXT NOT NULL,
    redelegation_count  BIGINT NOT NULL,
    expires_at          TIMESTAMPTZ,
    created_at          TIMESTAMPTZ NOT NULL
);
CREATE INDEX trust_trustor ON trust (trustor_id);
CREATE INDEX trust_trustee ON trust (trustee_id);

CREATE TABLE credential (
    id         TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    project_id TEXT NOT NULL,
    kind       TEXT NOT NULL,
    blob       BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX credential_account ON credential (account_id);

CREATE TABLE region (
    id          TEXT PRIMARY KEY,
    parent_id   TEXT NOT NULL,
    description TEXT NOT NULL,
    extra       TEXT
);
CREATE TABLE catalog_service (
    id          TEXT PRIMARY KEY,
    type        TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    enabled     BOOLEAN NOT NULL,
    extra       TEXT
);
CREATE TABLE catalog_endpoint (
    id         TEXT PRIMARY KEY,
    service_id TEXT NOT NULL,
    region_id  TEXT NOT NULL,
    interface  TEXT NOT NULL,
    url        TEXT NOT NULL,
    enabled    BOOLEAN NOT NULL,
    extra      TEXT
);
CREATE TABLE endpoint_project (
    endpoint_id TEXT NOT NULL,
    project_id  TEXT NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    PRIMARY KEY (endpoint_id, project_id)
);
CREATE INDEX endpoint_project_project ON endpoint_project (project_id);

CREATE TABLE registered_limit (
    id            TEXT PRIMARY KEY,
    service_id    TEXT NOT NULL,
    region_id     TEXT NOT NULL,
    resource_name TEXT NOT NULL,
    default_limit BIGINT NOT NULL,
    description   TEXT NOT NULL,
    UNIQUE (service_id, region_id, resource_name)
);
CREATE TABLE quota_limit (
    id             TEXT PRIMARY KEY,
    registered_id  TEXT NOT NULL REFERENCES registered_limit (id),
    project_id     TEXT NOT NULL,
    domain_id      TEXT NOT NULL,
    resource_limit BIGINT NOT NULL,
    description    TEXT NOT NULL,
    UNIQUE (registered_id, project_id, domain_id)
);
CREATE TABLE policy_blob (
    id    TEXT PRIMARY KEY,
    type  TEXT NOT NULL,
    blob  TEXT NOT NULL,
    extra TEXT
);

-- +goose Down
-- What the older schema has no place for is lost: other domains with all that is theirs, groups, roles of one's own.
DROP TABLE policy_blob;
DROP TABLE quota_limit;
DROP TABLE registered_limit;
DROP TABLE endpoint_project;
DROP TABLE catalog_endpoint;
DROP TABLE catalog_service;
DROP TABLE region;
DROP TABLE credential;
DROP TABLE trust;
DROP TABLE access_rule;
DROP TABLE app_credential;
DROP TABLE revocation;
DROP TABLE token;
DROP TABLE membership;
DROP TABLE user_group;
DROP INDEX project_parent;
DROP INDEX project_name;
DROP INDEX account_name;
ALTER TABLE project RENAME TO project_0010;
ALTER TABLE account RENAME TO account_0010;
CREATE TABLE project (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    enabled     BOOLEAN NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL
);
INSERT INTO project SELECT id, name, description, enabled, created_at FROM project_0010 WHERE domain_id = 'default';
CREATE TABLE account (
    id                 TEXT PRIMARY KEY,
    name               TEXT NOT NULL UNIQUE,
    email              TEXT NOT NULL,
    description        TEXT NOT NULL,
    password           TEXT NOT NULL,
    enabled            BOOLEAN NOT NULL,
    default_project_id TEXT NOT NULL,
    created_at         TIMESTAMPTZ NOT NULL
);
INSERT INTO account SELECT id, name, email, description, password, enabled, default_project_id, created_at FROM account_0010 WHERE domain_id = 'default';
CREATE TABLE grants (
    account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    target     TEXT NOT NULL,
    role       TEXT NOT NULL,
    PRIMARY KEY (account_id, target, role)
);
CREATE INDEX grants_target ON grants (target);
INSERT INTO grants SELECT actor, target, substr(role_id, 6) FROM assignment
    WHERE NOT inherited AND role_id IN ('role-admin', 'role-member', 'role-reader') AND actor IN (SELECT id FROM account);
DROP TABLE assignment;
DROP TABLE implication;
DROP TABLE role;
DROP TABLE account_0010;
DROP TABLE project_0010;
CREATE TABLE token (
    hash       TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    target     TEXT NOT NULL,
    methods    TEXT NOT NULL,
    app_cred   TEXT NOT NULL,
    audit_id   TEXT NOT NULL,
    issued_at  TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX token_account ON token (account_id);
CREATE INDEX token_expires ON token (expires_at);
CREATE TABLE app_credential (
    id          TEXT PRIMARY KEY,
    account_id  TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    project_id  TEXT NOT NULL REFERENCES project (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    secret      TEXT NOT NULL,
    roles       TEXT NOT NULL,
    unrestricted BOOLEAN NOT NULL,
    expires_at  TIMESTAMPTZ,
    created_at  TIMESTAMPTZ NOT NULL,
    UNIQUE (account_id, name)
);
