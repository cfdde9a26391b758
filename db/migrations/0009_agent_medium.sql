-- +goose Up
ALTER TABLE agent ADD COLUMN medium TEXT NOT NULL DEFAULT '';
ALTER TABLE agent ADD COLUMN slot TEXT NOT NULL DEFAULT '';
ALTER TABLE agent ADD COLUMN line TEXT NOT NULL DEFAULT '';
CREATE INDEX agent_medium ON agent (medium) WHERE medium <> '';

-- +goose Down
DROP INDEX agent_medium;
ALTER TABLE agent DROP COLUMN line;
ALTER TABLE agent DROP COLUMN slot;
ALTER TABLE agent DROP COLUMN medium;
