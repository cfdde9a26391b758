package node

import (
	"context"
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
