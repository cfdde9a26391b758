package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// watchTogether is how many nodes are asked for their power, and recorded, together: at least so many are due in a second of 10,000.
// watchAbreast is how many are asked at the same time: more than are likely to have a BMC that does not answer.
const (
	watchTogether = 128
	watchAbreast  = 512
)

// watchAmong bounds among how many due nodes a conductor looks for its own.
const watchAmong = 20_000

// watchAgain is how long nodes that take their time are waited for before it is seen who else is due.
const watchAgain = time.Second

// Watch looks at the power of the nodes whose time has come, until none is left and all have answered or are known not to. It is a
// reconciler: call it every second or so.
func (s *Service) Watch(ctx context.Context, h workflow.Holder) error {
	r := &round{Service: s, holder: h, places: semaphore.NewWeighted(watchAbreast), asked: map[string]bool{}}
	var under errgroup.Group
	for {
		due, err := r.due(ctx)
		if err != nil {
			return errors.Join(err, under.Wait())
		}
		for some := range slices.Chunk(due, watchTogether) {
			if err := r.begin(ctx, some); err != nil {
				return errors.Join(err, under.Wait())
			}
			under.Go(func() error { return r.ask(ctx, some) })
		}
		if r.quiet(ctx) {
			return under.Wait()
		}
	}
}

// round is a time in which nodes are looked at.
type round struct {
	*Service
	holder workflow.Holder
	places *semaphore.Weighted

	mu    sync.Mutex
	asked map[string]bool // those that are being asked; each has a place
}

// due returns the nodes whose time has come and who are ours.
func (r *round) due(ctx context.Context) ([]string, error) {
	keeps, err := r.Engine.Keeps(ctx, r.holder)
	if err != nil {
		return nil, err
	}
	var heads []struct {
		ID             ID
		ConductorGroup string
	}
	err = r.DB.Read().NewSelect().Model((*Node)(nil)).Column("id", "conductor_group").Where("power_due < ?", db.Now()).Where("state <> ?", Enroll).
		OrderExpr("power_due").Limit(watchAmong).Scan(ctx, &heads)
	if err != nil {
		return nil, fault.E(fault.Internal, "finding nodes to watch", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var ours []string
	for _, n := range heads {
		if id := string(n.ID); !r.asked[id] && keeps(n.ConductorGroup, id) {
			ours = append(ours, id)
		}
	}
	return ours, nil
}

// begin waits until there are places for some more nodes.
func (r *round) begin(ctx context.Context, ids []string) error {
	if err := r.places.Acquire(ctx, int64(len(ids))); err != nil {
		return fault.E(fault.Unavailable, "looking at the power of nodes", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		r.asked[id] = true
	}
	return nil
}

// end gives the places of nodes back that still have them.
func (r *round) end(ids ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		if r.asked[id] {
			delete(r.asked, id)
			r.places.Release(1)
		}
	}
}

// quiet reports, after a while at most, whether nobody is being asked any more.
func (r *round) quiet(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, watchAgain)
	defer cancel()
	return r.places.Acquire(ctx, watchAbreast) == nil
}

// ask looks at the power of some nodes. What has not changed is recorded for all of them at once.
func (r *round) ask(ctx context.Context, ids []string) error {
	defer r.end(ids...)
	w := &watch{round: r, same: map[string]bool{}}
	return r.Engine.WithLeases(ctx, r.holder, ids, workflow.Errand{Read: w.read, Do: w.look, Record: w.record})
}

// watch is a look at the power of some nodes.
type watch struct {
	*round
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
	defer w.end(id)
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
