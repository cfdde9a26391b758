package server

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

// Metadata returns what a server may read of itself over the network, by one of its ports: the files of its config drive
// as they would be made now, by path, without the administrator's password, as anything on the server can read them.
func (s *Service) Metadata(ctx context.Context, id ID, port string) (map[string][]byte, error) {
	srv, err := get(ctx, s.db.Read(), "", id)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(srv.NICs, func(n NIC) bool { return n.PortID == port }) {
		return nil, fault.Errorf(fault.NotFound, "the port %s is not the server's", port)
	}
	p, err := s.private(srv)
	if err != nil {
		return nil, err
	}
	p.AdminPass = ""
	var nets []attached
	for _, nic := range srv.NICs {
		a := attached{tag: nic.Tag}
		if a.port, err = s.networks.Port(ctx, "", nic.PortID); err != nil {
			return nil, err
		}
		if a.network, err = s.networks.Network(ctx, "", a.port.NetworkID); err != nil {
			return nil, err
		}
		if a.subnets, err = s.networks.Subnets(ctx, "", network.Query{Where: map[string][]string{"network_id": {a.network.ID}}}); err != nil {
			return nil, err
		}
		nets = append(nets, a)
	}
	zone := srv.Zone
	if srv.NodeID != "" {
		n, err := s.nodes.Get(ctx, string(srv.NodeID))
		if err != nil {
			return nil, err
		}
		zone = n.Zone
	}
	return configDrive(srv, p, nets, zone)
}

// private opens what a tenant gave of a server that is sealed.
func (s *Service) private(srv *Server) (Private, error) {
	var p Private
	raw, err := s.box.Open(place(srv.ID), srv.Sealed)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return p, fault.E(fault.Internal, "reading the server's request", err)
	}
	return p, nil
}
