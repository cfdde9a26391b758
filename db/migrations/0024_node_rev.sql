-- +goose Up
-- Grows with every change of the row, by triggers that db/revision.go keeps.
ALTER TABLE node ADD COLUMN rev BIGINT NOT NULL DEFAULT 0;
-- Lists and reads that find a node as it was written before touch these alone, not the wide rows.
CREATE INDEX node_head ON node (created_at, id, rev, run_id, project, lessee);
CREATE INDEX node_head_id ON node (id, rev, created_at, run_id, project, lessee);
CREATE INDEX node_class ON node (resource_class, created_at, id);

-- +goose Down
DROP INDEX node_class;
DROP INDEX node_head_id;
DROP INDEX node_head;
ALTER TABLE node DROP COLUMN rev;
