package network_test

import (
	"net/netip"
	"testing"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

func (s site) groups(w network.Query) []network.Group {
	s.Helper()
	gs, err := s.Groups(s.Context(), mine, w)
	return must(s, gs, err)
}

func TestDefaultGroup(t *testing.T) {
	each(t, func(s site) {
		for range 2 {
			if err := s.EnsureDefaultGroup(s.Context(), mine); err != nil {
				s.Fatal(err)
			}
		}
		gs := s.groups(network.Query{})
		if len(gs) != 1 || gs[0].Name != network.Default || len(gs[0].Rules) != 4 {
			s.Fatalf("%+v", gs)
		}
		n := s.network(mine, "n")
		p, err := s.port(mine, network.Port{NetworkID: n.ID})
		s.same("the port's groups", must(s, p, err).Groups, []string{gs[0].ID})
		s.refused(s.DeleteGroup(s.Context(), mine, gs[0].ID, 0), "SecurityGroupCannotRemoveDefault")
		_, err = s.EditGroup(s.Context(), mine, gs[0].ID, 0, func(g *network.Group) error { g.Name = "x"; return nil })
		s.refused(err, "SecurityGroupCannotUpdateDefault")
		_, err = s.CreateGroups(s.Context(), []network.Group{{Record: network.Record{ProjectID: mine}, Name: network.Default}})
		s.refused(err, "SecurityGroupDefaultAlreadyExists")
	})
}

func TestGroupsOfPorts(t *testing.T) {
	each(t, func(s site) {
		made, err := s.CreateGroups(s.Context(), []network.Group{{Record: network.Record{ProjectID: mine}, Name: "web"}, {Record: network.Record{ProjectID: theirs}, Name: "x"}})
		web, foreign := must(s, made, err)[0], made[1]
		n := s.network(mine, "n")
		p, err := s.port(mine, network.Port{NetworkID: n.ID, Groups: []string{web.ID}})
		must(s, p, err)
		_, err = s.port(mine, network.Port{NetworkID: n.ID, Groups: []string{foreign.ID}})
		s.refused(err, "SecurityGroupNotFound")
		s.refused(s.DeleteGroup(s.Context(), mine, web.ID, 0), "SecurityGroupInUse")
		found, err := s.ListPorts(s.Context(), mine, where("security_groups", web.ID))
		if len(must(s, found, err)) != 1 {
			s.Errorf("ports by group: %v", found)
		}
		secure := func(on bool, groups []string) error {
			_, err := s.EditPort(s.Context(), mine, p.ID, 0, func(p *network.Port) error { p.PortSecurity, p.Groups = on, groups; return nil })
			return err
		}
		s.refused(secure(false, []string{web.ID}), "PortSecurityPortHasSecurityGroup")
		if err := secure(false, nil); err != nil {
			s.Error(err)
		}
		if err := s.DeleteGroup(s.Context(), mine, web.ID, 0); err != nil {
			s.Error(err)
		}
	})
}

func TestRules(t *testing.T) {
	each(t, func(s site) {
		made, err := s.CreateGroups(s.Context(), []network.Group{{Record: network.Record{ProjectID: mine}, Name: "web"}, {Record: network.Record{ProjectID: mine}, Name: "other"}})
		web, other := must(s, made, err)[0], made[1]
		add := func(r network.Rule) (network.Rule, error) {
			r.GroupID, r.Direction = web.ID, "ingress"
			if r.EtherType == "" {
				r.EtherType = network.IPv4
			}
			rs, err := s.CreateRules(s.Context(), mine, []network.Rule{r})
			return rs[0], err
		}
		ssh := network.Rule{Protocol: "tcp", PortMin: 22, PortMax: 22, RemotePrefix: "10.0.0.5/24"}
		r, err := add(ssh)
		if must(s, r, err).RemotePrefix != "10.0.0.0/24" {
			s.Errorf("%+v", r)
		}
		_, err = add(ssh)
		s.refused(err, "SecurityGroupRuleExists")
		for _, tt := range []struct {
			rule network.Rule
			kind string
		}{
			{network.Rule{PortMin: 1, PortMax: 2}, "SecurityGroupProtocolRequiredWithPorts"},
			{network.Rule{Protocol: "tcp", PortMin: 3, PortMax: 2}, "SecurityGroupInvalidPortRange"},
			{network.Rule{Protocol: "tcp", PortMin: 3, PortMax: -1}, "SecurityGroupInvalidPortRange"},
			{network.Rule{Protocol: "udp", PortMin: 0, PortMax: 2}, "SecurityGroupInvalidPortValue"},
			{network.Rule{Protocol: "udp", PortMin: 1, PortMax: 70000}, "SecurityGroupInvalidPortValue"},
			{network.Rule{Protocol: "icmp", PortMin: 256, PortMax: -1}, "SecurityGroupInvalidIcmpValue"},
			{network.Rule{Protocol: "icmp", PortMin: -1, PortMax: 0}, "SecurityGroupMissingIcmpType"},
			{network.Rule{Protocol: "gre", PortMin: 1, PortMax: 2}, "SecurityGroupInvalidProtocolForPort"},
			{network.Rule{Protocol: "carrier pigeon", PortMin: -1, PortMax: -1}, "SecurityGroupRuleInvalidProtocol"},
			{network.Rule{PortMin: -1, PortMax: -1, RemotePrefix: "fd00::/8"}, "SecurityGroupRuleParameterConflict"},
			{network.Rule{PortMin: -1, PortMax: -1, RemotePrefix: "10.0.0.0/8", RemoteGroup: other.ID}, "SecurityGroupMultipleRemoteEntites"},
			{network.Rule{PortMin: -1, PortMax: -1, RemoteGroup: "nobody"}, "SecurityGroupNotFound"},
			{network.Rule{PortMin: -1, PortMax: -1, EtherType: "ARP"}, "SecurityGroupRuleInvalidEtherType"},
		} {
			_, err := add(tt.rule)
			s.refused(err, tt.kind)
		}
		if r, err := add(network.Rule{Protocol: "ICMP", EtherType: network.IPv6, PortMin: 128, PortMax: 0}); must(s, r, err).Protocol != "ipv6-icmp" {
			s.Errorf("%+v", r)
		}
		if _, err := s.Rule(s.Context(), theirs, r.ID); !fault.Is(err, fault.NotFound) {
			s.Errorf("another project's rule: %v", err)
		}
		// Rules that name a group go with it.
		remote, err := add(network.Rule{PortMin: -1, PortMax: -1, RemoteGroup: other.ID})
		must(s, remote, err)
		if err := s.DeleteGroup(s.Context(), mine, other.ID, 0); err != nil {
			s.Error(err)
		}
		if _, err := s.Rule(s.Context(), mine, remote.ID); !fault.Is(err, fault.NotFound) {
			s.Errorf("a rule about a group that has gone: %v", err)
		}
		before := s.groups(where("id", web.ID))[0]
		if err := s.DeleteRule(s.Context(), mine, r.ID, r.Revision); err != nil {
			s.Error(err)
		}
		if after := s.groups(where("id", web.ID))[0]; after.Revision != before.Revision+1 || len(after.Rules) != len(before.Rules)-1 {
			s.Errorf("after a rule went: %+v", after)
		}
	})
}

func TestAddressGroups(t *testing.T) {
	each(t, func(s site) {
		host, net := netip.MustParsePrefix("10.0.0.1/32"), netip.MustParsePrefix("10.1.0.0/16")
		made, err := s.CreateAddressGroups(s.Context(), []network.AddressGroup{{Record: network.Record{ProjectID: mine}, Addresses: []netip.Prefix{host}}})
		g := must(s, made, err)[0]
		_, err = s.AddAddresses(s.Context(), mine, g.ID, []netip.Prefix{net, host})
		s.refused(err, "AddressesAlreadyExist")
		if g, err = s.AddAddresses(s.Context(), mine, g.ID, []netip.Prefix{net}); len(must(s, g, err).Addresses) != 2 {
			s.Errorf("%v", g.Addresses)
		}
		if err := s.EnsureDefaultGroup(s.Context(), mine); err != nil {
			s.Fatal(err)
		}
		rs, err := s.CreateRules(s.Context(), mine, []network.Rule{{GroupID: s.groups(network.Query{})[0].ID, Direction: "egress", EtherType: network.IPv4, PortMin: -1, PortMax: -1, RemoteAddressGroup: g.ID}})
		must(s, rs, err)
		s.refused(s.DeleteAddressGroup(s.Context(), mine, g.ID, 0), "AddressGroupInUse")
	})
}
