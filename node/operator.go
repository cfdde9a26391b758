package node

import (
	"context"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// AskPower is SetPower in a transaction of its own.
func (s *Service) AskPower(ctx context.Context, id ID, a bmc.Action) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error { return s.SetPower(ctx, tx, id, a) })
}

// Hold is PutHold in a transaction of its own.
func (s *Service) Hold(ctx context.Context, id ID, h Hold) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error { return s.PutHold(ctx, tx, id, h) })
}

// Release lifts all holds of a node.
func (s *Service) Release(ctx context.Context, id ID) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error { return s.LiftHolds(ctx, tx, id, "") })
}

// Reachable reports with a fault what is missing in a node's record to reach its BMC.
func (s *Service) Reachable(n *Node) error {
	_, err := s.paths(n)
	return err
}

// RestartBMC has the BMC of a node at rest restarted.
func (s *Service) RestartBMC(ctx context.Context, id ID, k bmc.RestartKind) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error { return s.AskBMCRestart(ctx, tx, id, k) })
}

// Conductor is a process that drives runs.
type Conductor = workflow.Member

// Unhold lets a node's run that is held go on.
func (s *Service) Unhold(ctx context.Context, id ID) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		live, err := s.Engine.Live(ctx, tx, string(id))
		if err != nil {
			return err
		}
		if live == nil || live.Phase != workflow.Held {
			return fault.Errorf(fault.Conflict, "nothing is held on the node")
		}
		return s.Engine.Release(ctx, tx, string(id))
	})
}

// Conductors returns the conductors of the last day.
func (s *Service) Conductors(ctx context.Context) ([]Conductor, error) {
	return s.Engine.Members(ctx, 24*time.Hour)
}

// Drain has a conductor, by its name or id, take no new work, or take work again.
func (s *Service) Drain(ctx context.Context, name string, drain bool) error {
	all, err := s.Conductors(ctx)
	if err != nil {
		return err
	}
	for _, m := range all {
		if m.Name() == name {
			name = string(m.ID)
		}
	}
	return s.Engine.Drain(ctx, workflow.Holder(name), drain)
}
