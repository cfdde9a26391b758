package db_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	dbtest.Stop()
	os.Exit(code)
}

// TestRide sees that what rides is recorded once, with the first transaction that commits, and never without one.
func TestRide(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		if _, err := d.SQL().ExecContext(t.Context(), "CREATE TABLE passenger (id TEXT PRIMARY KEY)"); err != nil {
			t.Fatal(err)
		}
		insert := func(id string) func(context.Context, db.Tx) error {
			return func(ctx context.Context, tx db.Tx) error {
				_, err := tx.ExecContext(ctx, "INSERT INTO passenger (id) VALUES ('"+id+"')")
				return err
			}
		}
		there := func(want string) {
			t.Helper()
			var got string
			var ids []string
			if err := d.Read().NewSelect().Table("passenger").Column("id").Order("id").Scan(t.Context(), &ids); err != nil {
				t.Fatal(err)
			}
			for _, id := range ids {
				got += id
			}
			if got != want {
				t.Errorf("%q is recorded, not %q", got, want)
			}
		}
		outer, outerCarried := db.Ride(t.Context(), insert("o"))
		ctx, carried := db.Ride(outer, insert("i"))
		broken := errors.New("broken")
		if err := d.Tx(ctx, func(context.Context, db.Tx) error { return broken }); !errors.Is(err, broken) || carried() {
			t.Fatalf("a transaction that was rolled back: %v, carried %v", err, carried())
		}
		there("")
		for _, id := range []string{"a", "b"} {
			if err := d.Tx(ctx, insert(id)); err != nil || !carried() || !outerCarried() {
				t.Fatalf("%v, carried %v", err, carried())
			}
		}
		there("abio")
		bad, badCarried := db.Ride(t.Context(), insert("o")) // there already
		if err := d.Tx(bad, insert("c")); err == nil || badCarried() {
			t.Errorf("what rides could not be recorded, and the transaction: %v", err)
		}
		there("abio")
	})
}
