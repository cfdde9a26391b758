-- +goose Up
ALTER TABLE server ADD COLUMN uefi_status TEXT NOT NULL DEFAULT '';
ALTER TABLE server ADD COLUMN uefi_message TEXT NOT NULL DEFAULT '';
ALTER TABLE server ADD COLUMN uefi_at TIMESTAMPTZ;
CREATE TABLE medium (
    server_id  TEXT NOT NULL REFERENCES server (id) ON DELETE CASCADE,
    image_id   TEXT NOT NULL,
    token      TEXT NOT NULL UNIQUE,
    state      TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (server_id, image_id)
);

-- +goose Down
DROP TABLE medium;
ALTER TABLE server DROP COLUMN uefi_at;
ALTER TABLE server DROP COLUMN uefi_message;
ALTER TABLE server DROP COLUMN uefi_status;
