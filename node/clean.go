package node

import (
	"context"
	"fmt"
	"time"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// eraseDisks has the agent erase every disk and keeps its record for the hand-over gate.
func eraseDisks(ctx context.Context, j *Job) error {
	if j.imaginary() {
		return j.update(ctx, func(n *Node) { n.Gate = &Gate{} }, "gate")
	}
	res, err := j.order(ctx, "erase", "the agent to erase the disks", func(o *protocol.Order) { o.Erase = &protocol.Erase{} })
	if err != nil {
		return err
	}
	if res == nil {
		return workflow.GiveUp(fault.Errorf(fault.Conflict, "the agent sent no record of what it erased"))
	}
	if err := complete(j.Node.Inventory, res.Erased); err != nil {
		return workflow.GiveUp(err)
	}
	return j.update(ctx, func(n *Node) { n.Gate = &Gate{Erased: res.Erased} }, "gate")
}

// complete checks that every disk we know of was erased and verified: an agent that overlooks a disk must not pass.
func complete(inv *protocol.Inventory, erased []protocol.Erased) error {
	done := map[string]bool{}
	for _, e := range erased {
		if !e.Verified {
			return fault.Errorf(fault.Conflict, "the disk %s (%s) was not proven to be blank", e.Disk, e.Serial)
		}
		done[e.Serial] = true
		done[e.Disk] = true
	}
	if inv == nil {
		return nil
	}
	for _, d := range inv.Disks {
		if !done[d.Serial] && !done[d.Name] {
			return fault.Errorf(fault.Conflict, "the disk %s (%s) of the last inventory was not erased; inspect the node if it was removed", d.Name, d.Serial)
		}
	}
	return nil
}

// apart is how far from each other the two reads are that prove a node to be off: a BMC that shows a
// stale state right after a change shows the true one by then.
const apart = 2 * time.Second

// passGate proves that the node is off and isolated, and keeps the proof. Only then may it be lent again.
func passGate(ctx context.Context, j *Job) error {
	p, err := j.witnesses(ctx)
	switch {
	case err != nil:
		return err
	case p == bmc.On:
		return powerOff(ctx, j)
	case p != bmc.Off:
		return workflow.Polling("the witnesses to agree that the power is off", j.soon())
	}
	now := db.Now()
	gate := Gate{}
	if j.Node.Gate != nil {
		gate = *j.Node.Gate
	}
	if j.imaginary() {
		gate.OffAt = []time.Time{now}
	} else if len(gate.OffAt) == 0 || now.Sub(gate.OffAt[0]) < apart {
		if len(gate.OffAt) == 0 {
			gate.OffAt = []time.Time{now}
			if err := j.update(ctx, func(n *Node) { n.Gate = &gate }, "gate"); err != nil {
				return err
			}
		}
		return workflow.Polling("a second look at the power", apart)
	} else {
		gate.OffAt = append(gate.OffAt[:1], now)
	}
	if err := j.provenAtBaseline(ctx); err != nil {
		return err
	}
	if err := j.place(ctx, func(p *Port) int {
		gate.Isolated = append(gate.Isolated, fmt.Sprintf("%s/%s", p.Switch, p.Port))
		return isolatedVLAN
	}); err != nil {
		return err
	}
	gate.PassedAt = now
	return j.update(ctx, func(n *Node) { n.Gate = &gate }, "gate")
}
