package workflow

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/fence"
)

// turn is one conductor's turn of work on a run, under a lease.
type turn struct {
	*Engine
	def     *definition
	run     *Run
	lease   *Lease
	subject any
	instant bool         // no step of the subject takes long
	slotted bool         // the step in hand takes slots
	unsaid  []StepRecord // steps that ended and changed nothing: they are recorded with what comes next
}

// ErrBusy says that somebody else is at work on the subject.
var ErrBusy = errors.New("somebody else is at work on it")

// Tick carries the run on until it waits, is held or ends. It returns nil when there is nothing to
// do, ErrBusy when somebody else holds the subject's lease; another error means that the turn broke off and someone must come back.
func (e *Engine) Tick(ctx context.Context, id RunID, holder Holder) error {
	run, err := e.Run(ctx, e.db.Read(), id)
	if fault.Is(err, fault.NotFound) || (err == nil && run.Phase.Ended()) {
		return nil
	}
	if err != nil {
		return err
	}
	def, ok := e.defs[run.Workflow]
	if !ok {
		return fault.Errorf(fault.Internal, "run %s began with the workflow %q, which this version does not have", id, run.Workflow)
	}
	lease, ok, err := e.acquire(ctx, run.Subject, holder)
	if err != nil {
		return err
	}
	if !ok {
		return ErrBusy
	}
	defer e.release(lease)
	t := &turn{Engine: e, def: def, lease: lease}
	// Read again under the lease: what we saw before may be another conductor's past.
	if t.run, err = e.Run(ctx, e.db.Read(), id); err != nil || t.run.Phase.Ended() {
		return err
	}
	return t.work(e.under(ctx, lease))
}

func (t *turn) work(ctx context.Context) error {
	subject, done, err := t.def.open(ctx, t.run)
	if err != nil {
		return t.stumble(ctx, err)
	}
	defer done()
	t.subject = subject
	if i, ok := subject.(Instant); ok {
		t.instant = i.Instant()
	}
	for {
		again, err := t.once(ctx)
		if err != nil || !again {
			return err
		}
	}
}

// once does one attempt of the step in hand; again says that there is more to do at once.
func (t *turn) once(ctx context.Context) (again bool, err error) {
	i := t.def.index(t.run.Step)
	if i < 0 {
		return false, fault.Errorf(fault.Internal, "run %s is at the step %q, which %s does not have", t.run.ID, t.run.Step, t.run.Workflow)
	}
	st := t.def.steps[i]
	if t.run.Abort != "" && !t.run.Undoing && !t.run.Firm && !st.notAbortable {
		return true, t.turnBack(ctx, "aborted: "+t.run.Abort)
	}
	if t.run.Hold != "" && !t.run.Undoing {
		return false, t.record(ctx, "held", func(r *Run) { r.Phase, r.Reason = Held, r.Hold })
	}
	if t.run.Skip != "" && t.run.SkipVisit == t.run.Visit {
		return t.skip(ctx, i)
	}
	if !t.run.Undoing {
		if ok, again, err := t.admitted(ctx, i); err != nil || !ok {
			return again, err
		}
	}
	seen := t.run.Nudges
	call := st.do
	if t.run.Undoing {
		call = st.undo
	}
	var result error
	touched := func() bool { return false }
	if call != nil {
		if t.run.Phase != Running && t.run.Phase != Aborting {
			// Not recorded by itself: a turn that breaks off leaves the run as it was, and the lease says who was at work.
			t.run.Phase = Running
		}
		spanned, end := t.span(ctx)
		spanned, touched = fence.Watch(spanned)
		result = t.call(spanned, call)
		end(result)
	}
	if t.Spoil != nil {
		result = t.Spoil(*t.run, result)
	}
	if ctx.Err() != nil {
		return false, fault.E(fault.Unavailable, "the turn was broken off", context.Cause(ctx))
	}
	if t.Interrupt != nil {
		if err := t.Interrupt(*t.run); err != nil {
			return false, err
		}
	}
	if result == nil && t.instant && !t.slotted && !t.run.Undoing && i < len(t.def.steps)-1 && !touched() && len(t.unsaid) < unsaidMost {
		t.passOn(i)
		return true, nil
	}
	return t.settle(ctx, i, result, seen)
}

