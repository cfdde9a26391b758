-- +goose Up
CREATE INDEX node_recorded ON node (id) WHERE console <> 'false' AND (console = 'true' OR owner <> '');

-- +goose Down
DROP INDEX node_recorded;
