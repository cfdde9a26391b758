package node

import (
	"context"
	"fmt"

	"github.com/hagane-cloud/hagane/workflow"
)

// History is a run of a node with every step it took.
type History struct {
	Run   workflow.Run
	Steps []workflow.StepRecord
	Agent string // what the agent is doing, if it is at work for this run
}

// Histories returns the runs of a node, newest first.
func (s *Service) Histories(ctx context.Context, id ID, limit int) ([]History, error) {
	runs, err := s.Engine.Runs(ctx, s.DB.Read(), string(id), limit)
	if err != nil {
		return nil, err
	}
	a, err := agentOf(ctx, s.DB.Read(), id)
	if err != nil {
		return nil, err
	}
	out := make([]History, len(runs))
	for i, r := range runs {
		out[i].Run = r
		if out[i].Steps, err = s.Engine.History(ctx, s.DB.Read(), r.ID); err != nil {
			return nil, err
		}
		if a != nil && a.RunID == r.ID && a.Progress != nil && !a.Done && !r.Phase.Ended() {
			out[i].Agent = a.told()
		}
	}
	return out, nil
}

// told puts the agent's progress in words: "writing /dev/vda, 120 of 400 MiB (30 %)".
func (a *Agent) told() string {
	const mib = 1 << 20
	p := a.Progress
	if p.Total == 0 {
		return p.Doing
	}
	return fmt.Sprintf("%s, %d of %d MiB (%d %%)", p.Doing, p.Bytes/mib, p.Total/mib, p.Bytes*100/p.Total)
}
