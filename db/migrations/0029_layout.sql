-- +goose Up
ALTER TABLE server ADD COLUMN layout TEXT;
ALTER TABLE server ADD COLUMN chassis_id TEXT NOT NULL DEFAULT '';
ALTER TABLE deployment ADD COLUMN layout TEXT;
ALTER TABLE deployment ADD COLUMN laid_out TEXT;

-- +goose Down
ALTER TABLE deployment DROP COLUMN laid_out;
ALTER TABLE deployment DROP COLUMN layout;
ALTER TABLE server DROP COLUMN chassis_id;
ALTER TABLE server DROP COLUMN layout;
