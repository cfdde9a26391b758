package workflow_test

import (
	"context"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/workflow"
)

func (r *rig) sql(t *testing.T, query string, args ...any) {
	t.Helper()
	if err := r.db.Tx(t.Context(), func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewRaw(query, args...).Exec(ctx)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// waits returns when it is recorded that the run waits.
func (r *rig) waits(t *testing.T) {
	t.Helper()
	for {
		run, err := r.engine.Live(t.Context(), r.db.Read(), "subject")
		if err != nil || run == nil {
			t.Fatalf("%+v, %v", run, err)
		}
		if run.Phase == workflow.Waits {
			return
		}
		<-time.After(5 * time.Millisecond)
	}
}

// TestPulse has no conductor alive for a while: that is noticed before and after the first one is, once, and counts as far as it is asked for.
func TestPulse(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := newRig(t, d)
		began := db.Now()
		r.run(t)
		stood := func(since time.Time) time.Duration {
			t.Helper()
			got, err := r.engine.Stood(t.Context(), "", since)
			if err != nil {
				t.Fatal(err)
			}
			return got.Round(10 * time.Second)
		}
		for range 2 {
			if err := r.engine.Renew(t.Context(), "c"); err != nil {
				t.Fatal(err)
			}
		}
		if got := stood(began.Add(-time.Hour)); got != 0 {
			t.Errorf("all is well, and it stood for %s", got)
		}
		r.sql(t, "UPDATE pulse SET at = at - 600000")
		for _, when := range []string{"while nobody has noticed", "afterwards", "when all is long well"} {
			// The conductor renews beside us: it may be it who notices.
			if got := stood(began.Add(-time.Hour)); got != 10*time.Minute {
				t.Errorf("%s, ten minutes stood are %s", when, got)
			}
			if got := stood(db.Now().Add(-4 * time.Minute)); got != 4*time.Minute {
				t.Errorf("%s, of the last four minutes %s stood", when, got)
			}
			if other, err := r.engine.Stood(t.Context(), "elsewhere", began.Add(-time.Hour)); err != nil || other != 0 {
				t.Errorf("another group stood for %s, %v", other, err)
			}
			if err := r.engine.Renew(t.Context(), "c"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestTimeThatDoesNotCount lets a step wait beyond its limit: it fails, unless nothing could be done for as long.
func TestTimeThatDoesNotCount(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := newRig(t, d)
		for _, tt := range []struct {
			stood time.Duration
			want  workflow.Phase
		}{{0, workflow.Failed}, {2 * time.Minute, workflow.Failed}, {8 * time.Minute, workflow.Done}} {
			waits, happened := make(chan struct{}, 1), false
			r.mu.Lock()
			r.spoil = func(call string) error {
				if call == "do b" && !happened {
					select {
					case waits <- struct{}{}:
					default:
					}
					return workflow.Waiting("the event")
				}
				return nil
			}
			r.mu.Unlock()
			r.start(t)
			<-waits
			r.waits(t)
			r.sql(t, "DELETE FROM standstill")
			r.sql(t, "INSERT INTO standstill (grp, since, until) VALUES ('', ?, ?)", db.Now().Add(-tt.stood-time.Second).UnixMilli(), db.Now().Add(-time.Second).UnixMilli())
			r.sql(t, "UPDATE run SET step_at = ?, step_deadline = ? WHERE ended_at IS NULL", db.Now().Add(-10*time.Minute), db.Now().Add(-5*time.Minute))
			nudge := func() {
				t.Helper()
				if err := d.Tx(t.Context(), func(ctx context.Context, tx db.Tx) error { return r.engine.Nudge(ctx, tx, "subject") }); err != nil {
					t.Fatal(err)
				}
			}
			nudge()
			if tt.want == workflow.Done {
				<-waits // it was looked at once more, and goes on waiting
				r.mu.Lock()
				happened = true
				r.mu.Unlock()
				nudge()
			}
			if run := r.end(t); run.Phase != tt.want {
				t.Errorf("with %s that do not count the run is %s: %s", tt.stood, run.Phase, run.Error)
			}
		}
	})
}
