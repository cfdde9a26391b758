package workflow

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Live returns the run of subject that has not ended; nil when there is none.
func (e *Engine) Live(ctx context.Context, q bun.IDB, subject string) (*Run, error) {
	run := new(Run)
	err := q.NewSelect().Model(run).Where("subject = ?", subject).Where("ended_at IS NULL").Limit(1).Scan(ctx)
	if db.None(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.E(fault.Internal, "reading the run of "+subject, err)
	}
	return run, nil
}

// Run returns one run.
func (e *Engine) Run(ctx context.Context, q bun.IDB, id RunID) (*Run, error) {
	run := new(Run)
	err := q.NewSelect().Model(run).Where("id = ?", id).Scan(ctx)
	if db.None(err) {
		return nil, fault.Errorf(fault.NotFound, "no run %s", id)
	}
	if err != nil {
		return nil, fault.E(fault.Internal, "reading run "+string(id), err)
	}
	return run, nil
}

// Runs returns the runs of subject, newest first.
func (e *Engine) Runs(ctx context.Context, q bun.IDB, subject string, limit int) ([]Run, error) {
	var runs []Run
	err := q.NewSelect().Model(&runs).Where("subject = ?", subject).OrderExpr("created_at DESC").Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, fault.E(fault.Internal, "reading the runs of "+subject, err)
	}
	return runs, nil
}

// History returns every step of a run in the order in which it was taken.
func (e *Engine) History(ctx context.Context, q bun.IDB, id RunID) ([]StepRecord, error) {
	var steps []StepRecord
	err := q.NewSelect().Model(&steps).Where("run_id = ?", id).Order("visit").Scan(ctx)
	if err != nil {
		return nil, fault.E(fault.Internal, "reading the history of run "+string(id), err)
	}
	return steps, nil
}

// Standing is a run and who has it in hand.
type Standing struct {
	Run    `bun:",extend"`
	Owner  Holder `bun:",scanonly"` // who holds the subject's lease just now; ""
	Keeper Holder `bun:",scanonly"` // in whose queue the next look is; "" when none is due
}

// Overdue reports whether the step in hand should have ended: nobody has looked at the run since.
func (s Standing) Overdue() bool {
	return !s.Phase.Ended() && s.Phase != Held && db.Now().After(s.StepDeadline)
}

// Wanted says which runs are asked for; the zero value is all that have not ended.
type Wanted struct {
	Subject string
	Phase   Phase
	Ended   bool // those that have ended, in place of those that have not
	Overdue bool
	Limit   int // 0 is no limit
}

// Standings returns runs, those first that have been at their step for longest, and of those that have ended the newest.
func (e *Engine) Standings(ctx context.Context, w Wanted) ([]Standing, error) {
	out := []Standing{}
	q := e.db.Read().NewSelect().Model(&out).ModelTableExpr("run").ColumnExpr("run.*").
		ColumnExpr("COALESCE((SELECT owner FROM lease WHERE lease.subject = run.subject AND lease.expires >= " + e.db.NowMillis() + "), '') AS owner").
		ColumnExpr("COALESCE((SELECT queue FROM river_job WHERE river_job.id = run.job_id AND " + jobLives + "), '') AS keeper")
	if w.Ended {
		q = q.Where("run.ended_at IS NOT NULL").OrderExpr("run.ended_at DESC")
	} else {
		q = q.Where("run.ended_at IS NULL").OrderExpr("run.step_at, run.id")
	}
	if w.Subject != "" {
		q = q.Where("run.subject = ?", w.Subject)
	}
	if w.Phase != "" {
		q = q.Where("run.phase = ?", w.Phase)
	}
	if w.Overdue {
		q = q.Where("run.phase <> ?", Held).Where("run.step_deadline < ?", e.now())
	}
	if w.Limit > 0 {
		q = q.Limit(int64(w.Limit))
	}
	return out, fault.Wrap("listing runs", q.Scan(ctx))
}
