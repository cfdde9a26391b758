package node

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// How often the power of a node is looked at when nothing happens, and when its BMC does not answer.
// Ironic's rhythm is 120 s too; weak BMCs bear no more.
const (
	idlePoll = 120 * time.Second
	deadPoll = 300 * time.Second
)

// SetPower asks for a change of power of a node at rest.
func (s *Service) SetPower(ctx context.Context, tx db.Tx, id ID, a bmc.Action) error {
	n, err := get(ctx, tx, id)
	if err != nil {
		return err
	}
	if moving(n.State) != nil {
		at, err := s.placeOf(ctx, tx, n)
		if err != nil {
			return err
		}
		if !at.Failed {
			return fault.Errorf(fault.Conflict, "the node is %s, which looks after the power itself; wait or abort", n.State)
		}
	}
	if _, err := s.Engine.Start(ctx, tx, power.Name, string(id), a); err != nil {
		return err
	}
	_, err = tx.NewUpdate().Model((*Node)(nil)).Set("power_target = ?", a).Where("id = ?", id).Exec(ctx)
	return err
}

func (s *Service) powerEnded(ctx context.Context, tx db.Tx, n *Node, run workflow.Run) error {
	n.PowerTarget, n.LastError = "", run.Error
	if run.Phase == workflow.Failed {
		if err := s.note(ctx, tx, n.ID, "failed", "power: "+run.Error); err != nil {
			return err
		}
	}
	_, err := tx.NewUpdate().Model(n).Column("power_target", "last_error", "holds").WherePK().Exec(ctx)
	return err
}

// power reads the power and records it: at once when it changed, else so often that the watch need not look.
func (j *Job) power(ctx context.Context) (bmc.Power, error) {
	d, err := j.BMC(ctx)
	if err != nil {
		return bmc.Unknown, err
	}
	p, err := d.Power(ctx)
	if err != nil {
		j.keepTrace(ctx, err)
		return bmc.Unknown, err
	}
	if p != j.Node.Power || j.Node.PowerAt.Before(db.Now().Add(-idlePoll/2)) || j.Node.PowerAt.IsZero() {
		return p, j.update(ctx, func(n *Node) { n.saw(p) }, "power", "power_at", "power_due")
	}
	return p, nil
}

func (n *Node) saw(p bmc.Power) {
	now := db.Now()
	n.Power, n.PowerAt, n.PowerDue = p, bun.NullTime{Time: now}, now.Add(idlePoll)
}

// powerOff cuts the power.
func powerOff(ctx context.Context, j *Job) error { return j.reach(ctx, bmc.Off, bmc.PowerOff, nil) }

// softFor is how long an operating system is given to shut down before we say that it does not.
const softFor = 10 * time.Minute

// changePower carries out what SetPower asked for.
func changePower(ctx context.Context, j *Job) error {
	a, err := input[bmc.Action](j)
	if err != nil {
		return err
	}
	switch a {
	case bmc.PowerOn:
		return j.reach(ctx, bmc.On, a, nil)
	case bmc.PowerOff:
		return j.reach(ctx, bmc.Off, a, nil)
	case bmc.SoftOff:
		return j.softOff(ctx)
	case bmc.Reset:
		return j.reset(ctx)
	}
	return workflow.GiveUp(fault.Errorf(fault.Invalid, "%q is no power action", a))
}

// reset presses reset once, and again as long as the BMC does not take it. A crash between the press and its record presses it
// once more: harmless to a machine that is just starting, and the only choice, since no BMC tells that it was reset.
func (j *Job) reset(ctx context.Context) error {
	if times, _ := j.presses(); times == 0 {
		d, err := j.BMC(ctx)
		if err != nil {
			return err
		}
		if err := d.SetPower(ctx, bmc.Reset); err != nil {
			return fault.Wrap("reset", err)
		}
		j.notePress()
	}
	return j.reach(ctx, bmc.On, bmc.PowerOn, nil)
}

// watchAtOnce bounds how many BMCs are asked in one beat of the watch: 100,000 nodes have their turn within idlePoll when a
// beat is a second long. watchAbreast is how many of them are asked at the same time.
const (
	watchAtOnce  = 1024
	watchAbreast = 64
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
	var ours []ID
	for _, n := range heads {
		if len(ours) < watchAtOnce && keeps(n.ConductorGroup, string(n.ID)) {
			ours = append(ours, n.ID)
		}
	}
	return inParallel(ours, watchAbreast, func(id ID) error {
		return s.underLease(ctx, h, id, func(ctx context.Context, n *Node) error {
			if n.PowerDue.After(db.Now()) {
				return nil
			}
			return s.look(ctx, n)
		})
	})
}

// underLease does something with a node, read under its lease as somebody else may have been there since it was found; nothing when
// somebody holds it.
func (s *Service) underLease(ctx context.Context, h workflow.Holder, id ID, fn func(ctx context.Context, n *Node) error) error {
	_, err := s.Engine.WithLease(ctx, string(id), h, func(ctx context.Context) error {
		n, err := get(ctx, s.DB.Read(), id)
		if err != nil {
			return err
		}
		return fn(ctx, n)
	})
	return err
}

// look reads the power of one node and records what it saw, or that it could not see.
func (s *Service) look(ctx context.Context, n *Node) error {
	j := s.jobOn(n, nil, nil)
	defer func() { j.done() }()
	was := n.Power
	p, err := bmc.Unknown, error(nil)
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
	n.saw(p)
	if err != nil {
		n.PowerDue = db.Now().Add(deadPoll)
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
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
