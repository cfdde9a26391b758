package network

import (
	"context"
	"net/netip"

	"github.com/google/uuid"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// CreateSubnet makes a subnet on a network of the owner. An empty list of pools becomes all addresses but
// the gateway's; gateway nil becomes the first address, "" none.
func (s *Service) CreateSubnet(ctx context.Context, o Owner, sub Subnet, gateway *string) (Subnet, error) {
	if err := checkText(sub.Name, sub.Description); err != nil {
		return sub, err
	}
	n, err := s.Network(ctx, o, sub.NetworkID)
	if err != nil {
		return sub, err
	}
	if o != "" && n.ProjectID != string(o) {
		return sub, fault.Errorf(fault.Denied, "the network belongs to another project")
	}
	prefix, err := netip.ParsePrefix(sub.CIDR)
	if err != nil || prefix.Masked() != prefix {
		return sub, fault.Field("cidr", "%q is not a network such as 10.1.0.0/24", sub.CIDR)
	}
	if prefix.Addr().Is4() && prefix.Bits() > 30 || prefix.Bits() == 0 {
		return sub, fault.Field("cidr", "must leave room for addresses: /1 to /30")
	}
	version := 4
	if prefix.Addr().Is6() {
		version = 6
	}
	if sub.IPVersion != 0 && sub.IPVersion != version {
		return sub, fault.Field("ip_version", "is %d, but %s is version %d", sub.IPVersion, prefix, version)
	}
	sub.IPVersion = version
	first := prefix.Addr().Next()
	switch {
	case gateway == nil:
		sub.Gateway = first.String()
	case *gateway != "":
		if err := inside("gateway_ip", *gateway, prefix); err != nil {
			return sub, err
		}
		sub.Gateway = *gateway
	}
	if err := sub.checkPools(prefix, first); err != nil {
		return sub, err
	}
	sub.ID, sub.ProjectID, sub.CreatedAt, sub.UpdatedAt, sub.Revision = uuid.NewString(), n.ProjectID, db.Now(), db.Now(), 1
	return sub, s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		var others []Subnet
		if err := tx.NewSelect().Model(&others).Where("network_id = ?", sub.NetworkID).Scan(ctx); err != nil {
			return err
		}
		for _, other := range others {
			if other.Prefix().Overlaps(prefix) {
				return fault.Field("cidr", "%s overlaps %s on the same network", prefix, other.CIDR)
			}
		}
		_, err := tx.NewInsert().Model(&sub).Exec(ctx)
		return err
	})
}

func inside(field, addr string, prefix netip.Prefix) error {
	a, err := netip.ParseAddr(addr)
	if err != nil || !prefix.Contains(a) {
		return fault.Field(field, "%q is not an address in %s", addr, prefix)
	}
	return nil
}

func (sub *Subnet) checkPools(prefix netip.Prefix, first netip.Addr) error {
	if len(sub.Pools) == 0 {
		if sub.Gateway == first.String() {
			first = first.Next()
		}
		sub.Pools = []Range{{first, last(prefix)}}
	}
	for _, p := range sub.Pools {
		if !prefix.Contains(p.Start) || !prefix.Contains(p.End) || p.End.Less(p.Start) {
			return fault.Field("allocation_pools", "%s-%s is not a range in %s", p.Start, p.End, prefix)
		}
	}
	return nil
}

// last returns the last address of a prefix that a host can have.
func last(p netip.Prefix) netip.Addr {
	raw := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(raw)*8; bit++ {
		raw[bit/8] |= 1 << (7 - bit%8)
	}
	a, _ := netip.AddrFromSlice(raw)
	if a.Is4() {
		return a.Prev() // the last is the broadcast address
	}
	return a
}

// Subnet returns one subnet that owner may see.
func (s *Service) Subnet(ctx context.Context, o Owner, id string) (Subnet, error) {
	var sub Subnet
	err := s.DB.Read().NewSelect().Model(&sub).Where("id = ?", id).Scan(ctx)
	if db.None(err) {
		return sub, fault.Errorf(fault.NotFound, "no subnet %s", id)
	}
	if err != nil {
		return sub, fault.E(fault.Internal, "reading subnet "+id, err)
	}
	if _, err := s.Network(ctx, o, sub.NetworkID); err != nil {
		return sub, fault.Errorf(fault.NotFound, "no subnet %s", id)
	}
	return sub, nil
}

// Subnets returns the subnets that owner may see; of one network unless it is "".
func (s *Service) Subnets(ctx context.Context, o Owner, network string) ([]Subnet, error) {
	var subs []Subnet
	q := s.DB.Read().NewSelect().Model(&subs).OrderExpr("created_at, id")
	if network != "" {
		q = q.Where("network_id = ?", network)
	}
	if o != "" {
		q = q.Where("network_id IN (SELECT id FROM network WHERE project_id = ? OR shared)", o)
	}
	return subs, fault.Wrap("listing subnets", q.Scan(ctx))
}

// UpdateSubnet writes what may be changed of a subnet: all but its network and range.
func (s *Service) UpdateSubnet(ctx context.Context, sub Subnet) (Subnet, error) {
	if err := checkText(sub.Name, sub.Description); err != nil {
		return sub, err
	}
	if sub.Gateway != "" {
		if err := inside("gateway_ip", sub.Gateway, sub.Prefix()); err != nil {
			return sub, err
		}
	}
	if err := sub.checkPools(sub.Prefix(), sub.Prefix().Addr().Next()); err != nil {
		return sub, err
	}
	sub.Revision, sub.UpdatedAt = sub.Revision+1, db.Now()
	return sub, s.write(ctx, &sub, sub.ID, "name", "description", "gateway", "dhcp", "pools", "dns", "ntp", "routes", "tags", "revision", "updated_at")
}

// DeleteSubnet forgets a subnet of the owner. Addresses in use are a Conflict.
func (s *Service) DeleteSubnet(ctx context.Context, o Owner, id string) error {
	sub, err := s.Subnet(ctx, o, id)
	if err != nil {
		return err
	}
	if o != "" && sub.ProjectID != string(o) {
		return fault.Errorf(fault.Denied, "the subnet belongs to another project")
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		count, err := tx.NewSelect().Model((*FixedIP)(nil)).Where("subnet_id = ?", id).Count(ctx)
		if err != nil {
			return err
		}
		if count > 0 {
			return fault.Errorf(fault.Conflict, "%d addresses of the subnet are in use; delete their ports first", count)
		}
		_, err = tx.NewDelete().Model((*Subnet)(nil)).Where("id = ?", id).Exec(ctx)
		return err
	})
}
