package node_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/bmc/fake"
	"github.com/hagane-cloud/hagane/conductor"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/secret"
	"github.com/hagane-cloud/hagane/workflow"
)

func TestMain(m *testing.M) {
	code := m.Run()
	dbtest.Stop()
	os.Exit(code)
}

// world is a cloud of nodes only: a database, a conductor and a rack of fake BMCs.
type world struct {
	*node.Service
	rack   *fake.Rack
	engine *workflow.Engine

	mu      sync.Mutex
	meddles map[string]meddling // by the subjects of the runs
}

// meddling has runs go on otherwise than they would.
type meddling struct {
	spoil func(run workflow.Run, result error) error // how an attempt of a step is taken to have gone
	dies  func(run workflow.Run) bool                // whether the turn breaks off before that is recorded
}

func (w *world) meddle(subject node.ID, m meddling) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.meddles[string(subject)] = m
}

func (w *world) meddlingWith(subject string) meddling {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.meddles[subject]
}

func (w *world) spoil(run workflow.Run, result error) error {
	if m := w.meddlingWith(run.Subject); m.spoil != nil {
		return m.spoil(run, result)
	}
	return result
}

func (w *world) interrupt(run workflow.Run) error {
	if m := w.meddlingWith(run.Subject); m.dies != nil && m.dies(run) {
		return errors.New("the process died")
	}
	return nil
}

func newWorld(t *testing.T, d *db.DB) *world {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	box, err := secret.Open(t.TempDir() + "/key")
	if err != nil {
		t.Fatal(err)
	}
	var c *conductor.Conductor
	q, err := workflow.NewQueue(d, workflow.QueueOptions{Name: "c1", Workers: 8, Poll: 20 * time.Millisecond, Log: log,
		Look: func(ctx context.Context, id workflow.RunID) error { return c.Look(ctx, id) }})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{rack: fake.NewRack(), engine: workflow.NewEngine(d, q, log), meddles: map[string]meddling{}}
	w.engine.Spoil, w.engine.Interrupt = w.spoil, w.interrupt
	w.Service = node.NewService(node.Options{DB: d, Engine: w.engine, Box: box, Open: w.rack.Open, Log: log})
	c = conductor.New(d, w.engine, conductor.Options{ID: "c1", Alone: true, Log: log})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx, q, 5*time.Second) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return w
}

// until waits for a node to reach a state at rest.
func (w *world) until(t *testing.T, id node.ID, want node.State) *node.Node {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		n, err := w.Get(t.Context(), string(id))
		if err != nil {
			t.Fatal(err)
		}
		if n.State == want {
			return n
		}
		if time.Now().After(deadline) {
			runs, _ := w.engine.Runs(t.Context(), w.DB.Read(), string(id), 3)
			t.Fatalf("node is %s (%s), want %s; runs: %+v", n.State, n.LastError, want, runs)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// lend chooses the only node there is for a server and deploys nothing in particular on it.
func (w *world) lend(t *testing.T, id node.ID) {
	t.Helper()
	err := w.DB.Tx(t.Context(), func(ctx context.Context, tx db.Tx) error {
		n, _, err := w.Choose(ctx, tx, node.Want{ResourceClass: "baremetal"}, "server-1")
		if err != nil {
			return err
		}
		if n.ID != id {
			t.Errorf("chose %s, want %s", n.ID, id)
		}
		return w.Deploy(ctx, tx, n.ID, "server-1", node.Deployment{ImageID: "none"}, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestLifeOfAFakeNode(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		n, err := w.Create(t.Context(), node.Node{Name: "n1", Driver: "fake"}, "secret")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Do(t.Context(), n.ID, "provide"); err == nil {
			t.Fatal("provide from enroll was allowed")
		}
		for _, step := range []struct {
			verb string
			want node.State
		}{{"manage", node.Manageable}, {"provide", node.Available}, {"deploy", node.Active}, {"undeploy", node.Available}} {
			began := time.Now()
			if step.verb == "deploy" {
				w.lend(t, n.ID)
			} else if err := w.Do(t.Context(), n.ID, step.verb); err != nil {
				t.Fatal(err)
			}
			got := w.until(t, n.ID, step.want)
			t.Logf("%s → %s in %s", step.verb, step.want, time.Since(began).Round(time.Millisecond))
			if step.want == node.Available && (got.Gate == nil || got.Gate.PassedAt.IsZero()) {
				t.Errorf("available without a record of the hand-over gate: %+v", got.Gate)
			}
		}
		runs, err := w.engine.Runs(t.Context(), w.DB.Read(), string(n.ID), 10)
		if err != nil || len(runs) != 5 {
			t.Fatalf("%d runs (%v), want verify, clean, deploy, undeploy, clean", len(runs), err)
		}
	})
}
