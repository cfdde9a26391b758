-- +goose Up
ALTER TABLE deployment ADD COLUMN standalone BOOLEAN NOT NULL DEFAULT FALSE;

-- +goose Down
ALTER TABLE deployment DROP COLUMN standalone;
