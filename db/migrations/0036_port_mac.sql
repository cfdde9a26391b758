-- +goose Up
CREATE INDEX port_mac ON port (mac);

-- +goose Down
DROP INDEX port_mac;
