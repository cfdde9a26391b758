package server

import (
	"context"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/workflow"
)

// VIFs returns the network ports that are attached to a node.
func (s *Service) VIFs(ctx context.Context, id node.ID) ([]string, error) {
	ps, err := s.nodes.Ports(ctx, id)
	out := []string{}
	for _, p := range ps {
		if p.VIF != "" {
			out = append(out, p.VIF)
		}
	}
	return out, err
}

// AttachVIF attaches a network port that owner may see to a NIC of a node: the given one, or the first that is free. On a node that is
// active it is plugged in, which is waited for; otherwise with the next deployment.
func (s *Service) AttachVIF(ctx context.Context, o network.Owner, id node.ID, vif, nic string) error {
	if _, err := s.networks.Port(ctx, o, vif); err != nil {
		return err
	}
	return s.changeVIF(ctx, id, func(ctx context.Context, tx db.Tx, n *node.Node, ps []node.Port) (workflow.RunID, error) {
		for _, p := range ps {
			if p.VIF == vif {
				return "", fault.Errorf(fault.Conflict, "the network port %s is attached to the node already", vif)
			}
		}
		for _, p := range ps {
			if p.VIF == "" && (nic == "" || nic == string(p.ID)) {
				return s.attachVIF(ctx, tx, n, p, vif)
			}
		}
		if nic != "" {
			return "", fault.Errorf(fault.Conflict, "the node has no free port %s", nic)
		}
		return "", fault.Errorf(fault.Conflict, "the node has no free port; it has %d", len(ps))
	})
}

func (s *Service) attachVIF(ctx context.Context, tx db.Tx, n *node.Node, p node.Port, vif string) (workflow.RunID, error) {
	if err := s.nodes.SetVIF(ctx, tx, p.ID, vif); err != nil || n.State != node.Active {
		return "", err
	}
	_, nw, err := s.networks.Bind(ctx, tx, "", vif, n.Owner, p.MAC)
	if err != nil {
		return "", err
	}
	return s.nodes.Attach(ctx, tx, n.ID, node.Link{MAC: p.MAC, VLAN: nw.VLAN})
}

// DetachVIF takes a network port off a node. On a node that is active its switch port is closed first, which is waited for.
func (s *Service) DetachVIF(ctx context.Context, id node.ID, vif string) error {
	return s.changeVIF(ctx, id, func(ctx context.Context, tx db.Tx, n *node.Node, ps []node.Port) (workflow.RunID, error) {
		for _, p := range ps {
			switch {
			case p.VIF != vif:
				continue
			case n.State == node.Active:
				return s.nodes.Detach(ctx, tx, id, p.MAC) // Detached does the rest
			}
			return "", s.nodes.SetVIF(ctx, tx, p.ID, "")
		}
		return "", fault.Errorf(fault.NotFound, "the network port %s is not attached to the node", vif)
	})
}

// changeVIF lets fn change what is attached to a node that no server of ours is on, and waits for the run that it began, if any.
func (s *Service) changeVIF(ctx context.Context, id node.ID, fn func(ctx context.Context, tx db.Tx, n *node.Node, ps []node.Port) (workflow.RunID, error)) error {
	n, err := s.nodes.Get(ctx, string(id))
	if err != nil {
		return err
	}
	var run workflow.RunID
	err = s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := get(ctx, tx, "", ID(n.Owner))
		if err == nil {
			return fault.Errorf(fault.Conflict, "the node is the server %s: attach and detach by the compute service (openstack server add port)", n.Owner)
		}
		if !fault.Is(err, fault.NotFound) {
			return err
		}
		ps, err := s.nodes.PortsTx(ctx, tx, id)
		if err != nil {
			return err
		}
		run, err = fn(ctx, tx, n, ps)
		return err
	})
	if err != nil || run == "" {
		return err
	}
	return s.nodes.Attached(ctx, run)
}
