package network_test

import (
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

func addresses(p network.Port) []string {
	var out []string
	for _, ip := range p.FixedIPs {
		out = append(out, ip.Address)
	}
	return out
}

func (s site) subnets(n network.Network, want ...network.NewSubnet) ([]network.Subnet, error) {
	for i := range want {
		want[i].NetworkID = n.ID
	}
	return s.CreateSubnets(s.Context(), network.Owner(n.ProjectID), want)
}

func TestSubnetChecks(t *testing.T) {
	each(t, func(s site) {
		n := s.network(mine, "n")
		text := func(v string) *string { return &v }
		pool := func(ranges ...string) (out []network.Range) {
			for i := 0; i < len(ranges); i += 2 {
				out = append(out, network.Range{Start: netip.MustParseAddr(ranges[i]), End: netip.MustParseAddr(ranges[i+1])})
			}
			return out
		}
		s.subnet(n, "10.9.0.0/16")
		for _, tt := range []struct {
			want network.NewSubnet
			kind string
		}{
			{network.NewSubnet{Subnet: network.Subnet{CIDR: "10.0.0.0"}}, "InvalidInput"},
			{network.NewSubnet{Subnet: network.Subnet{CIDR: "10.9.1.0/24"}}, "InvalidInput"},
			{network.NewSubnet{Subnet: network.Subnet{CIDR: "10.0.0.0/24"}, Gateway: text("10.0.1.1")}, "InvalidInput"},
			{network.NewSubnet{Subnet: network.Subnet{CIDR: "10.0.0.0/24", Pools: pool("10.0.0.1", "10.0.0.9")}}, "GatewayConflictWithAllocationPools"},
			{network.NewSubnet{Subnet: network.Subnet{CIDR: "10.0.0.0/24", Pools: pool("10.0.0.9", "10.0.0.2")}}, "InvalidAllocationPool"},
			{network.NewSubnet{Subnet: network.Subnet{CIDR: "10.0.0.0/24", Pools: pool("10.0.0.9", "10.0.1.2")}}, "OutOfBoundsAllocationPool"},
			{network.NewSubnet{Subnet: network.Subnet{CIDR: "10.0.0.0/24", Pools: pool("10.0.0.9", "10.0.0.20", "10.0.0.20", "10.0.0.30")}}, "OverlappingAllocationPools"},
			{network.NewSubnet{Subnet: network.Subnet{CIDR: "10.0.0.0/24", DNS: []string{"here"}}}, "InvalidInput"},
			{network.NewSubnet{Subnet: network.Subnet{CIDR: "10.0.0.0/24", DNS: slices.Repeat([]string{"10.0.0.2"}, 6)}}, "DNSNameServersExhausted"},
		} {
			_, err := s.subnets(n, tt.want)
			s.refused(err, tt.kind)
		}
		for _, bad := range []network.Subnet{{CIDR: "10.0.0.0/31"}, {CIDR: "10.0.0.0/24", IPVersion: 6}, {CIDR: "10.0.0.0/24", RAMode: "slaac", DHCP: true},
			{CIDR: "fd00::/63", AddressMode: "slaac", DHCP: true}, {CIDR: "fd00::/64", AddressMode: "slaac"},
			{CIDR: "fd00::/64", AddressMode: "slaac", RAMode: "dhcpv6-stateful", DHCP: true}} {
			_, err := s.subnets(n, network.NewSubnet{Subnet: bad})
			if !fault.Is(err, fault.Invalid) {
				s.Errorf("%+v: %v", bad, err)
			}
		}
		subs, err := s.subnets(n, network.NewSubnet{Subnet: network.Subnet{CIDR: "10.0.0.0/29"}, Gateway: text("10.0.0.3")})
		if got := must(s, subs, err)[0].Pools; !slices.Equal(got, pool("10.0.0.1", "10.0.0.2", "10.0.0.4", "10.0.0.6")) {
			s.Errorf("pools around the gateway: %v", got)
		}
		subs, err = s.subnets(n, network.NewSubnet{Subnet: network.Subnet{CIDR: "10.1.7.1/16"}})
		if got := must(s, subs, err)[0].CIDR; got != "10.1.0.0/16" {
			s.Errorf("an address in a network makes the subnet %s", got)
		}
	})
}

func TestAddresses(t *testing.T) {
	each(t, func(s site) {
		n := s.network(mine, "n")
		four := s.subnet(n, "10.0.0.0/30")
		second := s.subnet(n, "10.0.1.0/30")
		p, err := s.port(mine, network.Port{NetworkID: n.ID})
		s.same("the first", addresses(must(s, p, err)), []string{"10.0.0.2"})
		_, err = s.port(mine, network.Port{NetworkID: n.ID, FixedIPs: []network.FixedIP{{SubnetID: four.ID}}})
		s.refused(err, "IpAddressGenerationFailure")
		_, err = s.port(mine, network.Port{NetworkID: n.ID, FixedIPs: []network.FixedIP{{Address: "10.0.0.2"}}})
		s.refused(err, "IpAddressAlreadyAllocated")
		_, err = s.port(mine, network.Port{NetworkID: n.ID, FixedIPs: []network.FixedIP{{Address: "10.0.9.2"}}})
		s.refused(err, "InvalidIpForNetwork")
		_, err = s.port(mine, network.Port{NetworkID: n.ID, FixedIPs: []network.FixedIP{{SubnetID: second.ID, Address: "10.0.0.2"}}})
		s.refused(err, "InvalidIpForSubnet")
		q, err := s.port(mine, network.Port{NetworkID: n.ID})
		s.same("where there is room", addresses(must(s, q, err)), []string{"10.0.1.2"})
		bare, err := s.port(mine, network.Port{NetworkID: n.ID, FixedIPs: []network.FixedIP{}})
		s.same("none", addresses(must(s, bare, err)), nil)
		s.refused(s.DeleteSubnet(s.Context(), mine, four.ID, 0), "SubnetInUse")
		s.refused(s.DeleteNetwork(s.Context(), mine, n.ID, 0), "NetworkInUse")
		_, err = s.EditSubnet(s.Context(), mine, four.ID, 0, func(sub *network.Subnet) error { sub.Gateway = "10.0.0.2"; sub.Pools = nil; return nil })
		s.refused(err, "GatewayIpInUse")
		p, err = s.EditPort(s.Context(), mine, p.ID, p.Revision, func(p *network.Port) error {
			p.FixedIPs = []network.FixedIP{{SubnetID: four.ID}}
			return nil
		})
		s.same("kept", addresses(must(s, p, err)), []string{"10.0.0.2"})
		found, err := s.ListPorts(s.Context(), mine, where("fixed_ips.subnet_id", four.ID, "fixed_ips.ip_address", "10.0.0.2"))
		if len(must(s, found, err)) != 1 || found[0].ID != p.ID {
			s.Errorf("by address: %v", found)
		}
		found, err = s.ListPorts(s.Context(), mine, where("fixed_ips.ip_address_substr", "0.1.", "fixed_ips.ip_address_substr", "7.7"))
		if len(must(s, found, err)) != 1 || found[0].ID != q.ID {
			s.Errorf("by a part of the address: %v", found)
		}
		us, err := s.Usages(s.Context(), "", where("id", n.ID))
		if u := must(s, us, err)[0]; u.Total.Int64() != 2 || u.Used.Int64() != 2 || len(u.Subnets) != 2 {
			s.Errorf("usage: %+v", u)
		}
	})
}

func TestAddressesOfMAC(t *testing.T) {
	each(t, func(s site) {
		n := s.network(mine, "n")
		subs, err := s.subnets(n, network.NewSubnet{Subnet: network.Subnet{CIDR: "fd00:1::/64", DHCP: true, AddressMode: "slaac", RAMode: "slaac"}},
			network.NewSubnet{Subnet: network.Subnet{CIDR: "fd00:2::/64", DHCP: true}})
		must(s, subs, err)
		p, err := s.port(mine, network.Port{NetworkID: n.ID, MAC: "02:00:00:00:00:01"})
		s.same("both", addresses(must(s, p, err)), []string{"fd00:2::2", "fd00:1::ff:fe00:1"})
		p, err = s.EditPort(s.Context(), "", p.ID, 0, func(p *network.Port) error { p.MAC = "02:00:00:00:00:05"; return nil })
		must(s, p, err)
		p, err = s.Port(s.Context(), mine, p.ID)
		s.same("after another MAC", addresses(must(s, p, err)), []string{"fd00:1::ff:fe00:5", "fd00:2::2"})
		_, err = s.port(mine, network.Port{NetworkID: n.ID, FixedIPs: []network.FixedIP{{Address: "fd00:1::5"}}})
		s.refused(err, "InvalidInput")
	})
}

func TestSubnetPools(t *testing.T) {
	each(t, func(s site) {
		prefixes := func(texts ...string) (out []netip.Prefix) {
			for _, p := range texts {
				out = append(out, netip.MustParsePrefix(p))
			}
			return out
		}
		scopes, err := s.CreateScopes(s.Context(), []network.Scope{{Record: network.Record{ProjectID: mine}, IPVersion: 4}})
		scope := must(s, scopes, err)[0].ID
		make := func(p network.Pool) (network.Pool, error) {
			p.ProjectID = mine
			ps, err := s.CreatePools(s.Context(), mine, []network.Pool{p})
			return ps[0], err
		}
		p, err := make(network.Pool{Prefixes: prefixes("10.1.0.0/17", "10.1.128.0/17", "10.1.5.0/24"), DefaultPrefix: 24, MinPrefix: 20, Quota: 1024, ScopeID: scope})
		if !slices.Equal(must(s, p, err).Prefixes, prefixes("10.1.0.0/16")) {
			s.Errorf("prefixes: %v", p.Prefixes)
		}
		_, err = make(network.Pool{Prefixes: prefixes("10.1.7.0/24"), Quota: network.Unlimited, ScopeID: scope})
		s.refused(err, "AddressScopePrefixConflict")
		take := func(cidr string, length int) (string, error) {
			n := s.network(mine, "n")
			subs, err := s.subnets(n, network.NewSubnet{Subnet: network.Subnet{PoolID: p.ID, CIDR: cidr}, PrefixLen: length})
			if err == nil {
				got, err := s.Network(s.Context(), mine, n.ID)
				if must(s, got, err).Scope4 != scope {
					s.Errorf("the network's address scope is %q", got.Scope4)
				}
			}
			return subs[0].CIDR, err
		}
		for _, want := range []string{"10.1.0.0/24", "10.1.1.0/24"} {
			if got, err := take("", 0); must(s, got, err) != want {
				s.Errorf("got %s, want %s", got, want)
			}
		}
		_, err = take("10.1.1.0/25", 0)
		s.refused(err, "SubnetAllocationError")
		_, err = take("", 19)
		s.refused(err, "MinPrefixSubnetAllocationError")
		_, err = take("", 22)
		s.refused(err, "SubnetPoolQuotaExceeded")
		if got, err := take("", 23); must(s, got, err) != "10.1.2.0/23" {
			s.Errorf("got %s", got)
		}
		_, err = s.RemovePrefixes(s.Context(), mine, p.ID, prefixes("10.1.0.0/20"))
		s.refused(err, "IllegalSubnetPoolPrefixUpdate")
		p, err = s.RemovePrefixes(s.Context(), mine, p.ID, prefixes("10.1.128.0/18"))
		if !slices.Equal(must(s, p, err).Prefixes, prefixes("10.1.0.0/17", "10.1.192.0/18")) {
			s.Errorf("left: %v", p.Prefixes)
		}
		s.refused(s.DeletePool(s.Context(), mine, p.ID, 0), "SubnetPoolInUse")
		s.refused(s.DeleteScope(s.Context(), mine, scope), "AddressScopeInUse")
	})
}

// TestQuotaRace makes networks at the same time when there is quota for few.
func TestQuotaRace(t *testing.T) {
	each(t, func(s site) {
		if err := s.SetQuotas(s.Context(), mine, map[string]int{"network": 3}); err != nil {
			s.Fatal(err)
		}
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() {
				_, errs[i] = s.CreateNetworks(s.Context(), []network.Network{{ProjectID: mine}})
			})
		}
		wg.Wait()
		made := 0
		for _, err := range errs {
			if err == nil {
				made++
			} else {
				s.refused(err, "OverQuota")
			}
		}
		if made != 3 {
			s.Errorf("%d networks were made with quota for 3", made)
		}
		qs, err := s.Quotas(s.Context(), mine, true)
		if q := must(s, qs, err)[0]; q.Used != 3 || q.Limit != 3 {
			s.Errorf("%+v", q)
		}
		if err := s.ResetQuotas(s.Context(), mine); err != nil {
			s.Error(err)
		}
		s.network(mine, "one more")
	})
}
