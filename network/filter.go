package network

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network/fabric"
)

// Plug is a NIC at a switch port, in the VLAN of a network.
type Plug struct {
	Switch, Port, MAC string
	VLAN              int
}

// filters computes what may pass at plugs: nil is everything, on the cloud's own networks and at ports without port security. Where
// no port of a server's has the plug's MAC, nothing may. It takes a few queries, however many plugs there are.
func (s *Service) filters(ctx context.Context, plugs []Plug) (map[Plug]*fabric.Filter, error) {
	out := make(map[Plug]*fabric.Filter, len(plugs))
	var macs []string
	for _, p := range plugs {
		if s.filtered(p.VLAN) {
			out[p] = &fabric.Filter{MAC: p.MAC}
			macs = append(macs, p.MAC)
		}
	}
	if len(macs) == 0 {
		return out, nil
	}
	q := s.DB.Read()
	vlans, err := vlansOf(ctx, q)
	if err != nil {
		return nil, err
	}
	type seat struct {
		mac  string
		vlan int
	}
	at := map[seat]*Port{}
	var ports []Port
	if err := eachPart(ctx, q, macs, "mac", "id", func(p Port) {
		if p.OfServer() {
			ports = append(ports, p)
		}
	}); err != nil {
		return nil, err
	}
	if err := fillPorts(ctx, q, ports); err != nil {
		return nil, err
	}
	for i := range ports {
		at[seat{ports[i].MAC, vlans[ports[i].NetworkID]}] = &ports[i]
	}
	w, err := readWards(ctx, q, ports)
	if err != nil {
		return nil, err
	}
	for plug, f := range out {
		switch p := at[seat{plug.MAC, plug.VLAN}]; {
		case p == nil:
		case !p.PortSecurity:
			out[plug] = nil
		default:
			f.Addresses, f.Rules = p.pairs(), w.rules(p)
		}
	}
	return out, nil
}

// filtered reports whether a VLAN is one of tenants' networks.
func (s *Service) filtered(vlan int) bool {
	return vlan != 0 && !slices.ContainsFunc(s.Systems, func(sys System) bool { return sys.VLAN == vlan })
}

// vlansOf returns the VLANs of networks, by id.
func vlansOf(ctx context.Context, q bun.IDB) (map[string]int, error) {
	var ns []Network
	if err := q.NewSelect().Model(&ns).Column("id", "vlan").Scan(ctx); err != nil {
		return nil, fault.E(fault.Internal, "reading the networks' VLANs", err)
	}
	out := make(map[string]int, len(ns))
	for _, n := range ns {
		out[n.ID] = n.VLAN
	}
	return out, nil
}

// pairs are the addresses that a port's server may send from.
func (p *Port) pairs() []fabric.Pair {
	var out []fabric.Pair
	for _, ip := range p.FixedIPs {
		if a, ok := prefixOf(ip.Address); ok {
			out = append(out, fabric.Pair{MAC: p.MAC, Prefix: a})
		}
	}
	for _, pair := range p.Pairs {
		if a, ok := prefixOf(pair.Address); ok {
			out = append(out, fabric.Pair{MAC: pair.MAC, Prefix: a})
		}
	}
	return out
}

// prefixOf reads an address or a range of them.
func prefixOf(text string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Masked(), true
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), true
}

// wards is what the rules of some security groups come to.
type wards struct {
	groups    map[string]*Group
	members   map[string][]netip.Prefix // by group, the addresses of the ports in it
	addresses map[string][]netip.Prefix // by address group
}

// readWards reads the security groups of ports, and what their rules name.
func readWards(ctx context.Context, q bun.IDB, ports []Port) (*wards, error) {
	w := &wards{groups: map[string]*Group{}, members: map[string][]netip.Prefix{}, addresses: map[string][]netip.Prefix{}}
	var ids, remotes, lists []string
	for _, p := range ports {
		ids = append(ids, p.Groups...)
	}
	ids = distinct(ids)
	if err := eachPart(ctx, q, ids, "id", "id", func(g Group) { w.groups[g.ID] = &g }); err != nil {
		return nil, err
	}
	if err := eachPart(ctx, q, ids, "group_id", "id", func(r Rule) {
		if g := w.groups[r.GroupID]; g != nil {
			g.Rules = append(g.Rules, r)
		}
		if r.RemoteGroup != "" {
			remotes = append(remotes, r.RemoteGroup)
		}
		if r.RemoteAddressGroup != "" {
			lists = append(lists, r.RemoteAddressGroup)
		}
	}); err != nil {
		return nil, err
	}
	if err := w.readMembers(ctx, q, distinct(remotes)); err != nil {
		return nil, err
	}
	return w, eachPart(ctx, q, distinct(lists), "id", "id", func(g AddressGroup) { w.addresses[g.ID] = ordered(g.Addresses) })
}

