package audit_test

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"testing"

	"github.com/hagane-cloud/hagane/audit"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	dbtest.Stop()
	os.Exit(code)
}

// TestListHasWhatWasAnswered asks for a call's record when it has been answered, while others make the endings be
// written as Run does: a reader must not overtake a writer that is at it.
func TestListHasWhatWasAnswered(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, s := t.Context(), audit.NewService(d, slog.New(slog.DiscardHandler))
		for range 100 {
			_, end := s.Begin(ctx, audit.Record{ProjectID: "p", Service: "network", Verb: "POST", Request: "req"})
			end(audit.Answer{Status: 201, TargetID: "t"})
			lists := make([]int, 4)
			var all sync.WaitGroup
			for i := range lists {
				all.Go(func() { lists[i] = len(list(ctx, t, s)) })
			}
			all.Wait()
			for _, n := range lists {
				if n != 1 {
					t.Fatalf("%d records, not 1", n)
				}
			}
			if err := d.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
				_, err := tx.NewDelete().Model((*audit.Record)(nil)).Where("TRUE").Exec(ctx)
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func list(ctx context.Context, t *testing.T, s *audit.Service) []audit.Record {
	got, err := s.List(ctx, audit.Query{ProjectID: "p", Limit: 10})
	if err != nil {
		t.Error(err)
	}
	return got
}
