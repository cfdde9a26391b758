-- +goose Up
-- Images that were fetched to deploy nodes from, by where they came from and what their data were proven by.
CREATE TABLE image_origin (
    image_id TEXT PRIMARY KEY REFERENCES image (id) ON DELETE CASCADE,
    url      TEXT NOT NULL,
    algo     TEXT NOT NULL,
    value    TEXT NOT NULL,
    format   TEXT NOT NULL,
    inside   BOOLEAN NOT NULL,
    used_at  TIMESTAMPTZ NOT NULL,
    UNIQUE (url, algo, value, format, inside)
);
CREATE INDEX image_origin_used ON image_origin (used_at);
ALTER TABLE image_task ADD COLUMN passing BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE deployment ADD COLUMN source TEXT;
CREATE TABLE inspection_rule (
    id          TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    body        BYTEA NOT NULL,
    phase       TEXT NOT NULL,
    priority    BIGINT NOT NULL,
    sensitive   BOOLEAN NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    updated_at  TIMESTAMPTZ NOT NULL
);

-- +goose Down
DROP TABLE inspection_rule;
ALTER TABLE deployment DROP COLUMN source;
ALTER TABLE image_task DROP COLUMN passing;
DROP TABLE image_origin;
