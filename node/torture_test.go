package node_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/workflow"
)

// ordeal is a kind of run that is tortured, and how it comes to be.
type ordeal struct {
	name  string
	from  node.State // where the node has to be
	begin func(w *world, ctx context.Context, tx db.Tx, id node.ID) error
	alone func(w *world, ctx context.Context, id node.ID) error // in place of begin, where there is no transaction to share
}

const lentTo = "server-1"

func verb(name string) func(w *world, ctx context.Context, id node.ID) error {
	return func(w *world, ctx context.Context, id node.ID) error { return w.Do(ctx, id, name) }
}

func steps(name string) []node.TemplateStep {
	return []node.TemplateStep{{Interface: "power", Step: "power_on"}, {Interface: "deploy", Step: name}}
}

// ordeals are all kinds of runs of nodes.
var ordeals = []ordeal{
	{name: "verify", from: node.Enroll, alone: verb("manage")},
	{name: "inspect", from: node.Manageable, alone: verb("inspect")},
	{name: "clean", from: node.Manageable, alone: verb("provide")},
	{name: "tend", from: node.Manageable, alone: func(w *world, ctx context.Context, id node.ID) error { return w.Tend(ctx, id, steps("erase_devices")) }},
	{name: "adopt", from: node.Manageable, alone: func(w *world, ctx context.Context, id node.ID) error { return w.Adopt(ctx, id) }},
	{name: "deploy", from: node.Available, begin: func(w *world, ctx context.Context, tx db.Tx, id node.ID) error {
		if _, _, err := w.Choose(ctx, tx, node.Want{ResourceClass: "baremetal", Among: []node.ID{id}}, lentTo); err != nil {
			return err
		}
		return w.Deploy(ctx, tx, id, lentTo, node.Deployment{ImageID: "none"}, nil)
	}},
	{name: "rebuild", from: node.Active, begin: func(w *world, ctx context.Context, tx db.Tx, id node.ID) error {
		return w.Redeploy(ctx, tx, id, lentTo, node.Deployment{ImageID: "other"}, nil)
	}},
	{name: "service", from: node.Active, alone: func(w *world, ctx context.Context, id node.ID) error {
		return w.Serve(ctx, id, []node.TemplateStep{{Interface: "power", Step: "power_on"}})
	}},
	{name: "rescue", from: node.Active, begin: func(w *world, ctx context.Context, tx db.Tx, id node.ID) error {
		return node.RescueHashed(w.Service, ctx, tx, id, []byte("hash"))
	}},
	{name: "unrescue", from: node.Rescue, begin: func(w *world, ctx context.Context, tx db.Tx, id node.ID) error { return w.UnrescueTx(ctx, tx, id) }},
	{name: "undeploy", from: node.Active, begin: func(w *world, ctx context.Context, tx db.Tx, id node.ID) error { return w.Undeploy(ctx, tx, id) }},
	{name: "power", from: node.Available, alone: func(w *world, ctx context.Context, id node.ID) error { return w.AskPower(ctx, id, bmc.PowerOn) }},
	{name: "restart", from: node.Active, begin: func(w *world, ctx context.Context, tx db.Tx, id node.ID) error {
		return w.AskRestart(ctx, tx, id, node.Restart{Boot: &bmc.Boot{Device: bmc.Disk}})
	}},
	{name: "restart-bmc", from: node.Active, alone: func(w *world, ctx context.Context, id node.ID) error { return w.RestartBMC(ctx, id, bmc.Warm) }},
	{name: "bmc", from: node.Available, alone: func(w *world, ctx context.Context, id node.ID) error {
		return w.AskDeed(ctx, id, node.Deed{Do: node.ClearEvents})
	}},
}

// moves are the ways from one state at rest to another in which nothing goes wrong.
func moves() map[node.State]map[node.State]ordeal {
	then := map[string]node.State{}
	for _, w := range node.Works {
		name, _, _ := strings.Cut(w.Run.Name, "/")
		for then[name] = w.Then; ; {
			i := slices.IndexFunc(node.Works, func(next node.Work) bool { return next.While == then[name] })
			if i < 0 {
				break
			}
			then[name] = node.Works[i].Then
		}
	}
	out := map[node.State]map[node.State]ordeal{}
	for _, o := range ordeals {
		if to, ok := then[o.name]; ok && o.name != "adopt" {
			if out[o.from] == nil {
				out[o.from] = map[node.State]ordeal{}
			}
			out[o.from][to] = o
		}
	}
	out[node.Available][node.Manageable] = ordeal{from: node.Available, alone: verb("manage")}
	return out
}

