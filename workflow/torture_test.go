package workflow_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/conductor"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

func TestMain(m *testing.M) {
	code := m.Run()
	dbtest.Stop()
	os.Exit(code)
}

// world is a subject whose steps borrow a thing each; it is told how to misbehave.
type world struct {
	mu    sync.Mutex
	did   []string        // every call, in order: "do b", "undo b"
	lent  map[string]bool // what is borrowed
	spoil func(call string) error
	ended chan workflow.Run

	instant bool // its steps take no time
}

// Instant reports what the test says.
func (w *world) Instant() bool { return w.instant }

func (w *world) call(call string, change func()) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.did = append(w.did, call)
	if w.spoil != nil {
		if err := w.spoil(call); err != nil {
			return err
		}
	}
	change()
	return nil
}

func (w *world) Open(context.Context, *workflow.Run) (*world, func(), error) {
	return w, func() {}, nil
}

// Group puts all subjects into the same group.
func (w *world) Group(context.Context, bun.IDB, string) (string, error) { return "", nil }

func (w *world) Ended(_ context.Context, _ workflow.Tx, run workflow.Run) error {
	select {
	case w.ended <- run:
	default: // the transaction was run again
	}
	return nil
}

var names = []string{"a", "b", "c", "d"}

// borrow is a workflow of four steps; each does not depend on having been done before, and c has nothing to undo.
func borrow() workflow.Workflow[*world] {
	wf := workflow.Workflow[*world]{Name: "borrow/1"}
	for _, n := range names {
		st := workflow.Step[*world]{Name: n, Within: time.Minute,
			Do:   func(_ context.Context, w *world) error { return w.call("do "+n, func() { w.lent[n] = true }) },
			Undo: func(_ context.Context, w *world) error { return w.call("undo "+n, func() { delete(w.lent, n) }) }}
		if n == "c" {
			st.Do = func(_ context.Context, w *world) error { return w.call("do c", func() {}) }
			st.Undo = nil
		}
		wf.Steps = append(wf.Steps, st)
	}
	return wf
}

type rig struct {
	*world
	engine *workflow.Engine
	db     *db.DB
}

func newRig(t *testing.T, d *db.DB) *rig {
	t.Helper()
	r := &rig{world: &world{lent: map[string]bool{}, ended: make(chan workflow.Run, 1)}, db: d}
	r.engine, _ = conduct(t, d, conductor.Options{ID: "c", Alone: true}, 4, func(e *workflow.Engine) {
		workflow.Register(e, borrow(), workflow.Host[*world](r.world))
	})
	return r
}

// run starts a run and waits for its end.
func (r *rig) run(t *testing.T) workflow.Run {
	t.Helper()
	r.start(t)
	return r.end(t)
}

// end waits for the run's end to be recorded.
func (r *rig) end(t *testing.T) workflow.Run {
	t.Helper()
	late := time.After(30 * time.Second)
	select {
	case run := <-r.ended:
		for {
			live, err := r.engine.Live(t.Context(), r.db.Read(), "subject")
			if err != nil {
				t.Fatal(err)
			}
			if live == nil {
				return run
			}
			select {
			case <-late:
				t.Fatalf("the run's end was not recorded; calls: %v", r.did)
			case <-time.After(5 * time.Millisecond):
			}
		}
	case <-late:
		t.Fatalf("the run did not end; calls: %v", r.did)
	}
	return workflow.Run{}
}

func (r *rig) start(t *testing.T) {
	t.Helper()
	err := r.db.Tx(t.Context(), func(ctx context.Context, tx db.Tx) error {
		_, err := r.engine.Start(ctx, tx, "borrow/1", "subject", nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFailAtEveryStep gives up at each step in turn: all that was borrowed is given back, in reverse,
// beginning with the failing step's own.
func TestFailAtEveryStep(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := newRig(t, d)
		for i, n := range names {
			r.did = nil
			r.spoil = func(call string) error {
				if call == "do "+n {
					return workflow.GiveUp(errors.New("broken"))
				}
				return nil
			}
			run := r.run(t)
			var want []string
			for _, done := range names[:i+1] {
				want = append(want, "do "+done)
			}
			for j := i; j >= 0; j-- {
				if names[j] != "c" {
					want = append(want, "undo "+names[j])
				}
			}
			if !slices.Equal(r.did, want) || len(r.lent) != 0 {
				t.Errorf("failing at %s: calls %v, want %v; still lent %v", n, r.did, want, r.lent)
			}
			if run.Phase != workflow.Failed || run.Error != n+": broken" {
				t.Errorf("failing at %s: the run is %s with %q", n, run.Phase, run.Error)
			}
		}
	})
}

// TestBreakOffAtEveryStep breaks each turn off after a step has ended and before that is recorded: the
// step is done once more and the run goes on.
func TestBreakOffAtEveryStep(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := newRig(t, d)
		for _, n := range names {
			r.did, r.lent = nil, map[string]bool{}
			var once sync.Once
			r.engine.Interrupt = func(run workflow.Run) (err error) {
				if run.Step == n {
					once.Do(func() { err = errors.New("the process died") })
				}
				return err
			}
			run := r.run(t)
			var want []string
			for _, s := range names {
				want = append(want, "do "+s)
				if s == n {
					want = append(want, "do "+s)
				}
			}
			if run.Phase != workflow.Done || !slices.Equal(r.did, want) {
				t.Errorf("broken off at %s: the run is %s (%s) after %v, want %v", n, run.Phase, run.Error, r.did, want)
			}
			steps, err := r.engine.History(t.Context(), d.Read(), run.ID)
			if err != nil || len(steps) != len(names) {
				t.Errorf("broken off at %s: %d steps in the history (%v), want %d", n, len(steps), err, len(names))
			}
		}
	})
}

