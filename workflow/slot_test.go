package workflow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/conductor"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/workflow"
)

// hall is a host whose runs take a slot of the hall from their first step to their end, and one of its only door for the step
// "inside". They stay there until the test lets them leave. A subject's tenant is the part of its name before the dash.
type hall struct {
	mu      sync.Mutex
	inside  []string // who came to the step, in order
	leave   map[string]bool
	broken  map[string]int // how often the step of a subject is to fail yet
	engines []*workflow.Engine
	db      *db.DB
}

type guest struct {
	*hall
	subject string
}

func (h *hall) Open(_ context.Context, run *workflow.Run) (*guest, func(), error) {
	return &guest{h, run.Subject}, func() {}, nil
}
func (h *hall) Ended(context.Context, workflow.Tx, workflow.Run) error { return nil }
func (h *hall) Group(context.Context, bun.IDB, string) (string, error) { return "", nil }
func (g *guest) slot(pool string) []workflow.Slot {
	tenant, _, _ := strings.Cut(g.subject, "-")
	return []workflow.Slot{{Pool: pool, Key: "k", Tenant: tenant}}
}

func stay(_ context.Context, g *guest) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !slices.Contains(g.hall.inside, g.subject) {
		g.hall.inside = append(g.hall.inside, g.subject)
	}
	if g.broken[g.subject] > 0 {
		g.broken[g.subject]--
		return errors.New("broken")
	}
	if g.leave[g.subject] {
		return nil
	}
	return workflow.Polling("the test", 20*time.Millisecond)
}

func nothing(context.Context, *guest) error { return nil }

func newHall(t *testing.T, d *db.DB, conductors, hallMost, doorMost int) *hall {
	t.Helper()
	h := &hall{leave: map[string]bool{}, broken: map[string]int{}, db: d}
	for n := range conductors {
		e, _ := conduct(t, d, conductor.Options{ID: workflow.Holder(fmt.Sprint("c", n))}, 4, func(e *workflow.Engine) { h.register(e, hallMost, doorMost) })
		h.engines = append(h.engines, e)
	}
	until(t, "the conductors to be at work", func() bool {
		all, err := h.engines[0].Members(t.Context(), time.Minute)
		return err == nil && len(all) == conductors
	})
	return h
}

func (h *hall) register(e *workflow.Engine, hallMost, doorMost int) {
	e.Provide(workflow.Pool{Name: "hall", Most: hallMost, Says: "the hall"})
	e.Provide(workflow.Pool{Name: "door", Most: doorMost, Says: "its door"})
	workflow.Register(e, workflow.Workflow[*guest]{Name: "visit/1",
		Takes: func(_ context.Context, g *guest) ([]workflow.Slot, error) { return g.slot("hall"), nil },
		Steps: []workflow.Step[*guest]{
			{Name: "before", Do: nothing, Within: time.Minute},
			{Name: "inside", Do: stay, Within: time.Minute,
				Takes: func(_ context.Context, g *guest) ([]workflow.Slot, error) { return g.slot("door"), nil }},
			{Name: "after", Do: nothing, Within: time.Minute},
		}}, workflow.Host[*guest](h))
	workflow.Register(e, workflow.Workflow[*guest]{Name: "hurry/1", Urgent: true,
		Steps: []workflow.Step[*guest]{{Name: "inside", Do: stay, Within: time.Minute}}}, workflow.Host[*guest](h))
}

