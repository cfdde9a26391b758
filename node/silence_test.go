package node

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/workflow"
)

// TestSilence asks for how long an agent is silent, of which nobody could have heard it for a while.
func TestSilence(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := &Service{Options: Options{DB: d, Engine: workflow.NewEngine(d, nil, slog.New(slog.DiscardHandler))}}
		j := &Job{Service: s, Run: &workflow.Run{Group: "rack 1"}}
		now := db.Now()
		for _, tt := range []struct {
			group              string
			seen, since, until time.Duration // ago
			silent             time.Duration
		}{
			{group: "rack 1", seen: time.Minute, silent: time.Minute},
			{group: "rack 1", seen: 10 * time.Minute, silent: 10 * time.Minute},
			{group: "rack 1", seen: 10 * time.Minute, since: 9 * time.Minute, until: 2 * time.Minute, silent: 3 * time.Minute},
			{group: "rack 1", seen: 10 * time.Minute, since: 30 * time.Minute, until: 4 * time.Minute, silent: 4 * time.Minute},
			{group: "rack 2", seen: 10 * time.Minute, since: 9 * time.Minute, until: 2 * time.Minute, silent: 10 * time.Minute},
		} {
			if err := d.Tx(t.Context(), func(ctx context.Context, tx db.Tx) error {
				if _, err := tx.NewRaw("DELETE FROM standstill").Exec(ctx); err != nil || tt.since == 0 {
					return err
				}
				_, err := tx.NewRaw("INSERT INTO standstill (grp, since, until) VALUES (?, ?, ?)", tt.group, now.Add(-tt.since).UnixMilli(), now.Add(-tt.until).UnixMilli()).Exec(ctx)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			got, err := j.silence(t.Context(), &Agent{SeenAt: bun.NullTime{Time: now.Add(-tt.seen)}})
			if err != nil || got.Round(time.Minute) != tt.silent {
				t.Errorf("%+v: silent for %s, %v", tt, got, err)
			}
		}
	})
}
