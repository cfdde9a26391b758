package db

import (
	"context"
	"database/sql"

	"github.com/pressly/goose/v3"
)

// revisions is the migration that gives nodes a revision: node.rev grows with every change of a node's row, whoever
// makes it, by a trigger. What was written out of a row can then be used again as long as its revision is the same. The
// engines write triggers differently, so this migration is no SQL file.
func revisions(postgres bool) *goose.Migration {
	const version = 24
	up := []string{
		"ALTER TABLE node ADD COLUMN rev BIGINT NOT NULL DEFAULT 0",
		// Lists and reads that find a node as it was written before touch these alone, not the wide rows.
		"CREATE INDEX node_head ON node (created_at, id, rev, run_id, project, lessee)",
		"CREATE INDEX node_head_id ON node (id, rev, created_at, run_id, project, lessee)",
		"CREATE INDEX node_class ON node (resource_class, created_at, id)",
	}
	down := []string{"DROP INDEX node_class", "DROP INDEX node_head_id", "DROP INDEX node_head", "ALTER TABLE node DROP COLUMN rev"}
	if postgres {
		up = append(up, "CREATE FUNCTION node_rev() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.rev := OLD.rev + 1; RETURN NEW; END $$",
			"CREATE TRIGGER node_rev BEFORE UPDATE ON node FOR EACH ROW EXECUTE FUNCTION node_rev()")
		down = append([]string{"DROP TRIGGER node_rev ON node", "DROP FUNCTION node_rev"}, down...)
	} else {
		up = append(up, "CREATE TRIGGER node_rev AFTER UPDATE ON node BEGIN UPDATE node SET rev = OLD.rev + 1 WHERE id = OLD.id; END")
		down = append([]string{"DROP TRIGGER node_rev"}, down...)
	}
	return goose.NewGoMigration(version, &goose.GoFunc{RunTx: all(up)}, &goose.GoFunc{RunTx: all(down)})
}

// all runs statements in a transaction.
func all(statements []string) func(ctx context.Context, tx *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		for _, s := range statements {
			if _, err := tx.ExecContext(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}
}
