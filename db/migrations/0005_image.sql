-- +goose Up
CREATE TABLE image (
    id               TEXT PRIMARY KEY,
    owner            TEXT NOT NULL,
    name             TEXT NOT NULL,
    disk_format      TEXT NOT NULL,
    container_format TEXT NOT NULL,
    visibility       TEXT NOT NULL,
    protected        BOOLEAN NOT NULL,
    hidden           BOOLEAN NOT NULL,
    min_disk         BIGINT NOT NULL,
    min_ram          BIGINT NOT NULL,
    tags             TEXT NOT NULL,
    properties       TEXT NOT NULL,
    status           TEXT NOT NULL,
    upload           TEXT NOT NULL,
    size             BIGINT NOT NULL,
    checksum         TEXT NOT NULL,
    sha512           TEXT NOT NULL,
    raw_sha512       TEXT NOT NULL,
    raw_size         BIGINT NOT NULL,
    created_at       TIMESTAMPTZ NOT NULL,
    updated_at       TIMESTAMPTZ NOT NULL
);
CREATE INDEX image_owner ON image (owner);
CREATE INDEX image_sha512 ON image (sha512);
CREATE INDEX image_raw_sha512 ON image (raw_sha512);

-- +goose Down
DROP TABLE image;
