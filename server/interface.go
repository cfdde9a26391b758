package server

import (
	"context"
	"slices"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/workflow"
)

// AttachNIC gives a running server one more interface, on a NIC of its node that is free, and waits until it is plugged in. A request
// that names neither a network nor a port means the only network that the project may use.
func (s *Service) AttachNIC(ctx context.Context, project string, id ID, w WantedNIC) (network.Port, error) {
	srv, err := s.Get(ctx, project, id)
	if err != nil {
		return network.Port{}, err
	}
	if w.NetworkID == "" && w.PortID == "" {
		all, err := s.onlyNetwork(ctx, srv.ProjectID, OneMustExist)
		if err != nil {
			return network.Port{}, err
		}
		all[0].FixedIP, all[0].Tag = w.FixedIP, w.Tag
		w = all[0]
	}
	want := Wanted{Name: srv.Name, Networks: []WantedNIC{w}}
	if err := want.check(); err != nil {
		return network.Port{}, err
	}
	var p network.Port
	var run workflow.RunID
	err = s.onHardware(ctx, project, id, func(ctx context.Context, tx db.Tx, srv *Server) error {
		p, run, err = s.attachNIC(ctx, tx, srv, want.Networks[0])
		return err
	})
	if err != nil {
		return network.Port{}, err
	}
	return p, s.nodes.Attached(ctx, run)
}

func (s *Service) attachNIC(ctx context.Context, tx db.Tx, srv *Server, w WantedNIC) (p network.Port, run workflow.RunID, err error) {
	if err := s.unrescued(ctx, srv, "attach_interface"); err != nil {
		return p, "", err
	}
	if len(srv.NICs) >= maxNICs {
		return p, "", fault.Errorf(fault.Conflict, "the server has %d interfaces, and may have no more", len(srv.NICs))
	}
	if slices.ContainsFunc(srv.NICs, func(n NIC) bool { return n.PortID == w.PortID }) {
		return p, "", fault.Errorf(fault.Conflict, "the port %s is attached to the server already", w.PortID)
	}
	free, err := s.freeNIC(ctx, tx, srv, w.Plane)
	if err != nil {
		return p, "", err
	}
	nic, err := s.addNIC(ctx, tx, srv, w, nil)
	if err != nil {
		return p, "", err
	}
	p, nw, err := s.networks.Bind(ctx, tx, network.Owner(srv.ProjectID), nic.PortID, string(srv.ID), free.MAC)
	if err != nil {
		return p, "", err
	}
	srv.NICs = append(srv.NICs, nic)
	if err := recordNICs(ctx, tx, srv); err != nil {
		return p, "", err
	}
	if err := note(ctx, tx, srv.ID, "attach_interface"); err != nil {
		return p, "", err
	}
	run, err = s.nodes.Attach(ctx, tx, srv.NodeID, node.Link{MAC: free.MAC, VLAN: nw.VLAN})
	return p, run, err
}

// freeNIC returns a NIC of a server's node, of a plane, that none of its interfaces is on.
func (s *Service) freeNIC(ctx context.Context, tx db.Tx, srv *Server, plane string) (node.Port, error) {
	ports, err := s.nodes.PortsTx(ctx, tx, srv.NodeID)
	if err != nil {
		return node.Port{}, err
	}
	taken, err := s.macs(ctx, tx, srv)
	if err != nil {
		return node.Port{}, err
	}
	for _, p := range ports {
		if p.Plane == plane && !slices.Contains(taken, p.MAC) {
			return p, nil
		}
	}
	return node.Port{}, fault.Errorf(fault.Conflict, "no NIC of the %s plane is free on the server's node; detach another interface first", plane)
}

// macs are those of a server's interfaces, in their order.
func (s *Service) macs(ctx context.Context, tx db.Tx, srv *Server) ([]string, error) {
	var all []string
	for _, nic := range srv.NICs {
		p, err := s.networks.PortTx(ctx, tx, nic.PortID)
		if err != nil {
			return nil, err
		}
		all = append(all, p.MAC)
	}
	return all, nil
}

func recordNICs(ctx context.Context, tx db.Tx, srv *Server) error {
	srv.UpdatedAt = db.Now()
	_, err := tx.NewUpdate().Model(srv).Column("nics", "updated_at").WherePK().Exec(ctx)
	return err
}

// DetachNIC takes an interface off a running server, and waits until its switch port is closed: only then are the port and its addresses
// free for others.
func (s *Service) DetachNIC(ctx context.Context, project string, id ID, port string) error {
	var run workflow.RunID
	err := s.onHardware(ctx, project, id, func(ctx context.Context, tx db.Tx, srv *Server) error {
		if err := s.unrescued(ctx, srv, "detach_interface"); err != nil {
			return err
		}
		if !slices.ContainsFunc(srv.NICs, func(n NIC) bool { return n.PortID == port }) {
			return fault.Errorf(fault.NotFound, "the server %s has no interface with the port %s", id, port)
		}
		p, err := s.networks.PortTx(ctx, tx, port)
		if err != nil {
			return err
		}
		if err := note(ctx, tx, id, "detach_interface"); err != nil {
			return err
		}
		run, err = s.nodes.Detach(ctx, tx, srv.NodeID, p.MAC)
		return err
	})
	if err != nil {
		return err
	}
	return s.nodes.Attached(ctx, run)
}

// Detached hears from a node that one of its NICs is off the tenant's networks, and frees the port that was on it.
func (s *Service) Detached(ctx context.Context, tx db.Tx, owner string, n node.ID, mac, failure string) error {
	srv, err := get(ctx, tx, "", ID(owner))
	if fault.Is(err, fault.NotFound) {
		return s.vifDetached(ctx, tx, owner, n, mac)
	}
	if err != nil {
		return err
	}
	macs, err := s.macs(ctx, tx, srv)
	if err != nil {
		return err
	}
	i := slices.Index(macs, mac)
	if i < 0 {
		return nil
	}
	if err := s.networks.Release(ctx, tx, owner, srv.NICs[i].PortID); err != nil {
		return err
	}
	srv.NICs = slices.Delete(srv.NICs, i, i+1)
	if err := recordNICs(ctx, tx, srv); err != nil || failure == "" {
		return err
	}
	return failLast(ctx, tx, srv.ID, "attach_interface", failure)
}

// vifDetached is Detached for a node that an operator deployed.
func (s *Service) vifDetached(ctx context.Context, tx db.Tx, owner string, n node.ID, mac string) error {
	ports, err := s.nodes.PortsTx(ctx, tx, n)
	if err != nil {
		return err
	}
	for _, p := range ports {
		if p.MAC == mac && p.VIF != "" {
			if err := s.networks.Release(ctx, tx, owner, p.VIF); err != nil {
				return err
			}
			return s.nodes.SetVIF(ctx, tx, p.ID, "")
		}
	}
	return nil
}
