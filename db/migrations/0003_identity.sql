-- +goose Up
CREATE TABLE project (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    enabled     BOOLEAN NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL
);
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
CREATE TABLE grants (
    account_id TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    target     TEXT NOT NULL,
    role       TEXT NOT NULL,
    PRIMARY KEY (account_id, target, role)
);
CREATE INDEX grants_target ON grants (target);
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

-- +goose Down
DROP TABLE app_credential;
DROP TABLE token;
DROP TABLE grants;
DROP TABLE account;
DROP TABLE project;
