package db_test

import (
	"context"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
)

// TestGuestsPatience has PostgreSQL not answer: guests are told so, the cloud's own work waits.
func TestGuestsPatience(t *testing.T) {
	d := dbtest.Postgres(t)
	guest := db.Guest(t.Context(), "")
	asks := map[string]func(ctx context.Context, seconds float64) error{
		"a query": func(ctx context.Context, seconds float64) error {
			_, err := d.Read().NewRaw("SELECT pg_sleep(?)", seconds).Exec(ctx)
			return fault.Wrap("sleeping", err)
		},
		"a row": func(ctx context.Context, seconds float64) error {
			var nothing string
			return fault.Wrap("sleeping", d.Often(ctx, "SELECT pg_sleep(?)", []any{seconds}, &nothing))
		},
		"a transaction": func(ctx context.Context, seconds float64) error {
			return d.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
				_, err := tx.NewRaw("SELECT pg_sleep(?)", seconds).Exec(ctx)
				return fault.Wrap("sleeping", err)
			})
		},
	}
	for name, ask := range asks {
		t.Run(name, func(t *testing.T) {
			d.SetPatience(time.Hour)
			if err := ask(guest, 0); err != nil {
				t.Error("a guest who waits for long enough:", err)
			}
			d.SetPatience(20 * time.Millisecond)
			if err := ask(guest, 3600); !fault.Is(err, fault.Unavailable) {
				t.Error("a guest who does not:", err)
			}
			if err := ask(t.Context(), 0.1); err != nil {
				t.Error("the cloud itself:", err)
			}
		})
	}
}
