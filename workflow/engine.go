package workflow

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Tx is the transaction that hosts and services record in.
type Tx = db.Tx

// Engine starts runs and carries them on.
type Engine struct {
	db    *db.DB
	queue Queue
	defs  map[string]*definition
	log   *slog.Logger
	now   func() time.Time
	crew  crew
	held  held
	pools []Pool
	// dealer is full while somebody in this process deals slots out, or waits for another process to have done so.
	dealer chan struct{}
	// Interrupt, if set, is called between a step's end and its being recorded; an error that it returns
	// breaks the turn off, as if the process had died there. Tests stop the world here.
	Interrupt func(run Run) error
	// Spoil, if set, is told how an attempt of a step went and says how it is taken to have gone. Tests have steps fail here.
	Spoil func(run Run, result error) error
	// Observe, if set, is told of every attempt of a step that was recorded. It is set before anything starts.
	Observe func(Attempt)
}

// Attempt is one attempt of a step, for those who count.
type Attempt struct {
	Workflow, Step string
	Undo           bool
	Outcome        string        // done, waiting, retrying, failed, given up, skipped, held
	Took           time.Duration // since the step began; of attempts that end it
	Ended          Phase         // of the run, when it ended with this
	Whole          time.Duration // of the run, when it ended with this
}

// definition is a registered workflow, its subject type erased.
type definition struct {
	name   string
	steps  []step
	urgent bool
	takes  takes
	group  func(ctx context.Context, q bun.IDB, subject string) (string, error)
	open   func(ctx context.Context, run *Run) (any, func(), error)
	ended  func(ctx context.Context, tx Tx, run Run) error
}

type step struct {
	name         string
	do, undo     func(ctx context.Context, s any) error
	within       time.Duration
	notAbortable bool
	skippable    bool
	takes        takes
}

// takes says which slots something takes, its subject type erased.
type takes func(ctx context.Context, s any) ([]Slot, error)

func (d *definition) index(name string) int {
	for i := range d.steps {
		if d.steps[i].name == name {
			return i
		}
	}
	return -1
}

// NewEngine makes an engine on a database and a queue.
func NewEngine(d *db.DB, q Queue, log *slog.Logger) *Engine {
	return &Engine{db: d, queue: q, defs: map[string]*definition{}, log: log, now: db.Now, dealer: make(chan struct{}, 1)}
}

// Register makes a workflow known. It panics when the workflow can not be run: that is a defect of the program.
func Register[S any](e *Engine, w Workflow[S], h Host[S]) {
	if _, ok := e.defs[w.Name]; ok || len(w.Steps) == 0 {
		panic("workflow " + w.Name + ": registered twice, or empty")
	}
	def := &definition{
		name:   w.Name,
		urgent: w.Urgent,
		takes:  erased(w.Takes),
		group:  h.Group,
		ended:  h.Ended,
		open: func(ctx context.Context, run *Run) (any, func(), error) {
			return h.Open(ctx, run)
		},
	}
	for _, s := range w.Steps {
		if s.Do == nil || s.Within <= 0 || def.index(s.Name) >= 0 {
			panic("workflow " + w.Name + ", step " + s.Name + ": no Do, no Within, or a name used twice")
		}
		st := step{name: s.Name, within: s.Within, notAbortable: s.NotAbortable, skippable: s.Skippable, takes: erased(s.Takes)}
		st.do = func(ctx context.Context, v any) error { return s.Do(ctx, v.(S)) }
		if s.Undo != nil {
			st.undo = func(ctx context.Context, v any) error { return s.Undo(ctx, v.(S)) }
		}
		def.steps = append(def.steps, st)
	}
	e.defs[w.Name] = def
}

func erased[S any](fn func(ctx context.Context, s S) ([]Slot, error)) takes {
	if fn == nil {
		return nil
	}
	return func(ctx context.Context, v any) ([]Slot, error) { return fn(ctx, v.(S)) }
}

// Start records a run of the named workflow on subject and enqueues it, in the caller's transaction.
// input is kept with the run as JSON; nil is allowed. A subject with a live run is a Conflict.
func (e *Engine) Start(ctx context.Context, tx Tx, workflow, subject string, input any) (Run, error) {
	def, ok := e.defs[workflow]
	if !ok {
		return Run{}, fault.Errorf(fault.Internal, "no workflow %q", workflow)
	}
	if live, err := e.Live(ctx, tx, subject); err != nil {
		return Run{}, err
	} else if live != nil {
		return Run{}, fault.Errorf(fault.Conflict, "%s is still at work (%s, %s); wait for it or abort it", subject, live.Workflow, live.Step)
	}
	raw, err := json.Marshal(input)
	if err != nil {
		return Run{}, err
	}
	now := e.now()
	run := Run{
		ID: RunID(uuid.NewString()), Workflow: workflow, Subject: subject, Phase: Queued, Input: raw,
		Step: def.steps[0].name, Visit: 1, CreatedAt: now, StepAt: now,
		StepDeadline: now.Add(def.steps[0].within), Deadline: now.Add(def.within(0)), WakeAt: now, Trace: traceOf(ctx),
	}
	if run.Group, err = def.group(ctx, tx, subject); err != nil {
		return Run{}, err
	}
	if run.JobID, err = e.enqueue(ctx, tx, &run, now); err != nil {
		return Run{}, fault.E(fault.Unavailable, "enqueueing "+workflow, err)
	}
	if _, err := tx.NewInsert().Model(&run).Exec(ctx); err != nil {
		return Run{}, fault.E(fault.Internal, "recording "+workflow, err)
	}
	return run, nil
}

// enqueue has a run looked at, by whoever has to carry it on.
func (e *Engine) enqueue(ctx context.Context, tx Tx, run *Run, at time.Time) (int64, error) {
	members, err := e.working(ctx, tx)
	if err != nil {
		return 0, err
	}
	def := e.defs[run.Workflow]
	urgent := run.Abort != "" || run.Undoing || (def != nil && def.urgent)
	return e.queue.Insert(ctx, tx, Job{Run: run.ID, At: at, Queue: keeper(members, run.Group, run.Workflow, run.Subject), Urgent: urgent})
}

// within is the time limit of the steps from the i-th on.
func (d *definition) within(i int) time.Duration {
	var sum time.Duration
	for _, s := range d.steps[i:] {
		sum += s.within
	}
	return sum
}

// Nudge makes the live run of subject look again at once, because something in the world has
// happened. It does nothing when there is none.
func (e *Engine) Nudge(ctx context.Context, tx Tx, subject string) error {
	run, err := e.Live(ctx, tx, subject)
	if err != nil || run == nil {
		return err
	}
	return e.wake(ctx, tx, run)
}

func (e *Engine) wake(ctx context.Context, tx Tx, run *Run) error {
	// The counter reaches a conductor that is in the middle of the step; the queue reaches one that will come. What
	// the run is doing is read under the row's lock, behind a turn that is just being recorded.
	var now Run
	err := tx.NewRaw("UPDATE run SET nudges = nudges + 1, wake_at = ? WHERE id = ? RETURNING phase, job_id", e.now(), run.ID).Scan(ctx, &now)
	if err != nil {
		return fault.E(fault.Internal, "nudging "+run.Subject, err)
	}
	if now.Phase == Running || now.Phase == Held || now.Phase.Ended() {
		return nil
	}
	return e.queue.Nudge(ctx, tx, now.JobID)
}
