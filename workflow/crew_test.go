package workflow_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
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

// site is a host whose one step waits until it is told, and that notes which conductor looked at what.
type site struct {
	mu     sync.Mutex
	open   bool
	looks  map[workflow.Holder]map[string]int
	groups map[string]string
}

type visit struct {
	*site
	by      workflow.Holder
	subject string
}

// at is the site as one conductor sees it.
type at struct {
	*site
	by workflow.Holder
}

func (s at) Open(_ context.Context, run *workflow.Run) (*visit, func(), error) {
	return &visit{s.site, s.by, run.Subject}, func() {}, nil
}
func (s at) Ended(context.Context, workflow.Tx, workflow.Run) error { return nil }
func (s at) Group(_ context.Context, _ bun.IDB, subject string) (string, error) {
	return s.groups[subject], nil
}

func wait(_ context.Context, v *visit) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.looks[v.by] == nil {
		v.looks[v.by] = map[string]int{}
	}
	v.looks[v.by][v.subject]++
	if v.open {
		return nil
	}
	return workflow.Polling("the test", 50*time.Millisecond)
}

// seen returns which subjects a conductor looked at since the last call.
func (s *site) seen() map[workflow.Holder]map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.looks
	s.looks = map[workflow.Holder]map[string]int{}
	return was
}

// crewed is one conductor of several on a database.
type crewed struct {
	id     workflow.Holder
	engine *workflow.Engine
	stop   func()
}

func (s *site) join(t *testing.T, d *db.DB, id workflow.Holder, group string, workflows ...string) *crewed {
	t.Helper()
	m := &crewed{id: id}
	m.engine, m.stop = conduct(t, d, conductor.Options{ID: id, Group: group}, 32, func(e *workflow.Engine) {
		for _, w := range workflows {
			workflow.Register(e, workflow.Workflow[*visit]{Name: w, Steps: []workflow.Step[*visit]{{Name: "wait", Do: wait, Within: time.Minute, Skippable: true}}}, workflow.Host[*visit](at{s, id}))
		}
	})
	return m
}

// conduct runs a conductor with an engine of its own, which register prepares, until stop is called or the test ends.
func conduct(t *testing.T, d *db.DB, o conductor.Options, workers int, register func(e *workflow.Engine)) (e *workflow.Engine, stop func()) {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	var c *conductor.Conductor
	q, err := workflow.NewQueue(d, workflow.QueueOptions{Name: o.ID, Workers: workers, Poll: 20 * time.Millisecond, Log: o.Log,
		Look: func(ctx context.Context, id workflow.RunID) error { return c.Look(ctx, id) }})
	if err != nil {
		t.Fatal(err)
	}
	e = workflow.NewEngine(d, q, o.Log)
	register(e)
	c = conductor.New(d, e, o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, q, time.Second) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return e, stop
}

