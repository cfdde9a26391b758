package node

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// replug is what a run is told that moves one NIC of an active node onto a tenant's network, or off it. The NIC's link is recorded
// before its VLAN is opened and forgotten after it was closed: while one of the two is not so, the link is there.
type replug struct {
	MAC  string `json:"mac"`
	VLAN int    `json:"vlan"` // isolatedVLAN takes it off
	Was  int    `json:"was"`
}

// attach moves a NIC of a node at rest at its switch. The system that runs on the node goes on meanwhile.
var attach = workflow.Workflow[*Job]{Name: "attach/1", Steps: []workflow.Step[*Job]{
	{Name: "set the switch port", Do: setPlug, Undo: resetPlug, Within: 2 * time.Minute, Takes: takesSwitches},
}}

func setPlug(ctx context.Context, j *Job) error {
	r, err := input[replug](j)
	if err != nil {
		return err
	}
	return j.replace(ctx, r.MAC, r.VLAN)
}

func resetPlug(ctx context.Context, j *Job) error {
	r, err := input[replug](j)
	if err != nil {
		return err
	}
	return j.replace(ctx, r.MAC, r.Was)
}

// replace puts one port on a VLAN and leaves the others where they are.
func (j *Job) replace(ctx context.Context, mac string, vlan int) error {
	i := slices.IndexFunc(j.Ports, func(p Port) bool { return p.MAC == mac })
	if i < 0 {
		return workflow.GiveUp(fault.Errorf(fault.NotFound, "the node has no port %s any more", mac))
	}
	j.Ports = j.Ports[i : i+1]
	return j.place(ctx, func(*Port) int { return vlan })
}

// Attach begins to plug a NIC of an active node into a tenant's network, in the caller's transaction.
func (s *Service) Attach(ctx context.Context, tx db.Tx, id ID, l Link) (workflow.RunID, error) {
	d, err := s.linked(ctx, tx, id)
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(d.Links, func(have Link) bool { return have.MAC == l.MAC }) {
		return "", fault.Errorf(fault.Conflict, "the node's port %s is on a network already", l.MAC)
	}
	d.Links = append(d.Links, l)
	if _, err := tx.NewUpdate().Model(d).Column("links").WherePK().Exec(ctx); err != nil {
		return "", err
	}
	return s.beginReplug(ctx, tx, id, replug{MAC: l.MAC, VLAN: l.VLAN, Was: isolatedVLAN})
}

// Detach begins to take a NIC of an active node off its tenant's network, in the caller's transaction.
func (s *Service) Detach(ctx context.Context, tx db.Tx, id ID, mac string) (workflow.RunID, error) {
	d, err := s.linked(ctx, tx, id)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(d.Links, func(l Link) bool { return l.MAC == mac })
	if i < 0 {
		return "", fault.Errorf(fault.Conflict, "the node's port %s is on no network", mac)
	}
	return s.beginReplug(ctx, tx, id, replug{MAC: mac, VLAN: isolatedVLAN, Was: d.Links[i].VLAN})
}

// linked reads what is deployed on a node that is active.
func (s *Service) linked(ctx context.Context, tx db.Tx, id ID) (*Deployment, error) {
	n, err := get(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	if n.State != Active {
		return nil, fault.Errorf(fault.Conflict, "the node is %s; interfaces are attached and detached while it is active", n.State)
	}
	d := new(Deployment)
	err = tx.NewSelect().Model(d).Where("node_id = ?", id).Scan(ctx)
	return d, fault.Wrap("reading the deployment", err)
}

func (s *Service) beginReplug(ctx context.Context, tx db.Tx, id ID, r replug) (workflow.RunID, error) {
	run, err := s.Engine.Start(ctx, tx, attach.Name, string(id), r)
	return run.ID, err
}

// Attached waits until a NIC is where Attach or Detach wants it; a Conflict says why it is not.
func (s *Service) Attached(ctx context.Context, run workflow.RunID) error {
	return s.outcome(ctx, run, attach.Within(), "set the switch port")
}

// attachEnded forgets the link of a NIC that is off the tenant's network, and tells the tenant. Where it could not be found out where
// the NIC is, the link stays: the port's addresses must be nobody else's meanwhile.
func (s *Service) attachEnded(ctx context.Context, tx db.Tx, n *Node, run workflow.Run) error {
	j := &Job{Run: &run}
	r, err := input[replug](j)
	if err != nil {
		return err
	}
	if run.Phase == workflow.Failed {
		if err := s.note(ctx, tx, n.ID, "failed", title(attach.Name)+": "+run.Error); err != nil {
			return err
		}
		if strings.Contains(run.Error, workflow.ErrUndo) {
			_, err := tx.NewUpdate().Model(n).Column("holds").WherePK().Exec(ctx)
			return err
		}
	}
	if off := (r.VLAN == isolatedVLAN) == (run.Phase == workflow.Done); !off {
		return nil
	}
	d := &Deployment{NodeID: n.ID}
	if err := tx.NewSelect().Model(d).WherePK().Scan(ctx); err != nil {
		return fault.Wrap("reading the deployment", err)
	}
	d.Links = slices.DeleteFunc(d.Links, func(l Link) bool { return l.MAC == r.MAC })
	if _, err := tx.NewUpdate().Model(d).Column("links").WherePK().Exec(ctx); err != nil || s.tenant == nil {
		return err
	}
	return s.tenant.Detached(ctx, tx, n.Owner, n.ID, r.MAC, run.Error)
}