// unsaidMost bounds how many steps are recorded together: an abort or a hold is noticed when something is recorded.
const unsaidMost = 8

// Instant is a subject that may say that none of its steps takes long. Steps of it that change nothing are recorded with what comes
// next: nobody could have seen the run at them.
type Instant interface{ Instant() bool }

// passOn goes to the next step without a transaction, because the one in hand found its goal reached and changed nothing: were it
// never recorded, it would be taken once more and find the same.
func (t *turn) passOn(i int) {
	before := *t.run
	t.run.Attempt++
	t.unsaid = append(t.unsaid, t.recordOf("done", "", true))
	t.begin(t.run, t.def.steps[i+1])
	t.observe(&before, "done")
}

// call runs a step and turns a panic into an error: a defect in one step must not take the conductor down.
func (t *turn) call(ctx context.Context, fn func(context.Context, any) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			t.log.Error("a step panicked", "run", t.run.ID, "step", t.run.Step, "panic", p, "stack", string(debug.Stack()))
			err = fault.Errorf(fault.Internal, "the step %q panicked: %v", t.run.Step, p)
		}
	}()
	return fn(ctx, t.subject)
}

// undoTries is how often an undo is tried although its error says that trying again can not help: what was
// borrowed should be given back, but nobody should wait for it to no end.
const undoTries = 3

// settle records how an attempt ended and decides what comes next.
func (t *turn) settle(ctx context.Context, i int, result error, seen int64) (again bool, err error) {
	var w *waiting
	late, err := t.late(ctx)
	if err != nil {
		return false, err
	}
	switch {
	case result == nil && t.run.Undoing:
		return t.stepBack(ctx, i, "done", "")
	case result == nil:
		return t.stepOn(ctx, i, "done")
	case errors.As(result, &w) && !late:
		t.run.Firm = w.firm // an error in between, as of a BMC that restarts, leaves it as it is
		return t.pause(ctx, "waiting", w.reason, w.poll, seen)
	case !late && (!hopeless(result) || (t.run.Undoing && t.run.Attempt+1 < undoTries)):
		return t.pause(ctx, "retrying", result.Error(), backoff(t.run.Failures+1), seen)
	}
	why := result.Error()
	if late {
		why = fmt.Sprintf("not done within %s; last: %s", t.def.steps[i].within, why)
	}
	if t.run.Undoing {
		t.log.Error("an undo gave up", "run", t.run.ID, "subject", t.run.Subject, "step", t.run.Step, "why", why)
		return t.stepBack(ctx, i, "given up", why)
	}
	return true, t.turnBack(ctx, why)
}

// late reports whether the time of the step in hand is over. Time in which nothing could be done does not count.
func (t *turn) late(ctx context.Context) (bool, error) {
	over := t.now().Sub(t.run.StepDeadline)
	if over <= 0 {
		return false, nil
	}
	stood, err := t.Stood(ctx, t.run.Group, t.run.StepAt)
	return over > stood, err
}

// skip passes over the step in hand, because an operator said so.
func (t *turn) skip(ctx context.Context, i int) (again bool, err error) {
	t.log.Warn("a step is passed over", "audit", true, "run", t.run.ID, "subject", t.run.Subject, "step", t.run.Step, "undo", t.run.Undoing, "why", t.run.Skip)
	if t.run.Undoing {
		return t.stepBack(ctx, i, "skipped", t.run.Skip)
	}
	t.run.Reason = t.run.Skip
	return t.stepOn(ctx, i, "skipped")
}

