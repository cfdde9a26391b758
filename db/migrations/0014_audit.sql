-- +goose Up
CREATE TABLE audit (
    id         TEXT PRIMARY KEY,
    at         TIMESTAMPTZ NOT NULL,
    request    TEXT NOT NULL,
    origin     TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    user_name  TEXT NOT NULL,
    project_id TEXT NOT NULL,
    address    TEXT NOT NULL,
    service    TEXT NOT NULL,
    verb       TEXT NOT NULL,
    route      TEXT NOT NULL,
    path       TEXT NOT NULL,
    target_id  TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    status     BIGINT NOT NULL,
    reason     TEXT NOT NULL
);
CREATE INDEX audit_at ON audit (at, id);
CREATE INDEX audit_project ON audit (project_id, at, id);
CREATE INDEX audit_target ON audit (target_id, at);

-- +goose Down
DROP TABLE audit;
