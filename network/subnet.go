package network

import (
	"context"
	"net/netip"
	"slices"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// NewSubnet is a subnet that is asked for. Without a range it gets one of a subnet pool.
type NewSubnet struct {
	Subnet
	Gateway     *string // nil: the first address of the range; "": none
	PrefixLen   int     // of the range from the pool; 0: the pool's default
	DefaultPool bool    // from the default pool of its IP version
}

// CreateSubnets makes subnets on networks of the owner, all or none. An empty list of pools becomes all addresses but
// the gateway's.
func (s *Service) CreateSubnets(ctx context.Context, o Owner, want []NewSubnet) ([]Subnet, error) {
	out := make([]Subnet, len(want))
	err := s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) (err error) {
		for i, w := range want {
			if out[i], err = s.addSubnet(ctx, tx, o, w); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

func (s *Service) addSubnet(ctx context.Context, tx db.Tx, o Owner, w NewSubnet) (Subnet, error) {
	sub := w.Subnet
	n, err := own[Network](ctx, tx, networkNoun, o, sub.NetworkID)
	if err != nil {
		return sub, err
	}
	if err := s.spend(ctx, tx, n.ProjectID, "subnet", 1); err != nil {
		return sub, err
	}
	if err := lock(ctx, tx, networkNoun, n.ID); err != nil {
		return sub, err
	}
	if sub.PoolID != "" || w.DefaultPool {
		if err := s.takePrefix(ctx, tx, o, n.ProjectID, &sub, w); err != nil {
			return sub, err
		}
	}
	prefix, err := sub.checkRange(n)
	if err != nil {
		return sub, err
	}
	first := prefix.Addr().Next()
	sub.Gateway = first.String()
	if w.Gateway != nil {
		sub.Gateway = *w.Gateway
	}
	if err := sub.check(prefix); err != nil {
		return sub, err
	}
	if err := sub.checkPools(prefix); err != nil {
		return sub, err
	}
	sub.ProjectID = n.ProjectID
	sub.head().born()
	if err := checkNeighbours(ctx, tx, sub, prefix); err != nil {
		return sub, err
	}
	if _, err := tx.NewInsert().Model(&sub).Exec(ctx); err != nil {
		return sub, err
	}
	return sub, touch(ctx, tx, networkNoun, n.ID)
}

// checkNeighbours compares a new subnet with those on its network.
func checkNeighbours(ctx context.Context, tx db.Tx, sub Subnet, prefix netip.Prefix) error {
	var others []Subnet
	if err := tx.NewSelect().Model(&others).Where("network_id = ?", sub.NetworkID).Scan(ctx); err != nil {
		return err
	}
	for _, other := range others {
		if other.Prefix().Overlaps(prefix) {
			return reason("InvalidInput", fault.Field("cidr", "%s overlaps %s on the same network", prefix, other.CIDR))
		}
		if other.IPVersion == sub.IPVersion && other.PoolID != sub.PoolID {
			return reason("NetworkSubnetPoolAffinityError", fault.Field("subnetpool_id", "the subnets of one IP version on a network must be from the same subnet pool"))
		}
	}
	return nil
}

// checkRange checks what never changes of a subnet: its range, its IP version and its modes.
func (sub *Subnet) checkRange(n Network) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(sub.CIDR)
	if err != nil {
		return prefix, reason("InvalidInput", fault.Field("cidr", "%q is not a network such as 10.1.0.0/24", sub.CIDR))
	}
	prefix = prefix.Masked() // Neutron too makes 10.1.0.0/16 of 10.1.2.3/16
	sub.CIDR = prefix.String()
	if prefix.Bits() > prefix.Addr().BitLen()-2 || prefix.Bits() == 0 {
		return prefix, fault.Field("cidr", "must leave room for addresses: /1 to /%d", prefix.Addr().BitLen()-2)
	}
	version := 4
	if prefix.Addr().Is6() {
		version = 6
	}
	if sub.IPVersion != 0 && sub.IPVersion != version {
		return prefix, fault.Field("ip_version", "is %d, but %s is version %d", sub.IPVersion, prefix, version)
	}
	sub.IPVersion = version
	if version == 6 && n.MTU < leastMTU6 {
		return prefix, fault.Field("mtu", "the network's MTU is %d; IPv6 needs %d", n.MTU, leastMTU6)
	}
	return prefix, sub.checkModes(prefix)
}

// Modes of IPv6 addresses: made by the host from its MAC, the same with other settings by DHCP, or all by DHCP.
const (
	slaac     = "slaac"
	stateless = "dhcpv6-stateless"
	stateful  = "dhcpv6-stateful"
)

// fromMAC reports whether hosts make their addresses themselves.
func (sub *Subnet) fromMAC() bool { return sub.AddressMode == slaac || sub.AddressMode == stateless }

func (sub *Subnet) checkModes(prefix netip.Prefix) error {
	for field, mode := range map[string]string{"ipv6_ra_mode": sub.RAMode, "ipv6_address_mode": sub.AddressMode} {
		switch mode {
		case "":
			continue
		case slaac, stateless, stateful:
		default:
			return fault.Field(field, "must be %s, %s or %s", slaac, stateless, stateful)
		}
		if sub.IPVersion != 6 {
			return fault.Field(field, "%s is for IPv6 only", field)
		}
		if !sub.DHCP {
			return fault.Field(field, "%s needs enable_dhcp", field)
		}
		if mode != stateful && prefix.Bits() != 64 {
			return fault.Field("cidr", "must be a /64 for hosts that make their own addresses")
		}
	}
	if sub.RAMode != "" && sub.AddressMode != "" && sub.RAMode != sub.AddressMode {
		return fault.Field("ipv6_ra_mode", "must equal ipv6_address_mode when both are set")
	}
	return nil
}

// Bounds of a subnet's lists, as in OpenStack.
const (
	mostDNS    = 5
	mostRoutes = 20
	mostPools  = 100
	mostTypes  = 50
)

// check checks what may be changed of a subnet.
func (sub *Subnet) check(prefix netip.Prefix) error {
	if err := checkText(sub.Name, sub.Description); err != nil {
		return err
	}
	if sub.Gateway != "" && (!inPrefix(sub.Gateway, prefix) || sub.Gateway == prefix.Addr().String() && prefix.Addr().Is4()) {
		return reason("InvalidInput", fault.Field("gateway_ip", "%q is not an address in %s", sub.Gateway, prefix))
	}
	if len(sub.DNS) > mostDNS {
		return reason("DNSNameServersExhausted", fault.Field("dns_nameservers", "at most %d", mostDNS))
	}
	if len(sub.Routes) > mostRoutes {
		return reason("HostRoutesExhausted", fault.Field("host_routes", "at most %d", mostRoutes))
	}
	if len(sub.NTP) > mostDNS || len(sub.ServiceTypes) > mostTypes {
		return fault.Field("service_types", "at most %d ntp_servers and %d service_types", mostDNS, mostTypes)
	}
	for field, addresses := range map[string][]string{"dns_nameservers": sub.DNS, "ntp_servers": sub.NTP} {
		for _, a := range addresses {
			if _, err := netip.ParseAddr(a); err != nil {
				return reason("InvalidInput", fault.Field(field, "%q is not an address", a))
			}
		}
	}
	for _, r := range sub.Routes {
		if !r.Destination.IsValid() || !r.NextHop.IsValid() || r.Destination.Addr().Is4() != (sub.IPVersion == 4) || r.NextHop.Is4() != (sub.IPVersion == 4) {
			return reason("InvalidInput", fault.Field("host_routes", "a route needs a destination and a next hop of the subnet's IP version"))
		}
	}
	return taggedOnce(sub.Tags, sub.Labels)
}

// checkPools checks the ranges that ports get addresses of; none become all addresses around the gateway.
func (sub *Subnet) checkPools(prefix netip.Prefix) error {
	gateway, _ := netip.ParseAddr(sub.Gateway)
	if len(sub.Pools) == 0 {
		first, final := prefix.Addr().Next(), last(prefix)
		switch {
		case !gateway.IsValid():
			sub.Pools = []Range{{first, final}}
		case gateway == first:
			sub.Pools = []Range{{first.Next(), final}}
		case gateway == final:
			sub.Pools = []Range{{first, final.Prev()}}
		default:
			sub.Pools = []Range{{first, gateway.Prev()}, {gateway.Next(), final}}
		}
	}
	if len(sub.Pools) > mostPools {
		return fault.Field("allocation_pools", "at most %d", mostPools)
	}
	for i, p := range sub.Pools {
		if !p.Start.IsValid() || !p.End.IsValid() || p.End.Less(p.Start) {
			return reason("InvalidAllocationPool", fault.Field("allocation_pools", "%s-%s is not a range", p.Start, p.End))
		}
		if !prefix.Contains(p.Start) || !prefix.Contains(p.End) {
			return reason("OutOfBoundsAllocationPool", fault.Field("allocation_pools", "%s-%s is not a range in %s", p.Start, p.End, prefix))
		}
		if gateway.IsValid() && !gateway.Less(p.Start) && !p.End.Less(gateway) {
			return reason("GatewayConflictWithAllocationPools", fault.Errorf(fault.Conflict, "the gateway %s is in the allocation pool %s-%s", gateway, p.Start, p.End))
		}
		for _, q := range sub.Pools[:i] {
			if !p.End.Less(q.Start) && !q.End.Less(p.Start) {
				return reason("OverlappingAllocationPools", fault.Errorf(fault.Conflict, "the allocation pools %s-%s and %s-%s overlap", q.Start, q.End, p.Start, p.End))
			}
		}
	}
	return nil
}

// Subnet returns one subnet that owner may see.
func (s *Service) Subnet(ctx context.Context, o Owner, id string) (Subnet, error) {
	return find[Subnet](ctx, s.DB.Read(), subnetNoun, o, id)
}

// Subnets returns the subnets that owner may see and w asks for.
func (s *Service) Subnets(ctx context.Context, o Owner, w Query) ([]Subnet, error) {
	return list[Subnet](ctx, s.DB.Read(), subnetNoun, o, w)
}

// SubnetsOf returns the subnets of a network, in the caller's transaction.
func (s *Service) SubnetsOf(ctx context.Context, tx db.Tx, network string) ([]Subnet, error) {
	return list[Subnet](ctx, tx, subnetNoun, "", one("network_id", network))
}

// EditSubnet lets fn change what may be changed of a subnet: all but its network, range and modes.
func (s *Service) EditSubnet(ctx context.Context, o Owner, id string, rev int64, fn func(*Subnet) error) (Subnet, error) {
	return edit(ctx, s, subnetNoun, o, id, rev, func(ctx context.Context, tx db.Tx, sub *Subnet) error {
		gateway, pools := sub.Gateway, sub.Pools
		if err := fn(sub); err != nil {
			return err
		}
		if err := sub.check(sub.Prefix()); err != nil {
			return err
		}
		if err := sub.checkModes(sub.Prefix()); err != nil {
			return err
		}
		if sub.Gateway == gateway && slices.Equal(pools, sub.Pools) {
			return nil
		}
		if err := sub.checkPools(sub.Prefix()); err != nil || sub.Gateway == gateway {
			return err
		}
		return gatewayFree(ctx, tx, id, gateway, sub.Gateway)
	})
}

// gatewayFree refuses to change a subnet's gateway when a router is there, or a port at the new one's address.
func gatewayFree(ctx context.Context, tx db.Tx, id, was, now string) error {
	var taken []string
	if err := tx.NewSelect().Model((*FixedIP)(nil)).Column("address").Where("subnet_id = ? AND address IN (?)", id, bun.In([]string{was, now})).Scan(ctx, &taken); err != nil {
		return err
	}
	switch {
	case slices.Contains(taken, was):
		return reason("GatewayIpInUse", fault.Errorf(fault.Conflict, "the gateway %s is a router's interface; take the subnet off the router first", was))
	case slices.Contains(taken, now):
		return reason("GatewayIpInUse", fault.Errorf(fault.Conflict, "the address %s is a port's; it can not be the gateway", now))
	}
	return nil
}

// DeleteSubnet forgets a subnet of the owner. Addresses in use are a Conflict.
func (s *Service) DeleteSubnet(ctx context.Context, o Owner, id string, rev int64) error {
	return remove(ctx, s, subnetNoun, o, id, rev, func(ctx context.Context, tx db.Tx, sub Subnet) error {
		count, err := tx.NewSelect().Model((*FixedIP)(nil)).Where("subnet_id = ?", id).Count(ctx)
		if err != nil {
			return err
		}
		if count > 0 {
			return reason("SubnetInUse", fault.Errorf(fault.Conflict, "%d addresses of the subnet are in use; delete their ports first", count))
		}
		return touch(ctx, tx, networkNoun, sub.NetworkID)
	})
}
