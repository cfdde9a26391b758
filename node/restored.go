package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// RestoredHold is the category of the holds that nodes have after a restore, until what is recorded was compared with what is so: the
// world went on after the backup, and a run that goes on by old records could erase what a tenant has got since.
const RestoredHold = "restored"

// MarkRestored holds every node and what was at work on it, after records as old as at were restored.
func MarkRestored(ctx context.Context, tx db.Tx, at time.Time) error {
	why := "records of " + at.UTC().Format(time.RFC3339) + " were restored"
	if err := workflow.Requeue(ctx, tx, why+"; it goes on once the node was found as recorded"); err != nil {
		return err
	}
	var all []Node
	if err := tx.NewSelect().Model(&all).Column("id", "holds").Where("state <> ?", Enroll).Scan(ctx); err != nil {
		return fault.E(fault.Internal, "reading the nodes", err)
	}
	for i := range all {
		n := &all[i]
		n.Holds = append(n.Holds, Hold{Category: RestoredHold, By: "hagane", Reason: why, Since: db.Now()})
		if _, err := tx.NewUpdate().Model(n).Column("holds").WherePK().Exec(ctx); err != nil {
			return fault.E(fault.Internal, "holding a node", err)
		}
	}
	return nil
}

// confirmAtOnce bounds how many nodes are compared in one beat.
const confirmAtOnce = 32

// Confirm compares nodes that were restored with what is so, and lets go on those that are as recorded. Others keep their hold, with
// the evidence, for an operator. It is a reconciler.
func (s *Service) Confirm(ctx context.Context, h workflow.Holder) error {
	keeps, err := s.Engine.Keeps(ctx, h)
	if err != nil {
		return err
	}
	var held []Node
	err = s.DB.Read().NewSelect().Model(&held).Column("id", "conductor_group").Where("holds LIKE ?", `%"`+RestoredHold+`"%`).Scan(ctx)
	if err != nil {
		return fault.E(fault.Internal, "finding nodes that were restored", err)
	}
	held = slices.DeleteFunc(held, func(n Node) bool { return !keeps(n.ConductorGroup, string(n.ID)) })
	return inParallel(held[:min(len(held), confirmAtOnce)], 8, func(n Node) error {
		return s.underLease(ctx, h, n.ID, s.confirm)
	})
}

func (s *Service) confirm(ctx context.Context, n *Node) error {
	i := slices.IndexFunc(n.Holds, func(h Hold) bool { return h.Category == RestoredHold })
	if i < 0 {
		return nil // lifted meanwhile
	}
	ps, err := ports(ctx, s.DB.Read(), n.ID)
	if err != nil {
		return err
	}
	run, err := s.Engine.Live(ctx, s.DB.Read(), string(n.ID))
	if err != nil {
		return err
	}
	j := s.jobOn(n, ps, run)
	defer func() { j.done() }()
	against, err := j.contradiction(ctx)
	if err != nil {
		against = "it could not be compared: " + fault.Message(err)
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if against != "" {
			if strings.Contains(n.Holds[i].Reason, against) {
				return nil
			}
			first, _, _ := strings.Cut(n.Holds[i].Reason, ";")
			h := n.Holds[i]
			h.Reason = first + "; " + against + "; when that is settled, lift the hold (baremetal node maintenance unset) and release the run"
			return s.PutHold(ctx, tx, n.ID, h)
		}
		if err := s.LiftHolds(ctx, tx, n.ID, RestoredHold); err != nil {
			return err
		}
		if j.Run == nil {
			return nil
		}
		return s.Engine.Release(ctx, tx, string(n.ID))
	})
}

// contradiction says in what the node is not as it is recorded; "" is in nothing. A node that somebody got since the backup was made
// is on that one's network, or on.
func (j *Job) contradiction(ctx context.Context) (string, error) {
	if j.imaginary() {
		return "", nil
	}
	may := map[int]bool{isolatedVLAN: true}
	if j.Run != nil {
		for _, sys := range []string{Provisioning, CleaningNet} {
			vlan, err := j.Network.SystemVLAN(ctx, sys)
			if err != nil {
				return "", err
			}
			may[vlan] = true
		}
	}
	ours := map[string]int{}
	var d Deployment
	err := j.DB.Read().NewSelect().Model(&d).Where("node_id = ?", j.Node.ID).Scan(ctx)
	if err != nil && !db.None(err) {
		return "", fault.E(fault.Internal, "reading the deployment", err)
	}
	for _, l := range d.Links {
		ours[l.MAC] = l.VLAN
	}
	seen := 0
	for _, p := range j.Ports {
		if p.Switch == "" || p.Port == "" {
			continue
		}
		vlan, err := j.Network.VLANOf(ctx, p.Switch, p.Port)
		if err != nil {
			return "", err
		}
		seen++
		tenant, ok := ours[p.MAC]
		if ok && vlan == tenant && !j.mayBeThere() {
			return fmt.Sprintf("%s/%s is on its tenant's network already, beyond the step %q: the server may be in use", p.Switch, p.Port, j.Run.Step), nil
		}
		if !may[vlan] && (!ok || vlan != tenant) {
			return fmt.Sprintf("%s/%s is on VLAN %d, of which the records know nothing: somebody may have got the node since", p.Switch, p.Port, vlan), nil
		}
	}
	if seen == 0 {
		return "no switch port of it is known, so nothing tells who has it", nil
	}
	if j.Node.State != Available {
		return "", nil
	}
	p, err := j.power(ctx)
	if err != nil {
		return "", err
	}
	if p != bmc.Off {
		return fmt.Sprintf("its power is %s, and nothing that is recorded has it on", p), nil
	}
	return "", nil
}

// mayBeThere reports whether a node may be on its tenant's networks by what is recorded.
func (j *Job) mayBeThere() bool {
	if j.Run == nil || moving(j.Node.State) == nil || j.Node.State == Deleting {
		return true
	}
	return strings.Contains(j.Run.Step, "tenant's networks") || j.Run.Step == "boot from disk"
}
