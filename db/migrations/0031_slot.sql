-- +goose Up
CREATE TABLE slot (
    run_id     TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    pool       TEXT NOT NULL,
    key        TEXT NOT NULL,
    tenant     TEXT NOT NULL,
    step       TEXT NOT NULL,
    asked_at   BIGINT NOT NULL,
    granted_at BIGINT NOT NULL,
    PRIMARY KEY (run_id, pool, key)
);
CREATE INDEX slot_pool ON slot (pool, key, granted_at);

CREATE TABLE slot_limit (
    pool TEXT NOT NULL,
    key  TEXT NOT NULL,
    most BIGINT NOT NULL,
    PRIMARY KEY (pool, key)
);

ALTER TABLE deployment ADD COLUMN tenant TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE deployment DROP COLUMN tenant;
DROP TABLE slot_limit;
DROP TABLE slot;
