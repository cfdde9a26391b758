package node

import (
	"context"
	"time"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// Delete forgets a node. It must be at rest and lent to nobody. What is only asked of its BMC meanwhile is aborted, and its
// end waited for.
func (s *Service) Delete(ctx context.Context, id ID) error {
	if err := s.stopAsking(ctx, id); err != nil {
		return err
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		n, err := get(ctx, tx, id)
		if err != nil {
			return err
		}
		live, err := s.Engine.Live(ctx, tx, string(n.ID))
		if err != nil {
			return err
		}
		if n.Protected {
			return fault.Errorf(fault.Denied, "the node is protected; take the protection away first")
		}
		if live == nil && n.Owner != "" && len(n.Holds) > 0 {
			// An operator's own instance may be forgotten with its node, which the hold says to be meant.
			alone, err := s.Standalone(ctx, tx, n.ID)
			if err != nil {
				return err
			}
			if alone && s.tenant != nil {
				if err := s.tenant.Undeployed(ctx, tx, n.Owner, n.ID, ""); err != nil {
					return err
				}
				n.Owner, n.State = "", Manageable
			}
		}
		if n.Owner != "" || n.State == Active || n.State == Rescue || live != nil {
			return fault.Errorf(fault.Conflict, "the node is in use (%s); undeploy it and wait until it is at rest", n.State)
		}
		if _, err = tx.NewDelete().Model((*Node)(nil)).Where("id = ?", n.ID).Exec(ctx); err == nil {
			s.pool.Forget(ctx, string(n.ID))
		}
		return err
	})
}

// asking are the runs that change nothing but what the BMC is asked for, and may end at any time: those of a node that is deleted.
var asking = map[string]bool{verify.Name: true, deed.Name: true, console.Name: true}

// stopWithin bounds how long a deletion waits for the attempt in hand: a BMC that nobody answers for is given up after less.
const stopWithin = time.Minute

// stopAsking aborts what is only asked of the BMC of a node that nobody has, with all that waits for its turn, and waits for
// the end.
func (s *Service) stopAsking(ctx context.Context, id ID) error {
	var live *workflow.Run
	err := s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		n, err := get(ctx, tx, id)
		if err != nil {
			return err
		}
		live, err = s.Engine.Live(ctx, tx, string(id))
		if err != nil || live == nil {
			return err
		}
		if !asking[live.Workflow] || n.Owner != "" || n.Protected {
			live = nil
			return nil
		}
		n.Deeds = nil
		if _, err := tx.NewUpdate().Model(n).Column("deeds").WherePK().Exec(ctx); err != nil {
			return err
		}
		return s.Engine.Abort(ctx, tx, string(id), "the node is deleted")
	})
	if err != nil || live == nil {
		return err
	}
	err = s.outcome(ctx, live.ID, stopWithin, "stop")
	if fault.Is(err, fault.Unavailable) {
		return fault.Errorf(fault.Conflict, "the node's BMC is still being asked for something, which is aborted as soon as it answers or is given up; delete the node again then")
	}
	if fault.Is(err, fault.Conflict) {
		return nil // aborted
	}
	return err
}
