package network

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/fault"
)

// Leg is a router's port as whoever forwards needs it.
type Leg struct {
	NetworkID string
	VLAN, MTU int
	MAC       string
	Addresses []netip.Prefix // its own, with the lengths of their subnets
}

// RouterPlan is what a router is to do.
type RouterPlan struct {
	ID       string
	Outside  *Leg           // nil: it leads nowhere
	OnLink   []netip.Prefix // what is reached on the outside without a gateway
	Gateway  netip.Addr     // the next hop on the outside; not valid when there is none
	SNAT     bool
	Inside   []Leg
	Routes   []Route
	Floating map[netip.Addr]netip.Addr // inner addresses by those on the outside
}

// RouterStamp changes when what RouterPlans returns may have changed. It is one query.
func (s *Service) RouterStamp(ctx context.Context) (string, error) {
	var parts []struct {
		What         string
		N, Revisions int64
		Last         any
	}
	part := func(table, where string) string {
		return fmt.Sprintf("SELECT '%s' AS what, COUNT(*) AS n, COALESCE(SUM(revision), 0) AS revisions, MAX(updated_at) AS last FROM %s%s", table, table, where)
	}
	routers := " WHERE device_owner IN ('" + interfaceOwner + "', '" + gatewayOwner + "')"
	led := " WHERE id IN (SELECT network_id FROM port" + routers + ")"
	query := part("router", "") + " UNION ALL " + part("floating_ip", "") + " UNION ALL " + part("port", routers) + " UNION ALL " +
		part("network", led) + " UNION ALL " + part("subnet", " WHERE network_id IN (SELECT network_id FROM port"+routers+")")
	if err := s.DB.Read().NewRaw(query).Scan(ctx, &parts); err != nil {
		return "", fault.E(fault.Internal, "looking for changes of routers", err)
	}
	return fmt.Sprint(parts), nil
}

// RouterPlans returns what all routers are to do that are up and have a port. It takes a few queries, however many there are.
func (s *Service) RouterPlans(ctx context.Context) ([]RouterPlan, error) {
	q := s.DB.Read()
	var routers []Router
	if err := q.NewSelect().Model(&routers).Where("admin_up").Order("id").Scan(ctx); err != nil {
		return nil, fault.E(fault.Internal, "reading the routers", err)
	}
	b := blueprint{at: map[string]*RouterPlan{}, networks: map[string]Network{}, subnets: map[string]Subnet{}}
	for _, r := range routers {
		b.at[r.ID] = &RouterPlan{ID: r.ID, SNAT: r.SNAT, Routes: r.Routes, Floating: map[netip.Addr]netip.Addr{}}
	}
	if err := b.read(ctx, q); err != nil {
		return nil, err
	}
	var out []RouterPlan
	for _, r := range routers {
		if p := b.at[r.ID]; p.Outside != nil || len(p.Inside) > 0 {
			out = append(out, *p)
		}
	}
	return out, nil
}

// blueprint is what plans are made of.
type blueprint struct {
	at       map[string]*RouterPlan
	networks map[string]Network
	subnets  map[string]Subnet
}

func (b *blueprint) read(ctx context.Context, q bun.IDB) error {
	var ports []Port
	if err := q.NewSelect().Model(&ports).Where("device_owner IN (?) AND admin_up", bun.In([]string{interfaceOwner, gatewayOwner})).Order("created_at", "id").Scan(ctx); err != nil {
		return fault.E(fault.Internal, "reading the routers' ports", err)
	}
	if err := fillPorts(ctx, q, ports); err != nil {
		return err
	}
	var ids []string
	for _, p := range ports {
		ids = append(ids, p.NetworkID)
	}
	ids = distinct(ids)
	if err := eachPart(ctx, q, ids, "id", "id", func(n Network) { b.networks[n.ID] = n }); err != nil {
		return err
	}
	links := map[string][]netip.Prefix{}
	if err := eachPart(ctx, q, ids, "network_id", "id", func(sub Subnet) {
		b.subnets[sub.ID] = sub
		if sub.IPVersion == 4 {
			links[sub.NetworkID] = append(links[sub.NetworkID], sub.Prefix())
		}
	}); err != nil {
		return err
	}
	for _, p := range ports {
		b.add(p, links)
	}
	var floating []FloatingIP
	if err := q.NewSelect().Model(&floating).Where("router_id <> ''").Order("id").Scan(ctx); err != nil {
		return fault.E(fault.Internal, "reading the floating addresses", err)
	}
	for _, f := range floating {
		outer, err := netip.ParseAddr(f.Address)
		inner, ierr := netip.ParseAddr(f.FixedAddress)
		if plan := b.at[f.RouterID]; plan != nil && err == nil && ierr == nil {
			plan.Floating[outer] = inner
		}
	}
	return nil
}

// add adds a port to its router's plan. What is down is left out.
func (b *blueprint) add(p Port, links map[string][]netip.Prefix) {
	plan, n := b.at[p.DeviceID], b.networks[p.NetworkID]
	if plan == nil || !n.AdminUp {
		return
	}
	leg := Leg{NetworkID: n.ID, VLAN: n.VLAN, MTU: n.MTU, MAC: p.MAC}
	var gateway netip.Addr
	for _, ip := range p.FixedIPs {
		sub, known := b.subnets[ip.SubnetID]
		a, err := netip.ParseAddr(ip.Address)
		if !known || err != nil || !a.Is4() {
			continue
		}
		leg.Addresses = append(leg.Addresses, netip.PrefixFrom(a, sub.Prefix().Bits()))
		if next, err := netip.ParseAddr(sub.Gateway); err == nil && !gateway.IsValid() && next != a {
			gateway = next
		}
	}
	switch {
	case len(leg.Addresses) == 0:
	case p.DeviceOwner == gatewayOwner:
		plan.Outside, plan.OnLink, plan.Gateway = &leg, links[n.ID], gateway
	default:
		plan.Inside = append(plan.Inside, leg)
	}
}
