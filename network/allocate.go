package network

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"slices"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// mostAddresses bounds a port's addresses.
const mostAddresses = 50

// allocation gives one port its addresses.
type allocation struct {
	tx   db.Tx
	port *Port
	subs []Subnet            // those that serve the port, IPv4 first
	had  map[string][]string // by subnet the addresses that the port had before
	out  []FixedIP
}

// allocate gives a port the addresses of p.FixedIPs, each of a subnet, an address or both. nil is one address of every
// IP version that the network has, and an empty list none. had are addresses to keep where any would do.
func (s *Service) allocate(ctx context.Context, tx db.Tx, p *Port, had []FixedIP) error {
	if len(p.FixedIPs) > mostAddresses {
		return reason("InvalidInput", fault.Field("fixed_ips", "at most %d", mostAddresses))
	}
	// The rows are locked until the transaction ends, so that two never choose the same address.
	var subs []Subnet
	if err := tx.NewRaw("UPDATE subnet SET id = id WHERE network_id = ? RETURNING *", p.NetworkID).Scan(ctx, &subs); err != nil {
		return err
	}
	slices.SortFunc(subs, func(a, b Subnet) int {
		return cmp.Or(cmp.Compare(a.IPVersion, b.IPVersion), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	a := allocation{tx: tx, port: p, had: map[string][]string{}, out: []FixedIP{}}
	for _, ip := range had {
		if slices.ContainsFunc(p.FixedIPs, func(w FixedIP) bool { return w.Address == ip.Address }) {
			continue // it is wished for itself
		}
		a.had[ip.SubnetID] = append(a.had[ip.SubnetID], ip.Address)
	}
	for _, sub := range subs {
		if outside := p.DeviceOwner == gatewayOwner || p.DeviceOwner == floatingOwner; outside && sub.IPVersion != 4 {
			continue // routers carry IPv4
		}
		if len(sub.ServiceTypes) == 0 || slices.Contains(sub.ServiceTypes, p.DeviceOwner) {
			a.subs = append(a.subs, sub)
		}
	}
	var err error
	if p.FixedIPs == nil {
		err = a.automatic(ctx)
	} else {
		for _, w := range p.FixedIPs {
			if err = a.wish(ctx, w); err != nil {
				break
			}
		}
	}
	if err == nil && (p.FixedIPs == nil || len(p.FixedIPs) > 0) {
		err = a.fromMAC(ctx)
	}
	p.FixedIPs = a.out
	return err
}

// automatic takes an address of the first subnet of each IP version that has one left.
func (a *allocation) automatic(ctx context.Context) error {
	for _, version := range []int{4, 6} {
		var full error
		for _, sub := range a.subs {
			if sub.IPVersion != version || sub.fromMAC() {
				continue
			}
			address, err := a.free(ctx, sub)
			if full = err; err == nil {
				if err := a.take(ctx, sub, address); err != nil {
					return err
				}
				break
			}
			if !fault.Is(err, fault.Conflict) {
				return err
			}
		}
		if full != nil {
			return full
		}
	}
	return nil
}

// fromMAC adds the addresses that the device makes of its MAC on subnets where it does that.
func (a *allocation) fromMAC(ctx context.Context) error {
	for _, sub := range a.subs {
		if !sub.fromMAC() || slices.ContainsFunc(a.out, func(ip FixedIP) bool { return ip.SubnetID == sub.ID }) {
			continue
		}
		if err := a.take(ctx, sub, eui64(sub.Prefix(), a.port.MAC)); err != nil {
			return err
		}
	}
	return nil
}

// wish takes an address that was asked for.
func (a *allocation) wish(ctx context.Context, w FixedIP) error {
	if w.Address != "" {
		parsed, err := netip.ParseAddr(w.Address)
		if err != nil || parsed.Zone() != "" {
			return reason("InvalidInput", fault.Field("fixed_ips", "%q is not an address", w.Address))
		}
		w.Address = parsed.String()
	}
	sub, err := fit(a.subs, w, a.port.DeviceOwner == interfaceOwner)
	if err != nil {
		return err
	}
	if sub.fromMAC() {
		own := eui64(sub.Prefix(), a.port.MAC)
		if w.Address != "" && w.Address != own {
			return reason("InvalidInput", fault.Field("fixed_ips", "the device makes its address on the subnet %s of its MAC: %s", sub.ID, own))
		}
		w.Address = own
	}
	if w.Address == "" {
		if had := a.had[sub.ID]; len(had) > 0 {
			w.Address, a.had[sub.ID] = had[0], had[1:]
		} else if w.Address, err = a.free(ctx, sub); err != nil {
			return err
		}
	}
	return a.take(ctx, sub, w.Address)
}

func (a *allocation) take(ctx context.Context, sub Subnet, address string) error {
	ip := FixedIP{SubnetID: sub.ID, Address: address, PortID: a.port.ID}
	if _, err := a.tx.NewInsert().Model(&ip).Exec(ctx); err != nil {
		if db.Duplicate(err) {
			return reason("IpAddressAlreadyAllocated", fault.Errorf(fault.Conflict, "the address %s is in use", address))
		}
		return err
	}
	a.out = append(a.out, ip)
	return nil
}

// fit returns the subnet of a wish. Only a router may have a subnet's gateway.
func fit(subs []Subnet, w FixedIP, router bool) (Subnet, error) {
	for _, sub := range subs {
		if w.SubnetID != "" && w.SubnetID != sub.ID {
			continue
		}
		if w.Address == "" {
			return sub, nil
		}
		if inPrefix(w.Address, sub.Prefix()) {
			if w.Address == sub.Gateway && !router {
				return sub, reason("IpAddressInUse", fault.Field("fixed_ips", "%s is the subnet's gateway", w.Address))
			}
			if sub.IPVersion == 4 && (w.Address == sub.Prefix().Addr().String() || w.Address == end(sub.Prefix()).String()) {
				return sub, reason("InvalidIpForSubnet", fault.Field("fixed_ips", "%s is no host's address", w.Address))
			}
			return sub, nil
		}
	}
	kind := "InvalidIpForNetwork"
	if w.SubnetID != "" {
		kind = "InvalidIpForSubnet"
	}
	return Subnet{}, reason(kind, fault.Field("fixed_ips", "no subnet of the network fits the subnet %q and the address %q", w.SubnetID, w.Address))
}

// free returns the lowest address of the pools that no port has.
func (a *allocation) free(ctx context.Context, sub Subnet) (string, error) {
	var used []string
	if err := a.tx.NewSelect().Model((*FixedIP)(nil)).Column("address").Where("subnet_id = ?", sub.ID).Scan(ctx, &used); err != nil {
		return "", err
	}
	taken := map[netip.Addr]bool{}
	for _, u := range append(used, sub.Gateway) {
		if a, err := netip.ParseAddr(u); err == nil {
			taken[a] = true
		}
	}
	for _, p := range sub.Pools {
		for a := p.Start; a.IsValid() && !p.End.Less(a); a = a.Next() {
			if !taken[a] {
				return a.String(), nil
			}
		}
	}
	return "", reason("IpAddressGenerationFailure", fault.Errorf(fault.Conflict, "all addresses of the subnet %s (%s) are in use", sub.Name, sub.CIDR))
}

// eui64 is the address that a host makes of its MAC in a /64 (RFC 4291, appendix A).
func eui64(p netip.Prefix, mac string) string {
	hw, err := net.ParseMAC(mac)
	if err != nil || len(hw) != 6 {
		return ""
	}
	raw := p.Addr().As16()
	copy(raw[8:], []byte{hw[0] ^ 2, hw[1], hw[2], 0xff, 0xfe, hw[3], hw[4], hw[5]})
	return netip.AddrFrom16(raw).String()
}

// readdress renews the addresses that follow from a port's MAC after that changed.
func readdress(ctx context.Context, tx db.Tx, p *Port) error {
	var ids []string
	for _, ip := range p.FixedIPs {
		ids = append(ids, ip.SubnetID)
	}
	if len(ids) == 0 {
		return nil
	}
	var subs []Subnet
	if err := tx.NewSelect().Model(&subs).Where("id IN (?)", bun.In(ids)).Where("address_mode IN (?)", bun.In([]string{slaac, stateless})).Scan(ctx); err != nil {
		return err
	}
	for _, sub := range subs {
		address := eui64(sub.Prefix(), p.MAC)
		if _, err := tx.NewUpdate().Model((*FixedIP)(nil)).Set("address = ?", address).Where("port_id = ? AND subnet_id = ?", p.ID, sub.ID).Exec(ctx); err != nil {
			return fault.E(fault.Internal, "renewing the addresses of port "+p.ID, err)
		}
		for i := range p.FixedIPs {
			if p.FixedIPs[i].SubnetID == sub.ID {
				p.FixedIPs[i].Address = address
			}
		}
	}
	return nil
}
