-- +goose Up
CREATE TABLE idempotency (
    id          TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    answer      BYTEA,
    created_at  TIMESTAMPTZ NOT NULL
);
CREATE INDEX idempotency_created ON idempotency (created_at);

-- +goose Down
DROP TABLE idempotency;
