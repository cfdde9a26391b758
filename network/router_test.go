package network_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

// outside makes an external network of the operator's with a subnet.
func (s site) outside(cidr string) (network.Network, network.Subnet) {
	s.Helper()
	ns, err := s.CreateNetworks(s.Context(), []network.Network{{ProjectID: "operators", Name: "outside", AdminUp: true, External: true}})
	n := must(s, ns, err)[0]
	return n, s.subnet(n, cidr)
}

func (s site) router(project string, g *network.Gateway) network.Router {
	s.Helper()
	rs, err := s.CreateRouters(s.Context(), network.Owner(project), []network.NewRouter{{Router: network.Router{Record: network.Record{ProjectID: project}, AdminUp: true}, Gateway: g}})
	return must(s, rs, err)[0]
}

func (s site) floating(project string, f network.FloatingIP) (network.FloatingIP, error) {
	f.ProjectID = project
	fs, err := s.CreateFloatingIPs(s.Context(), network.Owner(project), []network.NewFloatingIP{{FloatingIP: f}})
	return fs[0], err
}

func TestExternalNetworks(t *testing.T) {
	t.Parallel()
	each(t, func(s site) {
		out, sub := s.outside("203.0.113.0/24")
		if got := s.names(mine, network.Query{Where: map[string][]string{"router:external": {"true"}}}); !slices.Equal(got, []string{"outside"}) {
			t.Errorf("a project sees the external networks %v", got)
		}
		if _, err := s.Subnet(t.Context(), mine, sub.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("a project sees an external network's subnet: %v", err)
		}
		if _, err := s.port(mine, network.Port{NetworkID: out.ID}); !fault.Is(err, fault.Denied) {
			t.Errorf("a project's port on an external network: %v", err)
		}
		if _, err := s.EditNetwork(t.Context(), mine, out.ID, 0, func(*network.Network) error { return nil }); !fault.Is(err, fault.Denied) {
			t.Errorf("a project changes an external network: %v", err)
		}
		r := s.router(mine, &network.Gateway{NetworkID: out.ID})
		_, err := s.EditNetwork(t.Context(), "", out.ID, 0, func(n *network.Network) error { n.External = false; return nil })
		s.refused(err, "ExternalNetworkInUse")
		if err := s.DeleteRouter(t.Context(), mine, r.ID, 0); err != nil {
			t.Fatal(err)
		}
		must(s, r, s.DeleteNetwork(t.Context(), "", out.ID, 0))
	})
}

func TestRouterInterfaces(t *testing.T) {
	t.Parallel()
	each(t, func(s site) {
		ctx := t.Context()
		out, _ := s.outside("203.0.113.0/24")
		n := s.network(mine, "n")
		sub, clash := s.subnet(n, "10.1.0.0/24"), s.subnet(s.network(mine, "m"), "10.1.0.0/16")
		r := s.router(mine, &network.Gateway{NetworkID: out.ID})
		if len(r.Outside) != 1 || r.Outside[0].Address != "203.0.113.2" {
			t.Errorf("the gateway's addresses: %+v", r.Outside)
		}
		i, err := s.AddInterface(ctx, mine, r.ID, "", sub.ID)
		must(s, i, err)
		p, err := s.Port(ctx, mine, i.PortID)
		if must(s, p, err).FixedIPs[0].Address != "10.1.0.1" || p.DeviceID != r.ID || p.MAC[:5] != "02:48" {
			t.Errorf("the interface: %+v", p)
		}
		_, err = s.AddInterface(ctx, mine, r.ID, "", sub.ID)
		s.refused(err, "BadRequest")
		_, err = s.AddInterface(ctx, mine, r.ID, "", clash.ID)
		s.refused(err, "BadRequest")
		_, err = s.AddInterface(ctx, mine, s.router(mine, nil).ID, "", sub.ID)
		s.refused(err, "IpAddressAlreadyAllocated")
		if _, err = s.AddInterface(ctx, theirs, s.router(theirs, nil).ID, "", sub.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("another project's router on the subnet: %v", err)
		}
		s.refused(s.DeletePort(ctx, mine, i.PortID, 0), "ServicePortInUse")
		_, err = s.EditPort(ctx, mine, i.PortID, 0, func(p *network.Port) error { p.DeviceID = "elsewhere"; return nil })
		s.refused(err, "PortBound")
		if _, err = s.EditPort(ctx, mine, i.PortID, 0, func(p *network.Port) error { p.Name = "gate"; return nil }); err != nil {
			t.Errorf("naming a router's port: %v", err)
		}
		if _, err := s.port(mine, network.Port{NetworkID: n.ID, DeviceID: r.ID, DeviceOwner: "network:router_interface"}); !fault.Is(err, fault.Invalid) {
			t.Errorf("a port that says that it is a router's: %v", err)
		}
		s.refused(s.DeleteSubnet(ctx, mine, sub.ID, 0), "SubnetInUse")
		s.refused(s.DeleteRouter(ctx, mine, r.ID, 0), "RouterInUse")
		_, err = s.EditSubnet(ctx, mine, sub.ID, 0, func(sub *network.Subnet) error { sub.Gateway, sub.Pools = "10.1.0.9", nil; return nil })
		s.refused(err, "GatewayIpInUse")
		if _, err = s.EditSubnet(ctx, mine, sub.ID, 0, func(sub *network.Subnet) error {
			sub.Pools = []network.Range{{Start: netip.MustParseAddr("10.1.0.10"), End: netip.MustParseAddr("10.1.0.20")}}
			return nil
		}); err != nil {
			t.Errorf("other pools below a router: %v", err)
		}

		way := network.Route{Destination: netip.MustParsePrefix("192.168.0.0/16"), NextHop: netip.MustParseAddr("10.1.0.7")}
		routes := func(ways ...network.Route) error {
			_, err := s.EditRouter(ctx, mine, r.ID, 0, nil, func(r *network.Router) error { r.Routes = ways; return nil })
			return err
		}
		s.refused(routes(network.Route{Destination: way.Destination, NextHop: netip.MustParseAddr("10.9.0.1")}), "InvalidRoutes")
		s.refused(routes(network.Route{Destination: way.Destination, NextHop: netip.MustParseAddr("10.1.0.1")}), "InvalidRoutes")
		s.refused(routes(way, way), "InvalidRoutes")
		must(s, r, routes(way))
		_, err = s.RemoveInterface(ctx, mine, r.ID, i.PortID, "")
		s.refused(err, "RouterInterfaceInUseByRoute")
		must(s, r, routes())
		_, err = s.RemoveInterface(ctx, mine, r.ID, "", sub.ID)
		must(s, i, err)
		_, err = s.RemoveInterface(ctx, mine, r.ID, "", sub.ID)
		s.refused(err, "RouterInterfaceNotFound")
		must(s, r, s.DeleteRouter(ctx, mine, r.ID, 0))
		if ps, err := s.Ports(ctx, "", out.ID, ""); err != nil || len(ps) != 0 {
			t.Errorf("ports left on the external network: %v %v", ps, err)
		}
	})
}

