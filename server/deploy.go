package server

import (
	"context"
	"errors"
	"slices"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/node"
)

func place(id ID) string { return "server/" + string(id) }

// addNICs makes, or takes, the network ports that were asked for.
func (s *Service) addNICs(ctx context.Context, tx db.Tx, srv *Server, wanted []WantedNIC, groups []string) error {
	srv.NICs = nil
	for _, w := range wanted {
		nic, err := s.addNIC(ctx, tx, srv, w, groups)
		if err != nil {
			return err
		}
		srv.NICs = append(srv.NICs, nic)
	}
	return nil
}

func (s *Service) addNIC(ctx context.Context, tx db.Tx, srv *Server, w WantedNIC, groups []string) (NIC, error) {
	nic := NIC{Plane: w.Plane, PortID: w.PortID, Tag: w.Tag}
	if nic.PortID != "" {
		return nic, nil
	}
	p := network.Port{NetworkID: w.NetworkID, ProjectID: srv.ProjectID, AdminUp: true, DeviceID: string(srv.ID), MadeBy: string(srv.ID), Groups: groups}
	if w.FixedIP != "" {
		p.FixedIPs = []network.FixedIP{{Address: w.FixedIP}}
	}
	p, err := s.networks.AddPort(ctx, tx, network.Owner(srv.ProjectID), p)
	nic.PortID = p.ID
	return nic, fault.Wrap("networks", err)
}

// build lends a node and starts to deploy on it, in the caller's transaction.
func (s *Service) build(ctx context.Context, tx db.Tx, srv *Server, f Flavor, img image.Image, p Private) error {
	want := node.Want{ResourceClass: f.ResourceClass, Zone: srv.Zone, Traits: f.Traits, NICs: map[string]int{}, Not: srv.Tried, Project: srv.ProjectID,
		Layout: srv.Layout, ImageBytes: img.RawSize}
	for _, n := range srv.NICs {
		want.NICs[n.Plane]++
	}
	if srv.ChassisID != "" {
		want.Among = []node.ID{node.ID(srv.ChassisID)}
	}
	n, ports, err := s.nodes.Choose(ctx, tx, want, string(srv.ID))
	if err != nil {
		return err
	}
	if err := s.begin(ctx, tx, srv, n, ports, img, p); err != nil {
		return errors.Join(err, s.nodes.GiveBack(ctx, tx, n.ID))
	}
	return nil
}

// begin starts the deployment on a node that was lent.
func (s *Service) begin(ctx context.Context, tx db.Tx, srv *Server, n *node.Node, ports []node.Port, img image.Image, p Private) error {
	links, nets, err := s.bind(ctx, tx, srv, ports)
	if err != nil {
		return err
	}
	srv.NodeID, srv.UpdatedAt = n.ID, db.Now()
	if _, err := tx.NewUpdate().Model(srv).Column("node_id", "tried", "updated_at").WherePK().Exec(ctx); err != nil {
		return err
	}
	files, err := configDrive(srv, p, nets, n.Zone)
	if err != nil {
		return err
	}
	return s.nodes.Deploy(ctx, tx, n.ID, string(srv.ID), node.Deployment{
		ImageID: img.ID, Image: node.Image{SHA512: img.RawSHA512, Size: img.RawSize}, Links: links, Layout: srv.Layout, Tenant: string(srv.ProjectID),
	}, files)
}

// bind gives the server's network ports to the node's NICs of the same plane, in order. A port that is on one of them stays there.
func (s *Service) bind(ctx context.Context, tx db.Tx, srv *Server, ports []node.Port) ([]node.Link, []attached, error) {
	taken, err := s.macs(ctx, tx, srv)
	if err != nil {
		return nil, nil, err
	}
	ports = slices.Clone(ports)
	var links []node.Link
	var nets []attached
	for at, nic := range srv.NICs {
		i := slices.IndexFunc(ports, func(p node.Port) bool { return p.MAC == taken[at] && p.Plane == nic.Plane })
		if i < 0 {
			i = slices.IndexFunc(ports, func(p node.Port) bool { return p.Plane == nic.Plane && !slices.Contains(taken, p.MAC) })
		}
		if i < 0 {
			return nil, nil, fault.Errorf(fault.Internal, "the node has too few NICs of the %s plane", nic.Plane)
		}
		mac := ports[i].MAC
		ports = slices.Delete(ports, i, i+1)
		p, n, err := s.networks.Bind(ctx, tx, network.Owner(srv.ProjectID), nic.PortID, string(srv.ID), mac)
		if err != nil {
			return nil, nil, err
		}
		subs, err := s.networks.SubnetsOf(ctx, tx, n.ID)
		if err != nil {
			return nil, nil, err
		}
		links = append(links, node.Link{MAC: mac, VLAN: n.VLAN})
		nets = append(nets, attached{p, n, subs, nic.Tag})
	}
	return links, nets, nil
}
