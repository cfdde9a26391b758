package node

import (
	"cmp"
	"context"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Lend lends an available node to an instance that is no server of ours, in the caller's transaction: the one that it is
// allocated to, or a new one. It returns the node with its ports.
func (s *Service) Lend(ctx context.Context, tx db.Tx, id ID) (*Node, []Port, error) {
	n, err := get(ctx, tx, id)
	if err != nil {
		return nil, nil, err
	}
	if len(n.Holds) > 0 {
		return nil, nil, fault.Errorf(fault.Conflict, "the node is in maintenance (%s): %s", n.Holds[0].Category, n.Holds[0].Reason)
	}
	if n.Owner == "" {
		n.Owner = uuid.NewString()
	}
	ps, err := ports(ctx, tx, id)
	return n, ps, err
}

// Reserve lends an available node to an instance that is no server of ours before it is deployed; "" gives it back. instance is a
// UUID that no other node has.
func (s *Service) Reserve(ctx context.Context, id ID, instance string) error {
	if _, err := uuid.Parse(instance); instance != "" && err != nil {
		return fault.Field("instance_uuid", "%.40q is not a UUID", instance)
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		n, err := get(ctx, tx, id)
		if err != nil || n.Owner == instance {
			return err
		}
		switch {
		case n.State != Available:
			return fault.Errorf(fault.Conflict, "instance_uuid is changed on available nodes only, and the node is %s", n.State)
		case n.AllocationID != "":
			return fault.Errorf(fault.Conflict, "the node is allocated: delete the allocation %s first", n.AllocationID)
		case n.Owner != "" && instance != "":
			return fault.Errorf(fault.Conflict, "the node has the instance %s already", n.Owner)
		}
		others, err := tx.NewSelect().Model((*Node)(nil)).Where("owner = ?", instance).Where("owner <> ''").Count(ctx)
		if err != nil {
			return err
		}
		if others > 0 {
			return fault.Errorf(fault.Conflict, "another node has the instance %s", instance)
		}
		// The condition decides the race with whoever chooses the node meanwhile.
		res, err := tx.NewUpdate().Model((*Node)(nil)).Set("owner = ?", instance).Where("id = ? AND owner = ? AND state = ?", id, n.Owner, Available).Exec(ctx)
		return changed(res, err, "the node was lent to somebody else meanwhile")
	})
}

// Standalone reports whether what is deployed on a node is no server of ours.
func (s *Service) Standalone(ctx context.Context, q bun.IDB, id ID) (bool, error) {
	n, err := q.NewSelect().Model((*Deployment)(nil)).Where("node_id = ? AND standalone", id).Count(ctx)
	return n > 0, fault.Wrap("reading a deployment", err)
}

// DeployInstance starts to make a node what d says for an instance, in the caller's transaction. n was lent by Lend.
// again deploys anew what is deployed already.
func (s *Service) DeployInstance(ctx context.Context, tx db.Tx, n *Node, d Deployment, files map[string][]byte, again bool) error {
	if _, err := tx.NewUpdate().Model(n).Column("owner").WherePK().Exec(ctx); err != nil {
		return err
	}
	d.Standalone, d.Tenant = true, cmp.Or(n.Lessee, n.Project)
	if err := s.recordDeployment(ctx, tx, n, d, files); err != nil {
		return err
	}
	return s.enter(ctx, tx, n, map[bool]string{false: "deploy", true: "rebuild"}[again])
}

// Adopt takes a server over that runs already, for the instance of its allocation or a new one.
func (s *Service) Adopt(ctx context.Context, id ID) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		n, _, err := s.Lend(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := s.recordDeployment(ctx, tx, n, Deployment{Standalone: true, Tenant: cmp.Or(n.Lessee, n.Project)}, nil); err != nil {
			return err
		}
		return s.enter(ctx, tx, n, "adopt")
	})
}

// SetVIF attaches a network port to one of a node's NICs, or takes it off when vif is "".
func (s *Service) SetVIF(ctx context.Context, tx db.Tx, port PortID, vif string) error {
	_, err := tx.NewUpdate().Model((*Port)(nil)).Set("vif = ?", vif).Where("id = ?", port).Exec(ctx)
	return err
}

// PortsTx returns a node's ports, in the caller's transaction.
func (s *Service) PortsTx(ctx context.Context, tx db.Tx, id ID) ([]Port, error) {
	return ports(ctx, tx, id)
}
