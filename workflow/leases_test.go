package workflow_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fence"
	"github.com/hagane-cloud/hagane/workflow"
)

// errands notes what an errand did.
type errands struct {
	mu                 sync.Mutex
	read, did, records []string
}

func (e *errands) errand(do func(ctx context.Context, subject string)) workflow.Errand {
	return workflow.Errand{
		Read: func(_ context.Context, subjects []string) error { e.read = subjects; return nil },
		Do: func(ctx context.Context, subject string) {
			do(ctx, subject)
			e.mu.Lock()
			defer e.mu.Unlock()
			e.did = append(e.did, subject)
		},
		Record: func(_ context.Context, _ db.Tx, subjects []string) error {
			e.records = append(e.records, subjects...)
			return nil
		},
	}
}

// TestErrand works on many under their leases: what somebody else holds is left out, what was lost meanwhile is not recorded and
// changes nothing any more, and everything is given back.
func TestErrand(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		e := workflow.NewEngine(d, nil, slog.New(slog.DiscardHandler))
		held := func() (n int) {
			if err := d.Read().NewRaw("SELECT count(*) FROM lease WHERE expires > 0").Scan(t.Context(), &n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		got, err := e.WithLease(t.Context(), "b", "other", func(ctx context.Context) error {
			w := new(errands)
			err := e.WithLeases(ctx, "me", []string{"c", "b", "a"}, w.errand(func(ctx context.Context, subject string) {
				if err := fence.Check(ctx); err != nil {
					t.Errorf("%s may not be changed: %v", subject, err)
				}
			}))
			slices.Sort(w.did)
			slices.Sort(w.records)
			for _, all := range [][]string{w.read, w.did, w.records} {
				if !slices.Equal(all, []string{"a", "c"}) {
					t.Errorf("read %v, did %v, recorded %v; want a and c each time", w.read, w.did, w.records)
				}
			}
			return err
		})
		if err != nil || !got || held() != 0 {
			t.Fatalf("%v, %v; %d leases are held", got, err, held())
		}

		w := new(errands)
		err = e.WithLeases(t.Context(), "me", []string{"a", "b"}, w.errand(func(ctx context.Context, subject string) {
			if subject != "a" {
				return
			}
			take := func(ctx context.Context, tx db.Tx) error {
				_, err := tx.NewRaw("UPDATE lease SET owner = 'other', fence = fence + 1 WHERE subject = 'a'").Exec(ctx)
				return err
			}
			if err := d.Tx(t.Context(), take); err != nil {
				t.Error(err)
			}
			if err := d.Tx(ctx, func(context.Context, db.Tx) error { return nil }); !errors.Is(err, workflow.ErrLost) {
				t.Errorf("a transaction under a lost lease: %v", err)
			}
		}))
		if !errors.Is(err, workflow.ErrLost) {
			t.Errorf("an errand of which a lease was lost: %v", err)
		}
		var owners []string
		if err := d.Read().NewRaw("SELECT owner FROM lease WHERE expires > 0").Scan(t.Context(), &owners); err != nil || !slices.Equal(owners, []string{"other"}) {
			t.Errorf("left are the leases of %v, %v", owners, err)
		}
		if err := e.WithLeases(t.Context(), "me", nil, workflow.Errand{}); err != nil {
			t.Error(err)
		}
	})
}
