-- +goose Up
CREATE TABLE pulse (
    grp    TEXT PRIMARY KEY,
    at     BIGINT NOT NULL,
    before BIGINT NOT NULL
);
CREATE TABLE standstill (
    grp   TEXT NOT NULL,
    since BIGINT NOT NULL,
    until BIGINT NOT NULL,
    PRIMARY KEY (grp, since)
);

-- +goose Down
DROP TABLE standstill;
DROP TABLE pulse;
