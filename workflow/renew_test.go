package workflow_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/workflow"
)

// TestRenewOwn renews the lease that a process works under, and lets one run out that stands in its name without its knowledge: the
// answer that granted it was lost, or it could not be given back.
func TestRenewOwn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		log := slog.New(slog.DiscardHandler)
		q, err := workflow.NewQueue(d, workflow.QueueOptions{Log: log})
		if err != nil {
			t.Fatal(err)
		}
		e := workflow.NewEngine(d, q, log)
		const soon = 5000 // milliseconds: less than a renewal gives
		short := func(subject string) {
			t.Helper()
			if _, err := d.SQL().ExecContext(t.Context(), "UPDATE lease SET owner = 'a', expires = "+d.NowMillis()+" + 5000 WHERE subject = '"+subject+"'"); err != nil {
				t.Fatal(err)
			}
		}
		left := func(subject string) (n int64) {
			t.Helper()
			if err := d.SQL().QueryRowContext(t.Context(), "SELECT expires - "+d.NowMillis()+" FROM lease WHERE subject = '"+subject+"'").Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		if _, err := e.WithLease(t.Context(), "lost", "a", func(context.Context) error { return nil }); err != nil {
			t.Fatal(err)
		}
		_, err = e.WithLease(t.Context(), "ours", "a", func(ctx context.Context) error {
			short("lost")
			short("ours")
			return e.Renew(ctx, "a")
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := left("lost"); n > soon {
			t.Errorf("a lease that nobody works under was renewed: %d ms are left", n)
		}
		ok, err := e.WithLease(t.Context(), "ours", "a", func(ctx context.Context) error {
			short("ours")
			if err := e.Renew(ctx, "a"); err != nil {
				return err
			}
			if n := left("ours"); n <= soon {
				t.Errorf("the lease that is worked under was not renewed: %d ms are left", n)
			}
			return nil
		})
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
	})
}
