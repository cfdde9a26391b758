package node

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// watchAtOnce bounds how many BMCs are asked in one beat of the watch: 100,000 nodes have their turn within idlePoll when a
// beat is a second long. watchTogether is how many of them are asked, and recorded, together; so many such batches are under way at a time
// that those with a BMC that does not answer do not hold up the rest.
const (
	watchAtOnce   = 1024
	watchTogether = 32
	watchBatches  = 8
)

// watchAmong bounds among how many due nodes a conductor looks for its own.
const watchAmong = 20 * watchAtOnce

// Watch looks at the power of the nodes whose time has come. It is a reconciler: call it every second or so.
func (s *Service) Watch(ctx context.Context, h workflow.Holder) error {
	keeps, err := s.Engine.Keeps(ctx, h)
	if err != nil {
		return err
	}
	var heads []struct {
		ID             ID
		ConductorGroup string
	}
	err = s.DB.Read().NewSelect().Model((*Node)(nil)).Column("id", "conductor_group").Where("power_due < ?", db.Now()).Where("state <> ?", Enroll).
		OrderExpr("power_due").Limit(watchAmong).Scan(ctx, &heads)
	if err != nil {
		return fault.E(fault.Internal, "finding nodes to watch", err)
	}
	var ours []string
	for _, n := range heads {
		if len(ours) < watchAtOnce && keeps(n.ConductorGroup, string(n.ID)) {
			ours = append(ours, string(n.ID))
		}
	}
	return inParallel(slices.Collect(slices.Chunk(ours, watchTogether)), watchBatches, func(some []string) error { return s.watchSome(ctx, h, some) })
}

// watchSome looks at the power of some nodes. What has not changed is recorded for all of them at once.
func (s *Service) watchSome(ctx context.Context, h workflow.Holder, ids []string) error {
	w := &watch{Service: s, same: map[string]bool{}}
	return s.Engine.WithLeases(ctx, h, ids, workflow.Errand{Read: w.read, Do: w.look, Record: w.record})
}

// watch is a look at the power of some nodes.
type watch struct {
	*Service
	nodes map[ID]*Node // as they are under their leases: somebody else may have been there since they were found

	mu   sync.Mutex
	same map[string]bool // those whose power is what it was
}

func (w *watch) read(ctx context.Context, subjects []string) (err error) {
	ids := make([]ID, len(subjects))
	for i, id := range subjects {
		ids[i] = ID(id)
	}
	w.nodes, err = w.ByID(ctx, ids)
	return err
}

func (w *watch) look(ctx context.Context, id string) {
	n := w.nodes[ID(id)]
	if n == nil || n.PowerDue.After(db.Now()) {
		return
	}
	same, err := w.Service.look(ctx, n)
	if err != nil {
		if ctx.Err() == nil {
			w.Log.Warn("the power of a node could not be recorded", "node", id, "error", err)
		}
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.same[id] = same
}

func (w *watch) record(ctx context.Context, tx db.Tx, ended []string) error {
	w.mu.Lock()
	same := slices.DeleteFunc(slices.Clone(ended), func(id string) bool { return !w.same[id] })
	w.mu.Unlock()
	if len(same) == 0 {
		return nil
	}
	now := db.Now()
	_, err := tx.NewUpdate().Model((*Node)(nil)).Set("power_at = ?", now).Set("power_due = ?", now.Add(idlePoll)).Where("id IN (?)", bun.List(same)).Exec(ctx)
	return fault.Wrap("recording that the power of nodes is what it was", err)
}

// look reads the power of one node and records what it saw, or that it could not see; unless that is the same as before, which it only
// reports.
func (s *Service) look(ctx context.Context, n *Node) (same bool, err error) {
	j := s.jobOn(n, nil, nil)
	defer func() { j.done() }()
	was := n.Power
	p := bmc.Unknown
	if d, openErr := j.BMC(ctx); openErr != nil {
		err = openErr
	} else {
		p, err = d.Power(ctx)
		if err == nil && p != was && was != bmc.Unknown && !j.imaginary() {
			// Nobody asked for it: all witnesses are heard before it is believed.
			p, err = j.witnesses(ctx)
		}
		if err == nil {
			if err := j.checkHealth(ctx, d); err != nil && !lacking(err) {
				s.Log.Debug("the health of a node could not be read", "node", n.ID, "err", err)
			}
		}
	}
	if p == was && err == nil {
		return true, nil
	}
	n.saw(p)
	if err != nil {
		n.PowerDue = db.Now().Add(deadPoll)
	}
	return false, s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if p != was {
			text := fmt.Sprintf("power: %s, was %s", p, was)
			if err != nil {
				text += ": " + err.Error()
			}
			if err := s.note(ctx, tx, n.ID, "power", text); err != nil {
				return err
			}
		}
		_, err := tx.NewUpdate().Model(n).Column("power", "power_at", "power_due").WherePK().Exec(ctx)
		return err
	})
}