// readMembers reads the addresses of the ports in groups, and those that pairs allow these.
func (w *wards) readMembers(ctx context.Context, q bun.IDB, groups []string) error {
	of := map[string][]string{} // groups of a port
	var ports []string
	if err := eachPart(ctx, q, groups, "group_id", "port_id", func(m membership) {
		if of[m.PortID] == nil {
			ports = append(ports, m.PortID)
		}
		of[m.PortID] = append(of[m.PortID], m.GroupID)
	}); err != nil {
		return err
	}
	add := func(port, address string) {
		if a, ok := prefixOf(address); ok {
			for _, g := range of[port] {
				w.members[g] = append(w.members[g], a)
			}
		}
	}
	if err := eachPart(ctx, q, ports, "port_id", "address", func(ip FixedIP) { add(ip.PortID, ip.Address) }); err != nil {
		return err
	}
	if err := eachPart(ctx, q, ports, "id", "id", func(p Port) {
		for _, pair := range p.Pairs {
			add(p.ID, pair.Address)
		}
	}); err != nil {
		return err
	}
	for g, list := range w.members {
		w.members[g] = ordered(list)
	}
	return nil
}

// rules are those of a port's groups, each once and in one order.
func (w *wards) rules(p *Port) []fabric.Rule {
	type entry struct {
		Rule
		stateless bool
	}
	all := map[string]entry{}
	for _, id := range p.Groups {
		g := w.groups[id]
		if g == nil {
			continue // it was deleted between two queries
		}
		for _, r := range g.Rules {
			key := fmt.Sprintf("%s/%s/%s/%d/%d/%s/%s/%s/%t", r.Direction, r.EtherType, r.Protocol, r.PortMin, r.PortMax, r.RemotePrefix, r.RemoteGroup, r.RemoteAddressGroup, g.Stateful)
			all[key] = entry{r, !g.Stateful}
		}
	}
	var out []fabric.Rule
	for _, key := range slices.Sorted(maps.Keys(all)) {
		e := all[key]
		if r, ok := w.rule(&e.Rule); ok {
			r.Stateless = e.stateless
			out = append(out, r)
		}
	}
	return out
}

// rule is a rule with the addresses that it names; ok is false when it names none, and so allows nothing.
func (w *wards) rule(r *Rule) (out fabric.Rule, ok bool) {
	out = fabric.Rule{In: r.Direction == Ingress, Version: 4, Low: r.PortMin, High: r.PortMax}
	if r.EtherType == IPv6 {
		out.Version = 6
	}
	out.Protocol, _ = r.number()
	var remotes []netip.Prefix
	switch {
	case r.RemotePrefix != "":
		if p, ok := prefixOf(r.RemotePrefix); ok {
			remotes = []netip.Prefix{p}
		}
	case r.RemoteGroup != "":
		remotes = w.members[r.RemoteGroup]
	case r.RemoteAddressGroup != "":
		remotes = w.addresses[r.RemoteAddressGroup]
	default:
		return out, true
	}
	for _, p := range remotes {
		if p.Addr().Is4() == (out.Version == 4) {
			out.Remotes = append(out.Remotes, p)
		}
	}
	return out, len(out.Remotes) > 0
}

// distinct returns each of some ids once.
func distinct(ids []string) []string { return slices.Compact(slices.Sorted(slices.Values(ids))) }

// ordered returns each of some prefixes once, in one order.
func ordered(ps []netip.Prefix) []netip.Prefix {
	ps = slices.Clone(ps)
	for i := range ps {
		ps[i] = ps[i].Masked()
	}
	slices.SortFunc(ps, func(a, b netip.Prefix) int { return cmp.Or(a.Addr().Compare(b.Addr()), a.Bits()-b.Bits()) })
	return slices.Compact(ps)
}
