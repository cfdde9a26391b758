-- +goose Up
ALTER TABLE node ADD COLUMN console TEXT NOT NULL DEFAULT '';
ALTER TABLE node ADD COLUMN console_lent TIMESTAMPTZ;
CREATE TABLE node_console (
    node_id TEXT NOT NULL REFERENCES node (id) ON DELETE CASCADE,
    owner   TEXT NOT NULL,
    text    BYTEA,
    trouble TEXT NOT NULL DEFAULT '',
    at      TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (node_id, owner)
);
CREATE TABLE node_ramdisk (
    node_id TEXT PRIMARY KEY REFERENCES node (id) ON DELETE CASCADE,
    run_id  TEXT NOT NULL,
    token   TEXT NOT NULL,
    url     TEXT NOT NULL DEFAULT '',
    version TEXT NOT NULL DEFAULT '',
    status  TEXT NOT NULL DEFAULT '',
    message TEXT NOT NULL DEFAULT '',
    seen_at TIMESTAMPTZ
);

-- +goose Down
DROP TABLE node_ramdisk;
DROP TABLE node_console;
ALTER TABLE node DROP COLUMN console_lent;
ALTER TABLE node DROP COLUMN console;
