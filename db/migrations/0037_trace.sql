-- +goose Up
-- Exchanges with BMCs are in the memory of the process that had them: whoever is asked for them elsewhere asks here.
CREATE TABLE trace_wish (
    node_id TEXT PRIMARY KEY,
    at      BIGINT NOT NULL
);
CREATE TABLE trace_told (
    node_id   TEXT NOT NULL,
    holder    TEXT NOT NULL,
    at        BIGINT NOT NULL,
    exchanges TEXT NOT NULL,
    PRIMARY KEY (node_id, holder)
);

-- +goose Down
DROP TABLE trace_told;
DROP TABLE trace_wish;