func TestFloatingIPs(t *testing.T) {
	t.Parallel()
	each(t, func(s site) {
		ctx := t.Context()
		out, _ := s.outside("203.0.113.0/24")
		n := s.network(mine, "n")
		sub := s.subnet(n, "10.1.0.0/24")
		p, err := s.port(mine, network.Port{NetworkID: n.ID})
		must(s, p, err)
		_, err = s.floating(mine, network.FloatingIP{NetworkID: n.ID})
		s.refused(err, "BadRequest")
		_, err = s.floating(mine, network.FloatingIP{NetworkID: out.ID, PortID: p.ID})
		s.refused(err, "ExternalGatewayForFloatingIPNotFound")
		r := s.router(mine, &network.Gateway{NetworkID: out.ID})
		i, err := s.AddInterface(ctx, mine, r.ID, "", sub.ID)
		must(s, i, err)
		f, err := s.floating(mine, network.FloatingIP{NetworkID: out.ID, PortID: p.ID})
		if must(s, f, err).RouterID != r.ID || f.FixedAddress != p.FixedIPs[0].Address || f.Address != "203.0.113.3" {
			t.Errorf("the floating address: %+v", f)
		}
		_, err = s.floating(mine, network.FloatingIP{NetworkID: out.ID, PortID: p.ID})
		s.refused(err, "FloatingIPPortAlreadyAssociated")
		if _, err = s.floating(theirs, network.FloatingIP{NetworkID: out.ID, PortID: p.ID}); !fault.Is(err, fault.NotFound) {
			t.Errorf("another project's floating address: %v", err)
		}
		_, err = s.RemoveInterface(ctx, mine, r.ID, "", sub.ID)
		s.refused(err, "RouterInterfaceInUseByFloatingIP")
		_, err = s.EditRouter(ctx, mine, r.ID, 0, &network.Gateway{}, func(*network.Router) error { return nil })
		s.refused(err, "RouterExternalGatewayInUseByFloatingIp")

		plans, err := s.RouterPlans(ctx)
		if must(s, plans, err); len(plans) != 1 || plans[0].Floating[netip.MustParseAddr(f.Address)] != netip.MustParseAddr(f.FixedAddress) || plans[0].Outside == nil || len(plans[0].Inside) != 1 {
			t.Errorf("the plans: %+v", plans)
		}
		stamp, err := s.RouterStamp(ctx)
		must(s, stamp, err)
		must(s, f, s.DeletePort(ctx, mine, p.ID, 0))
		if f, err = s.FloatingIP(ctx, mine, f.ID); err != nil || f.PortID != "" || f.RouterID != "" || f.FixedAddress != "" {
			t.Errorf("after its port went: %+v %v", f, err)
		}
		if now, err := s.RouterStamp(ctx); err != nil || now == stamp {
			t.Errorf("the stamp did not change: %v %v", now, err)
		}
		if got, err := s.FloatingIPs(ctx, mine, network.Query{Where: map[string][]string{"status": {"DOWN"}, "floating_ip_address": {f.Address}}}); err != nil || len(got) != 1 {
			t.Errorf("listing: %v %v", got, err)
		}
		must(s, f, s.DeleteFloatingIP(ctx, mine, f.ID, 0))
		if again, err := s.floating(mine, network.FloatingIP{NetworkID: out.ID}); err != nil || again.Address != f.Address {
			t.Errorf("the address was not given back: %+v %v", again, err)
		}
	})
}
