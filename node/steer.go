package node

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// What can be done with a run.
const (
	RunAbort   = "abort"
	RunHold    = "hold"
	RunRelease = "release"
	RunRetry   = "retry"
	RunSkip    = "skip"
)

// RunActions are all that can be done with a run.
var RunActions = []string{RunAbort, RunHold, RunRelease, RunRetry, RunSkip}

// Steer does something with the live run of a node. by is who asks; a reason is needed to pass over a step and to hold.
func (s *Service) Steer(ctx context.Context, id ID, do, by, reason string) error {
	why := by
	if reason != "" {
		why += ": " + reason
	}
	if reason == "" && (do == RunSkip || do == RunHold) {
		return fault.Field("reason", "is needed to %s: the next one who looks at the node will want to know", do)
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		var err error
		switch do {
		case RunAbort:
			err = s.Engine.Abort(ctx, tx, string(id), why)
		case RunHold:
			err = s.Engine.Hold(ctx, tx, string(id), why)
		case RunRelease:
			err = s.Engine.Release(ctx, tx, string(id))
		case RunRetry:
			err = s.Engine.Retry(ctx, tx, string(id))
		case RunSkip:
			err = s.Engine.Skip(ctx, tx, string(id), why)
		default:
			err = fault.Field("do", "%q is none of %v", do, RunActions)
		}
		if err != nil {
			return err
		}
		return s.note(ctx, tx, id, "run", do+" by "+why)
	})
}

// Run is a run of a node and who has it in hand.
type Run struct {
	workflow.Standing
	Name string // of the node
}

// Runs returns the runs of all nodes, or of one.
func (s *Service) Runs(ctx context.Context, w workflow.Wanted) ([]Run, error) {
	standings, err := s.Engine.Standings(ctx, w)
	if err != nil || len(standings) == 0 {
		return []Run{}, err
	}
	ids := make([]string, len(standings))
	for i := range standings {
		ids[i] = standings[i].Subject
	}
	var heads []struct{ ID, Name string }
	if err := s.DB.Read().NewSelect().Model((*Node)(nil)).Column("id", "name").Where("id IN (?)", bun.List(ids)).Scan(ctx, &heads); err != nil {
		return nil, fault.E(fault.Internal, "reading the names of nodes", err)
	}
	names := map[string]string{}
	for _, h := range heads {
		names[h.ID] = h.Name
	}
	out := make([]Run, len(standings))
	for i, st := range standings {
		out[i] = Run{st, names[st.Subject]}
	}
	return out, nil
}

// RunOf returns one run with its steps.
func (s *Service) RunOf(ctx context.Context, id string) (*workflow.Run, []workflow.StepRecord, error) {
	run, err := s.Engine.Run(ctx, s.DB.Read(), workflow.RunID(id))
	if err != nil {
		return nil, nil, err
	}
	steps, err := s.Engine.History(ctx, s.DB.Read(), run.ID)
	return run, steps, err
}
