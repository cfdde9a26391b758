-- +goose Up
-- A lease is found by what it is of. By its owner only those are looked for that are held: a conductor has had one of every node.
DROP INDEX lease_owner;
CREATE INDEX lease_held ON lease (owner) WHERE expires > 0;

-- +goose Down
DROP INDEX lease_held;
CREATE INDEX lease_owner ON lease (owner);
