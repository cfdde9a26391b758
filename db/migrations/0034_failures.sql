-- +goose Up
ALTER TABLE run ADD COLUMN failures BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE run DROP COLUMN failures;
