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
