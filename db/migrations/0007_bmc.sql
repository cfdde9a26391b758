-- +goose Up
ALTER TABLE node ADD COLUMN device TEXT;
ALTER TABLE node ADD COLUMN boot_by TEXT NOT NULL DEFAULT '';
CREATE TABLE node_truth (
    node_id    TEXT NOT NULL REFERENCES node (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL,
    value      TEXT NOT NULL,
    evidence   TEXT NOT NULL,
    at         TIMESTAMPTZ NOT NULL,
    confidence TEXT NOT NULL,
    PRIMARY KEY (node_id, kind)
);
CREATE TABLE baseline (
    resource_class TEXT PRIMARY KEY,
    settings       TEXT NOT NULL,
    firmware       TEXT NOT NULL,
    secure_boot    TEXT NOT NULL,
    updated_at     TIMESTAMPTZ NOT NULL
);

-- +goose Down
DROP TABLE baseline;
DROP TABLE node_truth;
ALTER TABLE node DROP COLUMN boot_by;
ALTER TABLE node DROP COLUMN device;