func (t *turn) stepOn(ctx context.Context, i int, outcome string) (bool, error) {
	last := i == len(t.def.steps)-1
	err := t.record(ctx, outcome, func(r *Run) {
		if last {
			t.end(r, Done)
			return
		}
		t.begin(r, t.def.steps[i+1])
	})
	return !last, err
}

// turnBack begins to undo, with the step in hand: it may have borrowed before it failed.
func (t *turn) turnBack(ctx context.Context, why string) error {
	return t.record(ctx, "failed", func(r *Run) {
		r.Error, r.Undoing = r.Step+": "+why, true
		t.begin(r, t.def.steps[t.def.index(r.Step)])
		r.Phase = Aborting
	})
}

// ErrUndo begins the Error of a run in which an undo gave up, so that hosts can hold the subject.
const ErrUndo = "could not be given back"

func (t *turn) stepBack(ctx context.Context, i int, outcome, why string) (bool, error) {
	err := t.record(ctx, outcome, func(r *Run) {
		if why != "" {
			r.Reason = why
			r.Error += fmt.Sprintf("; %s: %s: %s", ErrUndo, r.Step, why)
		}
		// Steps that have nothing to give back are passed over without a record of their own.
		for i--; i >= 0 && t.def.steps[i].undo == nil; i-- {
		}
		if i < 0 {
			t.end(r, Failed)
			return
		}
		t.begin(r, t.def.steps[i])
		r.Phase = Aborting
	})
	return err == nil && !t.run.Phase.Ended(), err
}

// pause records why the run stands still and enqueues its next look, unless it was nudged meanwhile.
func (t *turn) pause(ctx context.Context, outcome, why string, d time.Duration, seen int64) (again bool, err error) {
	before := *t.run
	gives := false
	if outcome == "retrying" {
		if gives, err = t.gives(ctx); err != nil {
			return false, err
		}
	}
	err = t.commitDealing(ctx, gives, func(ctx context.Context, tx Tx) error {
		if gives {
			if err := t.giveBack(ctx, tx); err != nil {
				return err
			}
		}
		var now Run
		// The row is locked from here on, so that a nudge, or more time, comes either before this look or after our record.
		if err := tx.NewRaw("UPDATE run SET nudges = nudges WHERE id = ? RETURNING nudges, visit, step_deadline", t.run.ID).Scan(ctx, &now); err != nil {
			return err
		}
		if now.Visit == t.run.Visit {
			t.run.StepDeadline = now.StepDeadline
		}
		again = now.Nudges != seen && outcome == "waiting"
		if !t.run.Undoing {
			t.run.Phase = Waits
		}
		t.run.Attempt++
		t.run.Failures++
		if outcome == "waiting" {
			t.run.Failures = 0
		}
		t.run.Reason = why
		t.run.WakeAt = t.now().Add(d)
		if !again {
			if t.run.JobID, err = t.enqueue(ctx, tx, t.run, t.run.WakeAt); err != nil {
				return err
			}
		}
		if err := t.save(ctx, tx); err != nil {
			return err
		}
		return t.write(ctx, tx, outcome, why, false)
	})
	if err == nil {
		t.observe(&before, outcome)
	}
	return again && err == nil, err
}

// stumble records that the subject could not even be loaded, and tries again later.
func (t *turn) stumble(ctx context.Context, cause error) error {
	late, err := t.late(ctx)
	if err != nil {
		return err
	}
	if late {
		return t.turnBack(ctx, cause.Error())
	}
	_, err = t.pause(ctx, "retrying", cause.Error(), backoff(t.run.Failures+1), t.run.Nudges)
	return err
}

// begin puts a step in hand.
func (t *turn) begin(r *Run, s step) {
	now := t.now()
	r.Step, r.Visit, r.Attempt, r.Failures, r.Phase, r.Firm = s.name, r.Visit+1, 0, 0, Running, false
	r.StepAt, r.StepDeadline, r.WakeAt, r.Reason = now, now.Add(s.within), now, ""
}