func (h *hall) start(t *testing.T, workflow string, subjects ...string) {
	t.Helper()
	for _, s := range subjects {
		err := h.db.Tx(t.Context(), func(ctx context.Context, tx db.Tx) error {
			_, err := h.engines[0].Start(ctx, tx, workflow, s, nil)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (h *hall) let(subjects ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range subjects {
		h.leave[s] = true
	}
}

func (h *hall) came() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.inside)
}

// line returns who waits in line at a pool, in order, and checks that what each is told of it fits.
func (h *hall) line(t *testing.T, pool string) []string {
	t.Helper()
	all, err := h.engines[0].Standings(t.Context(), workflow.Wanted{})
	if err != nil {
		t.Fatal(err)
	}
	lines, err := h.engines[0].Lines(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	places := map[int]string{}
	for _, r := range all {
		for _, l := range lines[r.ID] {
			if l.Pool == pool {
				places[l.Place] = r.Subject
			}
		}
	}
	var out []string
	for n := range len(places) {
		out = append(out, places[n+1])
	}
	return out
}

func (h *hall) crowd(t *testing.T, pool string) (granted, waiting int) {
	t.Helper()
	all, err := h.engines[0].Crowds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if c.Pool == pool && c.Key == "" {
			return c.Granted, c.Waiting
		}
	}
	t.Fatalf("no pool %s in %+v", pool, all)
	return 0, 0
}

// ended waits until nothing is at work, and that nobody has a slot then.
func (h *hall) ended(t *testing.T) {
	t.Helper()
	until(t, "all to end", func() bool {
		all, err := h.engines[0].Standings(t.Context(), workflow.Wanted{})
		return err == nil && len(all) == 0
	})
	for _, pool := range []string{"hall", "door"} {
		if granted, waiting := h.crowd(t, pool); granted+waiting > 0 {
			t.Errorf("%s: %d have a slot and %d wait, though nothing is at work", pool, granted, waiting)
		}
	}
}

func many(tenant string, n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("%s-%02d", tenant, i))
	}
	return out
}

// TestTenantsTakeTurns has a tenant ask for many and another one, later, for one: the second is let in before the first one's
// third. Nobody waits to no purpose, no more are let in than the limit says, whichever conductor carries them, and what is urgent passes by.
func TestTenantsTakeTurns(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := newHall(t, d, 2, 2, -1)
		crowd := many("many", 7)
		h.start(t, "visit/1", crowd[:2]...)
		until(t, "the first two", func() bool { return len(h.came()) == 2 })
		for n, s := range crowd[2:] { // one after the other, so that their order is known
			h.start(t, "visit/1", s)
			until(t, "it to be in line", func() bool { return len(h.line(t, "hall")) == n+1 })
		}
		h.start(t, "visit/1", "one-0")
		until(t, "the single one to be in line, before all others", func() bool { return slices.Equal(h.line(t, "hall"), append([]string{"one-0"}, crowd[2:]...)) })

		h.start(t, "hurry/1", "urgent-0")
		until(t, "the urgent one to pass by", func() bool { return slices.Contains(h.came(), "urgent-0") })
		if granted, waiting := h.crowd(t, "hall"); granted != 2 || waiting != 6 {
			t.Errorf("%d have a slot and %d wait, not 2 and 6", granted, waiting)
		}
		h.let("many-00")
		until(t, "the single one", func() bool { return slices.Contains(h.came(), "one-0") })
		h.let("one-0")
		until(t, "the next of the many", func() bool { return slices.Contains(h.came(), "many-02") })
		if line := h.line(t, "hall"); !slices.Equal(line, crowd[3:]) {
			t.Errorf("the line is %v, want %v", line, crowd[3:])
		}
		h.let(append(crowd, "urgent-0")...)
		h.ended(t)
		if came := h.came(); !slices.Equal(came, slices.Concat(crowd[:2], []string{"urgent-0", "one-0"}, crowd[2:])) {
			// The last ones leave as they come, two at a time: neighbours may change places at the step.
			for i, s := range came {
				if n := slices.Index(slices.Concat(crowd[:2], []string{"urgent-0", "one-0"}, crowd[2:]), s); n-i > 2 || i-n > 2 {
					t.Errorf("they came as %v", came)
					break
				}
			}
		}
	})
}