// TestInstantSteps takes steps that change nothing: they are recorded together, each with its own line, and once more when the turn
// breaks off before that.
func TestInstantSteps(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := newRig(t, d)
		r.instant = true
		for _, breaks := range []bool{false, true} {
			r.did = nil
			var once sync.Once
			r.engine.Interrupt = func(run workflow.Run) (err error) {
				if breaks && run.Step == "c" {
					once.Do(func() { err = errors.New("the process died") })
				}
				return err
			}
			run := r.run(t)
			want := []string{"do a", "do b", "do c", "do d"}
			if breaks {
				want = append(want[:3:3], want...)
			}
			if run.Phase != workflow.Done || !slices.Equal(r.did, want) {
				t.Errorf("the run is %s (%s) after %v, want %v", run.Phase, run.Error, r.did, want)
			}
			steps, err := r.engine.History(t.Context(), d.Read(), run.ID)
			if err != nil || len(steps) != len(names) {
				t.Fatalf("%d steps in the history, %v", len(steps), err)
			}
			for i, s := range steps {
				if s.Step != names[i] || s.Outcome != "done" || s.EndedAt.IsZero() || s.Visit != int64(i+1) {
					t.Errorf("the history has %+v, want %s", s, names[i])
				}
			}
		}
	})
}

// TestAbortAtEveryStep aborts while each step waits.
func TestAbortAtEveryStep(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := newRig(t, d)
		for _, n := range names {
			waits := make(chan struct{}, 1)
			r.spoil = func(call string) error {
				if call != "do "+n {
					return nil
				}
				select {
				case waits <- struct{}{}:
				default:
				}
				return workflow.Waiting("nothing that will come")
			}
			r.start(t)
			<-waits
			if err := d.Tx(t.Context(), func(ctx context.Context, tx db.Tx) error { return r.engine.Abort(ctx, tx, "subject", "by the test") }); err != nil {
				t.Fatal(err)
			}
			run := r.end(t)
			if run.Phase != workflow.Failed || !strings.Contains(run.Error, "aborted: by the test") || len(r.lent) != 0 {
				t.Errorf("aborted at %s: the run is %s with %q; still lent %v", n, run.Phase, run.Error, r.lent)
			}
		}
	})
}

// TestHold holds a run while a step waits: the step is not taken up again before the release.
func TestHold(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := newRig(t, d)
		waits := make(chan struct{}, 1)
		looks := 0
		r.spoil = func(call string) error {
			if call != "do b" {
				return nil
			}
			if looks++; looks > 1 {
				return nil
			}
			waits <- struct{}{}
			return workflow.Waiting("an event")
		}
		r.start(t)
		<-waits
		tx := func(fn func(ctx context.Context, tx db.Tx) error) {
			t.Helper()
			if err := d.Tx(t.Context(), fn); err != nil {
				t.Fatal(err)
			}
		}
		tx(func(ctx context.Context, tx db.Tx) error { return r.engine.Hold(ctx, tx, "subject", "by the test") })
		tx(func(ctx context.Context, tx db.Tx) error { return r.engine.Nudge(ctx, tx, "subject") })
		deadline := time.After(30 * time.Second)
		for {
			live, err := r.engine.Live(t.Context(), d.Read(), "subject")
			if err != nil || live == nil {
				t.Fatalf("the held run is %+v, %v", live, err)
			}
			if live.Phase == workflow.Held {
				if live.Reason != "by the test" {
					t.Errorf("the run is held for %q", live.Reason)
				}
				break
			}
			select {
			case <-deadline:
				t.Fatalf("the run is %s, want held", live.Phase)
			case <-time.After(5 * time.Millisecond):
			}
		}
		tx(func(ctx context.Context, tx db.Tx) error { return r.engine.Release(ctx, tx, "subject") })
		if run := r.end(t); run.Phase != workflow.Done || looks != 2 {
			t.Errorf("the released run is %s after %d looks", run.Phase, looks)
		}
	})
}

