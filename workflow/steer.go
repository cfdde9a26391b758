package workflow

import (
	"context"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

// atWork returns the live run of subject; that there is none is a Conflict, in which what says what was asked for.
func (e *Engine) atWork(ctx context.Context, tx Tx, subject, what string) (*Run, error) {
	run, err := e.Live(ctx, tx, subject)
	if err == nil && run == nil {
		err = fault.Errorf(fault.Conflict, "nothing is at work on %s %s", subject, what)
	}
	return run, err
}

// stepOf returns what is laid down about a run's step in hand; nil when this program does not have it.
func (e *Engine) stepOf(run *Run) *step {
	def := e.defs[run.Workflow]
	if def == nil || def.index(run.Step) < 0 {
		return nil
	}
	return &def.steps[def.index(run.Step)]
}

// Abort asks for the live run of subject to be given up and undone. It takes effect after the step in hand.
func (e *Engine) Abort(ctx context.Context, tx Tx, subject, why string) error {
	run, err := e.atWork(ctx, tx, subject, "that could be aborted")
	if err != nil {
		return err
	}
	if st := e.stepOf(run); st != nil && st.notAbortable {
		return fault.Errorf(fault.Conflict, "the step %q must not be interrupted; it ends by %s", run.Step, run.StepDeadline.Format(time.RFC3339))
	}
	if run.Firm {
		return fault.Errorf(fault.Conflict, "it must not be interrupted now (%s); ask again when that is over, by %s at the latest", run.Reason, run.StepDeadline.Format(time.RFC3339))
	}
	if _, err := tx.NewUpdate().Model((*Run)(nil)).Set("abort = ?", why).Set("hold = ''").Where("id = ?", run.ID).Exec(ctx); err != nil {
		return fault.E(fault.Internal, "aborting the run of "+subject, err)
	}
	run.Abort = why
	return e.resume(ctx, tx, run)
}

// Hold stops the live run of subject before its next step until Release.
func (e *Engine) Hold(ctx context.Context, tx Tx, subject, why string) error {
	run, err := e.atWork(ctx, tx, subject, "that could be held")
	if err != nil {
		return err
	}
	if _, err := tx.NewUpdate().Model((*Run)(nil)).Set("hold = ?", why).Where("id = ?", run.ID).Exec(ctx); err != nil {
		return fault.E(fault.Internal, "holding the run of "+subject, err)
	}
	return e.wake(ctx, tx, run)
}

// Release lets a held run go on. Its step's time starts anew.
func (e *Engine) Release(ctx context.Context, tx Tx, subject string) error {
	run, err := e.Live(ctx, tx, subject)
	if err != nil || run == nil {
		return err
	}
	if _, err := tx.NewUpdate().Model((*Run)(nil)).Set("hold = ''").Where("id = ?", run.ID).Exec(ctx); err != nil {
		return fault.E(fault.Internal, "releasing the run of "+subject, err)
	}
	if err := e.renewStep(ctx, tx, run); err != nil {
		return err
	}
	return e.resume(ctx, tx, run)
}

// resume enqueues a run that may have no job because it was held.
func (e *Engine) resume(ctx context.Context, tx Tx, run *Run) error {
	if run.Phase != Held {
		return e.wake(ctx, tx, run)
	}
	now := e.now()
	job, err := e.enqueue(ctx, tx, run, now)
	if err != nil {
		return fault.E(fault.Unavailable, "enqueueing the run of "+run.Subject, err)
	}
	_, err = tx.NewUpdate().Model((*Run)(nil)).Set("phase = ?", Queued).Set("job_id = ?", job).Set("wake_at = ?", now).
		Set("nudges = nudges + 1").Where("id = ?", run.ID).Exec(ctx)
	return err
}

// Retry gives the step in hand of the live run of subject its whole time again, and has it looked at now.
func (e *Engine) Retry(ctx context.Context, tx Tx, subject string) error {
	run, err := e.atWork(ctx, tx, subject, "that could be tried again")
	if err != nil {
		return err
	}
	if run.Phase == Held {
		return fault.Errorf(fault.Conflict, "the run is held (%s); release it", run.Hold)
	}
	if err := e.renewStep(ctx, tx, run); err != nil {
		return err
	}
	return e.wake(ctx, tx, run)
}

// renewStep lets the time of a run's step in hand begin anew.
func (e *Engine) renewStep(ctx context.Context, tx Tx, run *Run) error {
	st := e.stepOf(run)
	if st == nil {
		return nil
	}
	_, err := tx.NewUpdate().Model((*Run)(nil)).Set("step_deadline = ?", e.now().Add(st.within)).Where("id = ?", run.ID).Exec(ctx)
	return fault.Wrap("giving the run of "+run.Subject+" more time", err)
}

// Skip passes over the step in hand of the live run of subject. A step that later ones rely on can not be passed over; what should
// have been given back always can, and the subject's host then hears that it was not.
func (e *Engine) Skip(ctx context.Context, tx Tx, subject, why string) error {
	run, err := e.atWork(ctx, tx, subject, "whose step could be passed over")
	if err != nil {
		return err
	}
	st := e.stepOf(run)
	if st == nil {
		return fault.Errorf(fault.Conflict, "the step %q belongs to another version of the program; ask a process of that version", run.Step)
	}
	if !run.Undoing && !st.skippable {
		return fault.Errorf(fault.Conflict, "the step %q can not be passed over, as later ones rely on it; retry it or abort the run", run.Step)
	}
	_, err = tx.NewUpdate().Model((*Run)(nil)).Set("skip = ?", why).Set("skip_visit = ?", run.Visit).Where("id = ?", run.ID).Exec(ctx)
	if err != nil {
		return fault.E(fault.Internal, "passing over a step of "+subject, err)
	}
	return e.resume(ctx, tx, run)
}

// StepOf is what is laid down about one step of a workflow.
type StepOf struct {
	Name         string
	NotAbortable bool
	Skippable    bool
}

// StepsOf returns the steps of a workflow in their order; nil when this program does not have it.
func (e *Engine) StepsOf(workflow string) []StepOf {
	def := e.defs[workflow]
	if def == nil {
		return nil
	}
	var out []StepOf
	for _, s := range def.steps {
		out = append(out, StepOf{s.name, s.notAbortable, s.skippable})
	}
	return out
}
