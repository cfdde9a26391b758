package node

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// Job is what a step works with: the node as it was when the turn began, its ports, its run, and the way to its BMC.
type Job struct {
	*Service
	Node  *Node
	Ports []Port
	Run   *workflow.Run

	driver *bmc.Composed
	done   func()
}

// Open loads the job of a run.
func (s *Service) Open(ctx context.Context, run *workflow.Run) (*Job, func(), error) {
	n, err := get(ctx, s.DB.Read(), ID(run.Subject))
	if err != nil {
		return nil, nil, err
	}
	ps, err := ports(ctx, s.DB.Read(), n.ID)
	if err != nil {
		return nil, nil, err
	}
	j := s.jobOn(n, ps, run)
	return j, func() { j.done() }, nil
}

// jobOn makes the job of a node that was just read under its lease, with what is recorded about its device.
func (s *Service) jobOn(n *Node, ports []Port, run *workflow.Run) *Job {
	s.recall(n)
	return &Job{Service: s, Node: n, Ports: ports, Run: run, done: func() {}}
}

// Group is the conductor group of a run's node.
func (s *Service) Group(ctx context.Context, q bun.IDB, subject string) (string, error) {
	var group string
	err := q.NewSelect().Model((*Node)(nil)).Column("conductor_group").Where("id = ?", subject).Scan(ctx, &group)
	if db.None(err) {
		return "", fault.Errorf(fault.NotFound, "no node %s", subject)
	}
	return group, fault.Wrap("reading the conductor group of node "+subject, err)
}

// imaginary reports whether the node has no hardware at all: Ironic's fake driver, for which steps
// that need an agent or a switch pass at once.
func (j *Job) imaginary() bool { return j.Node.Driver == "fake" }

// Instant reports that no step takes long, as there is nothing to wait for.
func (j *Job) Instant() bool { return j.imaginary() }

// update changes the node record in a transaction of its own.
func (j *Job) update(ctx context.Context, change func(n *Node), columns ...string) error {
	return j.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		change(j.Node)
		_, err := tx.NewUpdate().Model(j.Node).Column(columns...).WherePK().Exec(ctx)
		return err
	})
}

// soon is how long a step waits before it reads the BMC again: short at first, then bearable for weak BMCs.
func (j *Job) soon() time.Duration {
	const shortest, longest = 100 * time.Millisecond, 3 * time.Second
	return min(shortest<<min(j.Run.Attempt, 6), longest)
}

// pxePort returns the port that the node boots over.
func (j *Job) pxePort() (*Port, error) {
	for i := range j.Ports {
		if j.Ports[i].PXE {
			return &j.Ports[i], nil
		}
	}
	return nil, fault.Errorf(fault.Invalid, "the node has no port that boots over the network; add one (openstack baremetal port create --node %s MAC)", j.Node.ID)
}

// place puts all ports of the node on VLANs: vlan(port) is asked for each.
func (j *Job) place(ctx context.Context, vlan func(p *Port) int) error {
	for i := range j.Ports {
		p := &j.Ports[i]
		if p.Switch == "" || p.Port == "" {
			if j.imaginary() {
				continue
			}
			return fault.Errorf(fault.Invalid, "the port %s has no switch port; set its local_link_connection (switch_info and port_id)", p.MAC)
		}
		if err := j.Network.Place(ctx, p.Switch, p.Port, p.MAC, vlan(p)); err != nil {
			return fault.Wrap(fmt.Sprintf("setting the switch port %s/%s", p.Switch, p.Port), err)
		}
	}
	return nil
}

// input reads what the job's run was started with.
func input[T any](j *Job) (T, error) {
	var v T
	if err := json.Unmarshal(j.Run.Input, &v); err != nil {
		return v, workflow.GiveUp(fault.E(fault.Internal, "reading what "+title(j.Run.Workflow)+" was started with", err))
	}
	return v, nil
}