// way returns what leads from one state to another.
func way(from, to node.State) []ordeal {
	type path struct {
		at  node.State
		all []ordeal
	}
	seen, queue := map[node.State]bool{from: true}, []path{{from, nil}}
	for ; len(queue) > 0; queue = queue[1:] {
		if queue[0].at == to {
			return queue[0].all
		}
		for next, o := range moves()[queue[0].at] {
			if !seen[next] {
				seen[next] = true
				queue = append(queue, path{next, append(slices.Clone(queue[0].all), o)})
			}
		}
	}
	return nil
}

// ask asks for what begins a run.
func (w *world) ask(t *testing.T, o ordeal, id node.ID) {
	t.Helper()
	var err error
	if o.alone != nil {
		err = o.alone(w, t.Context(), id)
	} else {
		err = w.DB.Tx(t.Context(), func(ctx context.Context, tx db.Tx) error { return o.begin(w, ctx, tx, id) })
	}
	if err != nil {
		t.Fatalf("%s: %v", o.name, err)
	}
}

// start begins a run and returns it.
func (w *world) start(t *testing.T, o ordeal, id node.ID) workflow.Run {
	t.Helper()
	w.ask(t, o, id)
	runs, err := w.engine.Runs(t.Context(), w.DB.Read(), string(id), 2) // a node that is taken back is cleaned at once
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		if strings.HasPrefix(r.Workflow, o.name+"/") {
			return r
		}
	}
	t.Fatalf("%s began no run: %+v", o.name, runs)
	return workflow.Run{}
}