func (m *crewed) start(t *testing.T, d *db.DB, name string, subjects ...string) {
	t.Helper()
	for _, s := range subjects {
		err := d.Tx(t.Context(), func(ctx context.Context, tx db.Tx) error {
			_, err := m.engine.Start(ctx, tx, name, s, nil)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// until asks again and again whether something is so.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	late := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-late:
			t.Fatalf("waited 30 s for %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func newSite() *site {
	return &site{looks: map[workflow.Holder]map[string]int{}, groups: map[string]string{}}
}

// only reports whether who has looked at all of the subjects since somebody else last looked at any.
func (s *site) only(who workflow.Holder, subjects int) func() bool {
	done := map[string]int{}
	return func() bool {
		for by, looks := range s.seen() {
			if by != who {
				clear(done)
				return false
			}
			maps.Copy(done, looks)
		}
		return len(done) == subjects
	}
}

// share reports whether who looks at some of the subjects, and others at the rest.
func (s *site) share(who workflow.Holder, subjects int) func() bool {
	all := map[string]workflow.Holder{}
	return func() bool {
		for by, looks := range s.seen() {
			for subject := range looks {
				all[subject] = by
			}
		}
		n := 0
		for _, by := range all {
			if by == who {
				n++
			}
		}
		return len(all) == subjects && n > 1 && n < subjects-1
	}
}

// TestJoinDrainAndLeave has conductors come and go while runs wait: the work follows them at once.
func TestJoinDrainAndLeave(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite()
		a := s.join(t, d, "a", "", "wait/1")
		var subjects []string
		for i := range 16 {
			subjects = append(subjects, fmt.Sprint("s", i))
		}
		until(t, "a to be at work", func() bool { k, err := a.engine.KeeperOf(t.Context(), "", "s0"); return err == nil && k == "a" })
		a.start(t, d, "wait/1", subjects...)
		until(t, "a to look at all", s.only("a", len(subjects)))
		b := s.join(t, d, "b", "", "wait/1")
		until(t, "b to look at its share", s.share("b", len(subjects)))
		if err := a.engine.Drain(t.Context(), "a", true); err != nil {
			t.Fatal(err)
		}
		until(t, "a to have drained", func() bool {
			all, err := b.engine.Members(t.Context(), time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range all {
				if m.ID == "a" {
					return m.Drained()
				}
			}
			return false
		})
		until(t, "b to look at all", s.only("b", len(subjects)))
		if err := b.engine.Drain(t.Context(), "a", false); err != nil {
			t.Fatal(err)
		}
		until(t, "a to look at its share again", s.share("a", len(subjects)))
		b.stop()
		until(t, "a to look at all again", s.only("a", len(subjects)))
		if err := a.engine.Drain(t.Context(), "nobody of that name", true); err == nil {
			t.Error("a conductor that does not exist was drained")
		}
	})
}

// TestGroupsAndVersions gives runs to those conductors alone that are of their group and know their workflow; where there is
// none, they wait for one.
func TestGroupsAndVersions(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite()
		s.groups["far"] = "site-b"
		old := s.join(t, d, "old", "", "wait/1")
		young := s.join(t, d, "young", "", "wait/1", "wait/2")
		young.start(t, d, "wait/2", "near")
		young.start(t, d, "wait/1", "far")
		until(t, "the new version to look at its own", s.only("young", 1))
		if run, err := old.engine.Live(t.Context(), d.Read(), "far"); err != nil || run.Attempt > 0 || run.Group != "site-b" {
			t.Errorf("the run of another site is %+v, %v", run, err)
		}
		s.join(t, d, "there", "site-b", "wait/1")
		until(t, "the other site to look at its own", func() bool { return s.seen()["there"]["far"] > 0 })
	})
}

// TestSteer passes over a step, and gives one more time.
func TestSteer(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite()
		a := s.join(t, d, "a", "", "wait/1")
		a.start(t, d, "wait/1", "s")
		until(t, "a look", func() bool { return s.seen()["a"]["s"] > 0 })
		was, err := a.engine.Live(t.Context(), d.Read(), "s")
		if err != nil {
			t.Fatal(err)
		}
		tx := func(fn func(ctx context.Context, tx db.Tx) error) error { return d.Tx(t.Context(), fn) }
		if err := tx(func(ctx context.Context, tx db.Tx) error { return a.engine.Retry(ctx, tx, "s") }); err != nil {
			t.Fatal(err)
		}
		if now, err := a.engine.Live(t.Context(), d.Read(), "s"); err != nil || !now.StepDeadline.After(was.StepDeadline) {
			t.Errorf("the deadline is %v, was %v; %v", now.StepDeadline, was.StepDeadline, err)
		}
		if err := tx(func(ctx context.Context, tx db.Tx) error { return a.engine.Skip(ctx, tx, "s", "root: no use") }); err != nil {
			t.Fatal(err)
		}
		until(t, "the run to end", func() bool {
			run, err := a.engine.Run(t.Context(), d.Read(), was.ID)
			return err == nil && run.Phase == workflow.Done
		})
		steps, err := a.engine.History(t.Context(), d.Read(), was.ID)
		if err != nil || len(steps) != 1 || steps[0].Outcome != "skipped" || steps[0].Reason != "root: no use" {
			t.Errorf("the history is %+v, %v", steps, err)
		}
		for what, err := range map[string]error{
			"retry": tx(func(ctx context.Context, tx db.Tx) error { return a.engine.Retry(ctx, tx, "s") }),
			"skip":  tx(func(ctx context.Context, tx db.Tx) error { return a.engine.Skip(ctx, tx, "s", "again") }),
		} {
			if err == nil || !strings.Contains(err.Error(), "nothing is at work") {
				t.Errorf("%s without a run: %v", what, err)
			}
		}
	})
}
