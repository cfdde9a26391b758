package db

import "context"

// revisions keeps the triggers by which node.rev grows with every change of a node's row, whoever makes it: what was
// written out of a row can then be used again as long as its revision is the same. The engines write triggers
// differently, so they are no part of the migrations.
func (d *DB) revisions(ctx context.Context) error {
	if !d.Postgres() {
		_, err := d.write.ExecContext(ctx, "CREATE TRIGGER IF NOT EXISTS node_rev AFTER UPDATE ON node BEGIN UPDATE node SET rev = OLD.rev + 1 WHERE id = OLD.id; END")
		return err
	}
	var there bool
	if err := d.write.NewRaw("SELECT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'node_rev' AND tgrelid = 'node'::regclass)").Scan(ctx, &there); err != nil || there {
		return err
	}
	for _, statement := range []string{
		"CREATE OR REPLACE FUNCTION node_rev() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.rev := OLD.rev + 1; RETURN NEW; END $$",
		"CREATE TRIGGER node_rev BEFORE UPDATE ON node FOR EACH ROW EXECUTE FUNCTION node_rev()",
	} {
		if _, err := d.write.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