// TestInLine has a run wait that somebody steers: it says its place, its step's time does not run, an abort takes it out of the line
// at once, and a limit that is raised lets it in. A step that fails gives its slot to the next while it waits to be tried again.
func TestInLine(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := newHall(t, d, 1, 10, 1)
		e := h.engines[0]
		h.start(t, "visit/1", "a-0")
		until(t, "the first", func() bool { return len(h.came()) == 1 })
		h.start(t, "visit/1", "b-0")
		until(t, "one in line", func() bool { return len(h.line(t, "door")) == 1 })
		h.start(t, "visit/1", "c-0")
		until(t, "two in line", func() bool { return len(h.line(t, "door")) == 2 })
		run, err := e.Live(t.Context(), d.Read(), "c-0")
		if err != nil || run.Phase != workflow.Queued || run.Reason != "in line for door k" || run.Step != "inside" {
			t.Errorf("the run in line is %+v, %v", run, err)
		}
		if left := run.StepDeadline.Sub(db.Now()); left < time.Minute {
			t.Errorf("the time of its step runs: %s are left", left)
		}
		lines, err := e.Lines(t.Context(), run.ID)
		if err != nil || len(lines) != 1 || lines[run.ID][0].String() != "2 of 2 in line for door k, which bears 1 at once" {
			t.Errorf("its place is told as %v, %v", lines, err)
		}
		err = d.Tx(t.Context(), func(ctx context.Context, tx db.Tx) error { return e.Abort(ctx, tx, "b-0", "root") })
		if err != nil {
			t.Fatal(err)
		}
		until(t, "the aborted one to be gone", func() bool { return slices.Equal(h.line(t, "door"), []string{"c-0"}) })

		if err := e.SetLimit(t.Context(), "door", "k", 2); err != nil {
			t.Fatal(err)
		}
		until(t, "the next to be let in, as the limit is higher", func() bool { return slices.Contains(h.came(), "c-0") })
		if run, err = e.Live(t.Context(), d.Read(), "c-0"); err != nil || run.StepDeadline.Sub(db.Now()) > time.Minute {
			t.Errorf("its step's time did not begin: %+v, %v", run, err)
		}
		if err := e.SetLimit(t.Context(), "hall", "", 0); err != nil {
			t.Fatal(err)
		}
		h.start(t, "visit/1", "d-0")
		until(t, "one that may not begin", func() bool { return len(h.line(t, "hall")) == 1 })
		if run, err = e.Live(t.Context(), d.Read(), "d-0"); err != nil {
			t.Fatal(err)
		}
		if lines, err = e.Lines(t.Context(), run.ID); err != nil || !strings.Contains(lines[run.ID][0].String(), "lets nobody begin") {
			t.Errorf("its place is told as %v, %v", lines, err)
		}
		if err := e.ResetLimit(t.Context(), "hall", ""); err != nil {
			t.Fatal(err)
		}
		if err := e.ResetLimit(t.Context(), "door", "k"); err != nil {
			t.Fatal(err)
		}
		until(t, "it to wait at the door", func() bool { return slices.Equal(h.line(t, "door"), []string{"d-0"}) })

		h.mu.Lock()
		h.broken["a-0"], h.broken["c-0"] = 1, 1
		h.mu.Unlock()
		until(t, "the one in line to come in while others wait to be tried again", func() bool { return slices.Contains(h.came(), "d-0") })
		h.let("a-0", "c-0", "d-0")
		for _, s := range []string{"a-0", "c-0"} {
			err := d.Tx(t.Context(), func(ctx context.Context, tx db.Tx) error { return e.Retry(ctx, tx, s) })
			if err != nil {
				t.Fatal(err)
			}
		}
		h.ended(t)
		if err := e.SetLimit(t.Context(), "roof", "", 1); err == nil || !strings.Contains(err.Error(), "hall, door") {
			t.Errorf("a limit of what does not exist: %v", err)
		}
		if err := e.SetLimit(t.Context(), "door", "", 1<<30); err == nil {
			t.Error("a limit without bounds was taken")
		}
	})
}
