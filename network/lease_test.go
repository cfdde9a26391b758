package network_test

import (
	"context"
	"net/netip"
	"testing"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

// bind gives a port to a server's NIC.
func (s site) bind(port, server, mac string) {
	s.Helper()
	if err := s.DB.Tx(s.Context(), func(ctx context.Context, tx db.Tx) error {
		_, _, err := s.Bind(ctx, tx, mine, port, server, mac)
		return err
	}); err != nil {
		s.Fatal(err)
	}
}

func TestLease(t *testing.T) {
	each(t, func(s site) {
		n, empty := s.network(mine, "n"), s.network(mine, "empty")
		quiet, err := s.subnets(n, network.NewSubnet{Subnet: network.Subnet{CIDR: "10.1.0.0/24"}})
		must(s, quiet, err)
		sub := s.subnet(n, "10.0.0.0/24")
		p, err := s.port(mine, network.Port{NetworkID: n.ID, FixedIPs: []network.FixedIP{{SubnetID: quiet[0].ID}, {SubnetID: sub.ID, Address: "10.0.0.9"}}})
		must(s, p, err)
		const mac = "02:00:00:00:00:01"
		s.bind(p.ID, "server", mac)
		l, err := s.Lease(s.Context(), n.ID, mac)
		if must(s, l, err).Address.String() != "10.0.0.9/24" || l.Subnet.ID != sub.ID || l.MTU != 1500 {
			s.Errorf("%+v", l)
		}
		for what, ask := range map[string][2]string{"the MAC before": {n.ID, p.MAC}, "another network": {empty.ID, mac}} {
			if _, err := s.Lease(s.Context(), ask[0], ask[1]); !fault.Is(err, fault.NotFound) {
				s.Errorf("%s: %v", what, err)
			}
		}
		if at, err := s.ServersPortAt(s.Context(), n.ID, netip.MustParseAddr("10.0.0.9")); err != nil || at.ID != p.ID || at.DeviceID != "server" {
			s.Errorf("the port is %+v, %v", at, err)
		}
		for _, ask := range [][2]string{{n.ID, "10.0.0.10"}, {empty.ID, "10.0.0.9"}} {
			if _, err := s.ServersPortAt(s.Context(), ask[0], netip.MustParseAddr(ask[1])); !fault.Is(err, fault.NotFound) {
				s.Errorf("%v: %v", ask, err)
			}
		}
		ns, err := s.Inhabited(s.Context())
		if len(must(s, ns, err)) != 1 || ns[0].ID != n.ID || ns[0].VLAN != n.VLAN {
			s.Errorf("inhabited: %+v", ns)
		}
		if _, err := s.EditSubnet(s.Context(), mine, sub.ID, 0, func(sub *network.Subnet) error { sub.DHCP = false; return nil }); err != nil {
			s.Fatal(err)
		}
		if _, err := s.Lease(s.Context(), n.ID, mac); !fault.Is(err, fault.NotFound) {
			s.Errorf("without DHCP: %v", err)
		}
	})
}

// TestServersPorts shows what a server's port allows while the server has it, and after.
func TestServersPorts(t *testing.T) {
	each(t, func(s site) {
		n := s.network(mine, "n")
		six, err := s.subnets(n, network.NewSubnet{Subnet: network.Subnet{CIDR: "fd00::/64", DHCP: true, AddressMode: "slaac"}})
		must(s, six, err)
		p, err := s.port(mine, network.Port{NetworkID: n.ID})
		must(s, p, err)
		s.bind(p.ID, "server", "02:00:00:00:00:01")
		got, err := s.Port(s.Context(), mine, p.ID)
		s.same("the NIC's address", addresses(must(s, got, err)), []string{"fd00::ff:fe00:1"})
		s.refused(s.DeletePort(s.Context(), mine, p.ID, 0), "PortInUse")
		// Nobody but the server service says that a port is a server's.
		if _, err := s.port(theirs, network.Port{NetworkID: s.network(theirs, "x").ID, DeviceID: "server", DeviceOwner: "baremetal:server"}); !fault.Is(err, fault.Invalid) {
			s.Errorf("a port that claims a server: %v", err)
		}
		free, err := s.port(mine, network.Port{NetworkID: n.ID, DeviceID: "server", DeviceOwner: "mine"})
		must(s, free, err)
		if _, err := s.EditPort(s.Context(), mine, free.ID, 0, func(p *network.Port) error { p.DeviceOwner = "baremetal:server"; return nil }); !fault.Is(err, fault.Invalid) {
			s.Errorf("a port that comes to claim a server: %v", err)
		}
		if err := s.DeletePort(s.Context(), mine, free.ID, 0); err != nil {
			s.Error(err)
		}
		_, err = s.EditPort(s.Context(), mine, p.ID, 0, func(p *network.Port) error { p.DeviceID = ""; return nil })
		s.refused(err, "PortBound")
		if _, err := s.EditPort(s.Context(), mine, p.ID, 0, func(p *network.Port) error { p.Name = "x"; return nil }); err != nil {
			s.Error(err)
		}
		if err := s.DB.Tx(s.Context(), func(ctx context.Context, tx db.Tx) error { return s.Unbind(ctx, tx, "server") }); err != nil {
			s.Fatal(err)
		}
		got, err = s.Port(s.Context(), mine, p.ID)
		if must(s, got, err).DeviceID != "" || got.MAC == "02:00:00:00:00:01" || addresses(got)[0] == "fd00::ff:fe00:1" {
			s.Errorf("after the server: %+v", got)
		}
		if err := s.DeletePort(s.Context(), mine, p.ID, 0); err != nil {
			s.Error(err)
		}
	})
}