// TestUndoGivesUp lets an undo fail for good: the others are carried out and the run says what was not given back.
func TestUndoGivesUp(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := newRig(t, d)
		r.spoil = func(call string) error {
			switch call {
			case "do d", "undo b":
				return fault.Errorf(fault.Invalid, "%s is impossible", call)
			}
			return nil
		}
		run := r.run(t)
		if run.Phase != workflow.Failed || !strings.Contains(run.Error, workflow.ErrUndo+": b: undo b is impossible") {
			t.Errorf("the run is %s with %q", run.Phase, run.Error)
		}
		if fmt.Sprint(r.lent) != "map[b:true]" {
			t.Errorf("still lent: %v, want b alone", r.lent)
		}
	})
}

// TestNudge lets a step wait for an event and sends it: the run goes on at once and not at the next look.
func TestNudge(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := newRig(t, d)
		happened, waits := false, make(chan struct{}, 1)
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
		r.start(t)
		<-waits
		began := time.Now()
		r.mu.Lock()
		happened = true
		r.mu.Unlock()
		if err := d.Tx(t.Context(), func(ctx context.Context, tx db.Tx) error { return r.engine.Nudge(ctx, tx, "subject") }); err != nil {
			t.Fatal(err)
		}
		if run := r.end(t); run.Phase != workflow.Done {
			t.Errorf("the run is %s: %s", run.Phase, run.Error)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the run went on after %s; the nudge was lost", took)
		}
	})
}

// TestBackOff lets a step fail after it has waited through many looks: those do not make its next attempt come late.
func TestBackOff(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := newRig(t, d)
		looks := 0
		r.spoil = func(call string) error {
			if call != "do b" {
				return nil
			}
			if looks++; looks <= 8 {
				return workflow.Polling("its turn", time.Millisecond)
			}
			return fault.Errorf(fault.Unavailable, "out of order")
		}
		r.start(t)
		for late := time.After(30 * time.Second); ; {
			run, err := r.engine.Live(t.Context(), d.Read(), "subject")
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(run.Reason, "out of order") {
				if in := run.WakeAt.Sub(db.Now()); in > 3*time.Second {
					t.Errorf("after its failure no. %d the step is tried again in %s", run.Failures, in)
				}
				return
			}
			select {
			case <-late:
				t.Fatalf("the step did not fail: %+v", run)
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
}

// TestFence takes a lease away from a turn: it can record nothing any more.
func TestFence(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := newRig(t, d)
		var once sync.Once
		r.engine.Interrupt = func(run workflow.Run) error {
			if run.Step == "b" {
				once.Do(func() {
					err := d.Tx(context.Background(), func(ctx context.Context, tx db.Tx) error {
						_, err := tx.NewRaw("UPDATE lease SET owner = 'another', fence = fence + 1 WHERE subject = 'subject'").Exec(ctx)
						return err
					})
					if err == nil {
						err = d.Tx(context.Background(), func(ctx context.Context, tx db.Tx) error {
							_, err := tx.NewRaw("UPDATE lease SET expires = 0 WHERE owner = 'another'").Exec(ctx)
							return err
						})
					}
					if err != nil {
						t.Error(err)
					}
				})
			}
			return nil
		}
		run := r.run(t)
		want := []string{"do a", "do b", "do b", "do c", "do d"}
		if run.Phase != workflow.Done || !slices.Equal(r.did, want) {
			t.Errorf("the run is %s (%s) after %v, want %v", run.Phase, run.Error, r.did, want)
		}
	})
}

// TestFirmWaitsAreNotAborted asks for an abort while a step waits for something that must not be interrupted, also while it fails in
// between: it is refused until the step waits for something else.
func TestFirmWaitsAreNotAborted(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := newRig(t, d)
		abort := func() error {
			return d.Tx(t.Context(), func(ctx context.Context, tx db.Tx) error { return r.engine.Abort(ctx, tx, "subject", "by the test") })
		}
		looks, seen := 0, make(chan int, 8)
		r.spoil = func(call string) error {
			if call != "do b" {
				return nil
			}
			looks++
			seen <- looks
			switch looks {
			case 1:
				return workflow.Firmly("the firmware to be written", time.Millisecond)
			case 2:
				return fault.Errorf(fault.Unavailable, "the BMC restarts")
			case 3:
				// Asked for meanwhile: from here on the look itself must not end in an abort.
				if err := abort(); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "the BMC restarts") {
					t.Errorf("an abort in between: %v", err)
				}
				return workflow.Waiting("nothing that will come")
			}
			return workflow.Waiting("nothing that will come")
		}
		r.start(t)
		for <-seen < 3 {
		}
		deadline := time.Now().Add(10 * time.Second)
		for err := abort(); err != nil; err = abort() {
			if time.Now().After(deadline) {
				t.Fatalf("an abort after that: %v", err)
			}
			<-time.After(5 * time.Millisecond)
		}
		run := r.end(t)
		if run.Phase != workflow.Failed || !strings.Contains(run.Error, "aborted: by the test") || len(r.lent) != 0 {
			t.Errorf("the run is %s with %q; still lent %v", run.Phase, run.Error, r.lent)
		}
	})
}
