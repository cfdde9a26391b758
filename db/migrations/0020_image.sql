-- +goose Up
ALTER TABLE image ADD COLUMN staged BIGINT NOT NULL DEFAULT 0;
ALTER TABLE image ADD COLUMN failed BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX image_listed ON image (created_at, id);
CREATE INDEX image_visible ON image (visibility);
CREATE INDEX image_name ON image (name);
CREATE TABLE image_member (
    image_id   TEXT NOT NULL REFERENCES image (id) ON DELETE CASCADE,
    member_id  TEXT NOT NULL,
    status     TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (image_id, member_id)
);
CREATE INDEX image_member_member ON image_member (member_id, status);
-- A task outlives its image: it says what became of an import.
CREATE TABLE image_task (
    id         TEXT PRIMARY KEY,
    type       TEXT NOT NULL,
    image_id   TEXT NOT NULL,
    owner      TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    user_name  TEXT NOT NULL,
    request    TEXT NOT NULL,
    method     TEXT NOT NULL,
    uri        TEXT NOT NULL,
    status     TEXT NOT NULL,
    message    TEXT NOT NULL,
    fetched    BIGINT NOT NULL,
    heard_at   BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    ended_at   TIMESTAMPTZ
);
CREATE INDEX image_task_image ON image_task (image_id);
CREATE INDEX image_task_status ON image_task (status, created_at);
CREATE INDEX image_task_listed ON image_task (created_at, id);
-- Rows whose locks stand for what has no row of its own: a project's share, and data in a file.
CREATE TABLE image_lock (
    name TEXT PRIMARY KEY
);

-- +goose Down
DROP TABLE image_lock;
DROP TABLE image_task;
DROP TABLE image_member;
DROP INDEX image_name;
DROP INDEX image_visible;
DROP INDEX image_listed;
ALTER TABLE image DROP COLUMN failed;
ALTER TABLE image DROP COLUMN staged;