// idle waits until nothing is at work on a node.
func (w *world) idle(t *testing.T, id node.ID) *node.Node {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		live, err := w.engine.Live(t.Context(), w.DB.Read(), string(id))
		if err != nil {
			t.Fatal(err)
		}
		if live == nil {
			n, err := w.Get(t.Context(), string(id))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		select {
		case <-late:
			t.Fatalf("still at work: %+v", live)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// bring leads nodes to a state from wherever they are, by what an operator may do there: no place is without a way out.
func (w *world) bring(t *testing.T, to node.State, ids ...node.ID) {
	t.Helper()
	for range 12 {
		left := 0
		for _, id := range ids {
			if n := w.idle(t, id); n.State != to || len(n.Holds) > 0 {
				w.move(t, n, to)
				left++
			}
		}
		if left == 0 {
			return
		}
	}
	for _, id := range ids {
		if n := w.idle(t, id); n.State != to {
			t.Errorf("the node %s can not be brought to %s: it is %s (%s)", n.Name, to, n.State, n.LastError)
		}
	}
}

// move asks for what leads a node nearer to a state.
func (w *world) move(t *testing.T, n *node.Node, to node.State) {
	t.Helper()
	if len(n.Holds) > 0 {
		if err := w.Release(t.Context(), n.ID); err != nil {
			t.Fatal(err)
		}
	}
	if n.State == to {
		return
	}
	if !slices.ContainsFunc(node.Works, func(k node.Work) bool { return k.While == n.State }) {
		path := way(n.State, to)
		if len(path) == 0 {
			t.Fatalf("there is no way from %s to %s", n.State, to)
		}
		w.ask(t, path[0], n.ID)
		return
	}
	allowed := node.Allowed(node.Place{State: n.State, Failed: true})
	out := slices.IndexFunc(allowed, func(v string) bool { return v == "undeploy" || v == "manage" })
	if out < 0 {
		t.Fatalf("%s, which failed, has no way out but %v", n.State, allowed)
	}
	if err := w.Do(t.Context(), n.ID, allowed[out]); err != nil {
		t.Fatal(err)
	}
}

// torment is what is done to a run at one of its steps, and how the run must end.
type torment struct {
	name string
	// spoil says how an attempt of a step is taken to have gone. undo is the step that can not be undone.
	spoil func(w *world, step, undo string, run workflow.Run, result error) error
	dies  func(step string, run workflow.Run) bool // the turn breaks off, once
	ends  func(st workflow.StepOf) workflow.Phase
	says  func(st workflow.StepOf) string // a part of the run's error
	undo  bool                            // only where there is something to undo
}

func fails(_ *world, step, _ string, run workflow.Run, result error) error {
	if run.Step == step && !run.Undoing {
		return workflow.GiveUp(errors.New("tortured"))
	}
	return result
}

func aborts(w *world, step, _ string, run workflow.Run, result error) error {
	if run.Step != step || run.Undoing || run.Abort != "" {
		return result
	}
	err := w.DB.Tx(context.Background(), func(ctx context.Context, tx db.Tx) error {
		return w.Abort(ctx, tx, node.ID(run.Subject), "by torture")
	})
	switch {
	case err == nil:
		return workflow.Polling("the abort to be seen", time.Millisecond)
	case fault.Is(err, fault.Conflict): // it must not be interrupted
		return result
	}
	return err
}

func always(p workflow.Phase) func(workflow.StepOf) workflow.Phase {
	return func(workflow.StepOf) workflow.Phase { return p }
}

// failedIfAbortable is how a run ends that is aborted at a step. One that must not be interrupted is not: the abort is refused, or
// takes effect at the next step.
func failedIfAbortable(st workflow.StepOf) workflow.Phase {
	if st.NotAbortable {
		return ""
	}
	return workflow.Failed
}

func tortured(st workflow.StepOf) string { return st.Name + ": tortured" }

func aborted(st workflow.StepOf) string {
	if st.NotAbortable {
		return ": aborted: by torture"
	}
	return st.Name + ": aborted: by torture"
}

var torments = []torment{
	{name: "fails", spoil: fails, ends: always(workflow.Failed), says: tortured},
	{name: "breaks off", ends: always(workflow.Done), dies: func(step string, run workflow.Run) bool { return run.Step == step }},
	{name: "fails and breaks off while undone", spoil: fails, undo: true, ends: always(workflow.Failed), says: tortured,
		dies: func(_ string, run workflow.Run) bool { return run.Undoing }},
	{name: "is aborted", spoil: aborts, ends: failedIfAbortable, says: aborted},
	{name: "fails and so does an undo", undo: true, ends: always(workflow.Failed), says: func(workflow.StepOf) string { return workflow.ErrUndo },
		spoil: func(w *world, step, undo string, run workflow.Run, result error) error {
			if run.Undoing && run.Step == undo {
				return workflow.GiveUp(errors.New("tortured"))
			}
			return fails(w, step, undo, run, result)
		}},
}

// undoOf returns the last step of a workflow at or before its i-th that has something to undo; "" is none.
func undoOf(name string, i int) string {
	for _, w := range node.Works {
		for ; w.Run.Name == name && i >= 0; i-- {
			if w.Run.Steps[i].Undo != nil {
				return w.Run.Steps[i].Name
			}
		}
	}
	return ""
}

// TestTorture takes every kind of run of a node, at every step: it fails there, breaks off there as if the process had died, breaks
// off while it is undone, is aborted there, and can not be undone. Each time the run must end as it should and say why, nothing must be
// left behind, and the node must find back to where it came from by what an operator may do.
func TestTorture(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		for _, o := range ordeals {
			t.Run(o.name, func(t *testing.T) {
				t.Parallel()
				w.torture(t, o)
			})
		}
	})
}

// trial is a torment of a node of its own.
type trial struct {
	torment
	step workflow.StepOf
	undo string
	id   node.ID
	run  workflow.Run
	died atomic.Bool // the turn has broken off
}

// torture does all at the same time, as broken runs wait before they go on. With HAGANE_SOAK it does all; without, every
// fifth, and on SQLite, which is slow with the race detector, every fifteenth.
func (w *world) torture(t *testing.T, o ordeal) {
	every := 5
	switch {
	case os.Getenv("HAGANE_SOAK") != "":
		every = 1
	case !w.DB.Postgres():
		every = 15
	}
	id := w.subject(t, o.name+"-probe")
	w.bring(t, o.from, id)
	probe := w.start(t, o, id)
	w.idle(t, id)
	var trials []*trial
	var ids []node.ID
	for i, st := range w.engine.StepsOf(probe.Workflow) {
		for k, tm := range torments {
			undo := undoOf(probe.Workflow, i)
			if (undo == "" && tm.undo) || (i+k)%every > 0 {
				continue
			}
			tr := &trial{torment: tm, step: st, undo: undo, id: w.subject(t, fmt.Sprintf("%s-%d-%d", o.name, i, k))}
			tr.died.Store(tm.dies == nil)
			trials, ids = append(trials, tr), append(ids, tr.id)
		}
	}
	w.bring(t, o.from, ids...)
	for _, tr := range trials {
		w.meddle(tr.id, tr.meddling(w, probe.Workflow))
		tr.run = w.start(t, o, tr.id)
	}
	for _, tr := range trials {
		t.Run(tr.step.Name+" "+tr.name, func(t *testing.T) {
			n := w.idle(t, tr.id)
			w.meddle(tr.id, meddling{})
			w.judge(t, tr, n)
		})
	}
	if o.from != node.Enroll { // whence there is a way, but no way back
		w.bring(t, o.from, ids...)
	}
}

func (tr *trial) meddling(w *world, workflowName string) meddling {
	var m meddling
	if tr.spoil != nil {
		m.spoil = func(run workflow.Run, result error) error {
			if run.Workflow != workflowName {
				return result
			}
			return tr.spoil(w, tr.step.Name, tr.undo, run, result)
		}
	}
	m.dies = func(run workflow.Run) bool {
		return run.Workflow == workflowName && !tr.died.Load() && tr.dies(tr.step.Name, run) && tr.died.CompareAndSwap(false, true)
	}
	return m
}

// subject makes a node.
func (w *world) subject(t *testing.T, name string) node.ID {
	t.Helper()
	n, err := w.Create(t.Context(), node.Node{Name: name, Driver: "fake"}, "secret")
	if err != nil {
		t.Fatal(err)
	}
	return n.ID
}

// judge compares how a run ended with how it should have.
func (w *world) judge(t *testing.T, tr *trial, n *node.Node) {
	t.Helper()
	run, err := w.engine.Run(t.Context(), w.DB.Read(), tr.run.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := tr.ends(tr.step)
	if tr.name == "is aborted" && run.Abort == "" {
		want = workflow.Done // it was refused, as the step that was recorded last must not be interrupted
	}
	if (want != "" && run.Phase != want) || !tr.died.Load() {
		t.Errorf("the run is %s (%s), want %s; it broke off: %v", run.Phase, run.Error, want, tr.died.Load())
	}
	if run.Phase == workflow.Failed && !strings.Contains(run.Error, tr.says(tr.step)) {
		t.Errorf("the run says %q, want %q", run.Error, tr.says(tr.step))
	}
	if held := slices.ContainsFunc(n.Holds, func(h node.Hold) bool { return h.Category == "undo" }); held != strings.Contains(run.Error, workflow.ErrUndo) {
		t.Errorf("the holds are %+v after %q", n.Holds, run.Error)
	}
	w.clear(t, n, run)
	w.history(t, run)
}

// clear checks that nothing is left behind, and that what is lent is told from what is free.
func (w *world) clear(t *testing.T, n *node.Node, run *workflow.Run) {
	t.Helper()
	lent := slices.Contains([]node.State{node.Active, node.Rescue, node.Deploying, node.Rebuilding, node.Adopting, node.Servicing, node.Rescuing, node.Unrescuing, node.Deleting}, n.State)
	if (n.Owner != "") != lent {
		t.Errorf("the node is %s and lent to %q", n.State, n.Owner)
	}
	if n.State == node.Available && (n.Gate == nil || n.Gate.PassedAt.IsZero()) {
		t.Error("the node is available and did not pass the gate")
	}
	deed := slices.ContainsFunc(node.Works, func(k node.Work) bool { return k.Run.Name == run.Workflow })
	if run.Phase == workflow.Failed && deed && n.LastError == "" {
		t.Errorf("the node, %s, does not say what failed", n.State)
	}
	if n.PowerTarget != "" {
		t.Errorf("the power is still to become %s", n.PowerTarget)
	}
	for what, query := range map[string]string{
		"leases": "SELECT count(*) FROM lease WHERE subject = ? AND expires > 0",
		"slots":  "SELECT count(*) FROM slot WHERE run_id IN (SELECT id FROM run WHERE subject = ?)",
	} {
		until := time.Now().Add(10 * time.Second) // a lease is given back a moment after the run's end is recorded
		for left := 1; left > 0; {
			if err := w.DB.Read().NewRaw(query, n.ID).Scan(t.Context(), &left); err != nil || time.Now().After(until) {
				t.Fatalf("%d %s are left (%v)", left, what, err)
			}
		}
	}
}

// history checks that every step of a run is explained, and that none but those that failed was begun twice.
func (w *world) history(t *testing.T, run *workflow.Run) {
	t.Helper()
	all, err := w.engine.History(t.Context(), w.DB.Read(), run.ID)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, s := range all {
		key := fmt.Sprint(s.Step, s.Undo)
		if seen[key] || s.EndedAt.IsZero() || (s.Outcome != "done" && s.Reason == "") {
			t.Errorf("the history is not clear about %q: %+v", s.Step, s)
		}
		seen[key] = true
	}
	if steps := w.engine.StepsOf(run.Workflow); run.Phase == workflow.Done && len(all) != len(steps) {
		t.Errorf("the history has %d steps, the workflow %d", len(all), len(steps))
	}
}