func (t *turn) end(r *Run, p Phase) {
	r.Phase, r.Reason = p, ""
	r.EndedAt = bun.NullTime{Time: t.now()}
}

// record closes the step in hand with an outcome, applies change to the run, and, when the run has ended, lets the host record it too.
func (t *turn) record(ctx context.Context, outcome string, change func(*Run)) error {
	begun := *t.run
	gives, err := t.gives(ctx)
	if err != nil {
		return err
	}
	err = t.commitDealing(ctx, gives, func(ctx context.Context, tx Tx) error {
		t.run.Attempt++
		why := t.run.Reason
		before := *t.run
		change(t.run)
		switch {
		case outcome == "failed":
			why = t.run.Error
		case outcome == "done":
			why = ""
		case t.run.Reason != "":
			why = t.run.Reason
		}
		if err := t.save(ctx, tx); err != nil {
			return err
		}
		after := t.run
		t.run = &before
		err := t.write(ctx, tx, outcome, why, outcome != "held")
		t.run = after
		if err == nil && gives {
			err = t.giveBack(ctx, tx)
		}
		if err != nil || !t.run.Phase.Ended() {
			return err
		}
		return t.def.ended(ctx, tx, *t.run)
	})
	if err != nil {
		return err
	}
	t.observe(&begun, outcome)
	return nil
}

// save writes the turn's columns, and takes over what others wrote to theirs: nudges, aborts, holds.
func (t *turn) save(ctx context.Context, tx Tx) error {
	_, err := tx.NewUpdate().Model(t.run).
		Column("phase", "step", "undoing", "firm", "visit", "attempt", "failures", "reason", "error", "job_id", "step_at", "step_deadline", "wake_at", "ended_at").
		WherePK().Returning("nudges, abort, hold, skip, skip_visit").Exec(ctx)
	return err
}

// recordOf is the history's line of the step in hand.
func (t *turn) recordOf(outcome, why string, ended bool) StepRecord {
	rec := StepRecord{
		RunID: t.run.ID, Visit: t.run.Visit, Step: t.run.Step, Undo: t.run.Undoing, Attempts: t.run.Attempt,
		Outcome: outcome, Reason: why, StartedAt: t.run.StepAt,
	}
	if ended {
		rec.EndedAt = bun.NullTime{Time: t.now()}
	}
	return rec
}

// write keeps the history of the step in hand.
func (t *turn) write(ctx context.Context, tx Tx, outcome, why string, ended bool) error {
	all := append(slices.Clone(t.unsaid), t.recordOf(outcome, why, ended))
	_, err := tx.NewInsert().Model(&all).
		On("CONFLICT (run_id, visit) DO UPDATE").
		Set("attempts = EXCLUDED.attempts").Set("outcome = EXCLUDED.outcome").
		Set("reason = CASE WHEN EXCLUDED.reason = '' THEN run_step.reason ELSE EXCLUDED.reason END").
		Set("ended_at = EXCLUDED.ended_at").Exec(ctx)
	return err
}

// commit runs fn in a transaction which, like every one under our lease, first proves and renews it: a conductor that lost it
// can record nothing any more.
func (t *turn) commit(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error {
	before := *t.run
	asked := time.Now()
	err := t.db.Tx(ctx, func(ctx context.Context, tx Tx) error {
		*t.run = before
		return fn(ctx, tx)
	})
	if err != nil {
		*t.run = before
		return err
	}
	t.unsaid = nil
	t.held.keep(t.lease, asked)
	return nil
}

// commitDealing is commit, in which slots are dealt out if deals.
func (t *turn) commitDealing(ctx context.Context, deals bool, fn func(ctx context.Context, tx Tx) error) error {
	if !deals {
		return t.commit(ctx, fn)
	}
	return t.dealing(ctx, t.commit, fn)
}
