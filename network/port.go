package network

import (
	"context"
	"net"
	"net/netip"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// CreatePort makes a port on a network that owner may see, with the addresses asked for in p.FixedIPs
// (subnet, address or both of each), or else one address of the first IPv4 subnet.
func (s *Service) CreatePort(ctx context.Context, o Owner, p Port) (Port, error) {
	err := s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) (err error) {
		p, err = s.AddPort(ctx, tx, o, p)
		return err
	})
	return p, err
}

// AddPort is CreatePort in the caller's transaction.
func (s *Service) AddPort(ctx context.Context, tx db.Tx, o Owner, p Port) (Port, error) {
	if err := checkText(p.Name, p.Description); err != nil {
		return p, err
	}
	var n Network
	err := tx.NewSelect().Model(&n).Where("id = ?", p.NetworkID).Scan(ctx)
	if db.None(err) || (err == nil && o != "" && n.ProjectID != string(o) && !n.Shared) {
		return p, fault.Errorf(fault.NotFound, "no network %s", p.NetworkID)
	}
	if err != nil {
		return p, fault.E(fault.Internal, "reading network "+p.NetworkID, err)
	}
	if p.MAC == "" {
		p.MAC = randomMAC()
	}
	mac, err := net.ParseMAC(p.MAC)
	if err != nil || len(mac) != 6 {
		return p, fault.Field("mac_address", "%q is not a MAC address", p.MAC)
	}
	p.MAC = mac.String()
	p.ID, p.CreatedAt, p.UpdatedAt, p.Revision = uuid.NewString(), db.Now(), db.Now(), 1
	if _, err := tx.NewInsert().Model(&p).Exec(ctx); err != nil {
		if db.Duplicate(err) {
			return p, fault.Errorf(fault.Conflict, "the MAC address %s is in use on the network", p.MAC)
		}
		return p, err
	}
	p.FixedIPs, err = s.allocate(ctx, tx, n, p.ID, p.FixedIPs)
	return p, err
}

// allocate gives a port its addresses.
func (s *Service) allocate(ctx context.Context, tx db.Tx, n Network, port string, want []FixedIP) ([]FixedIP, error) {
	var subs []Subnet
	if err := tx.NewSelect().Model(&subs).Where("network_id = ?", n.ID).OrderExpr("ip_version, created_at, id").Scan(ctx); err != nil {
		return nil, err
	}
	// The rows are locked until the transaction ends, so that two never choose the same address.
	if _, err := tx.NewRaw("UPDATE subnet SET id = id WHERE network_id = ?", n.ID).Exec(ctx); err != nil {
		return nil, err
	}
	if len(want) == 0 {
		if len(subs) == 0 || subs[0].IPVersion != 4 {
			return []FixedIP{}, nil
		}
		want = []FixedIP{{SubnetID: subs[0].ID}}
	}
	out := []FixedIP{}
	for _, w := range want {
		sub, err := fit(subs, w)
		if err != nil {
			return nil, err
		}
		ip := FixedIP{SubnetID: sub.ID, Address: w.Address, PortID: port}
		if ip.Address == "" {
			if ip.Address, err = free(ctx, tx, sub); err != nil {
				return nil, err
			}
		}
		if _, err := tx.NewInsert().Model(&ip).Exec(ctx); err != nil {
			if db.Duplicate(err) {
				return nil, fault.Errorf(fault.Conflict, "the address %s is in use", ip.Address)
			}
			return nil, err
		}
		out = append(out, ip)
	}
	return out, nil
}

// fit returns the subnet of a wish.
func fit(subs []Subnet, w FixedIP) (Subnet, error) {
	for _, sub := range subs {
		if w.SubnetID != "" && w.SubnetID != sub.ID {
			continue
		}
		if w.Address == "" {
			return sub, nil
		}
		if inside("fixed_ips", w.Address, sub.Prefix()) == nil {
			if w.Address == sub.Gateway {
				return sub, fault.Field("fixed_ips", "%s is the subnet's gateway", w.Address)
			}
			return sub, nil
		}
	}
	return Subnet{}, fault.Field("fixed_ips", "no subnet of the network fits the subnet %q and the address %q", w.SubnetID, w.Address)
}

// free returns the lowest address of the pools that no port has.
func free(ctx context.Context, tx db.Tx, sub Subnet) (string, error) {
	var used []string
	if err := tx.NewSelect().Model((*FixedIP)(nil)).Column("address").Where("subnet_id = ?", sub.ID).Scan(ctx, &used); err != nil {
		return "", err
	}
	taken := map[netip.Addr]bool{}
	for _, u := range used {
		if a, err := netip.ParseAddr(u); err == nil {
			taken[a] = true
		}
	}
	if a, err := netip.ParseAddr(sub.Gateway); err == nil {
		taken[a] = true
	}
	for _, p := range sub.Pools {
		for a := p.Start; a.IsValid() && !p.End.Less(a); a = a.Next() {
			if !taken[a] {
				return a.String(), nil
			}
		}
	}
	return "", fault.Errorf(fault.Conflict, "all addresses of the subnet %s (%s) are in use", sub.Name, sub.CIDR)
}

// Port returns one port of the owner.
func (s *Service) Port(ctx context.Context, o Owner, id string) (Port, error) {
	return s.port(ctx, s.DB.Read(), o, id)
}

func (s *Service) port(ctx context.Context, q bun.IDB, o Owner, id string) (Port, error) {
	var p Port
	err := o.own(q.NewSelect().Model(&p).Where("id = ?", id)).Scan(ctx)
	if db.None(err) {
		return p, fault.Errorf(fault.NotFound, "no port %s", id)
	}
	if err != nil {
		return p, fault.E(fault.Internal, "reading port "+id, err)
	}
	ps := []Port{p}
	if err := s.addresses(ctx, q, ps); err != nil {
		return p, err
	}
	return ps[0], nil
}

// Ports returns the ports of the owner; those of one network or device unless they are "".
func (s *Service) Ports(ctx context.Context, o Owner, network, device string) ([]Port, error) {
	return s.ports(ctx, s.DB.Read(), o, network, device)
}

func (s *Service) ports(ctx context.Context, db bun.IDB, o Owner, network, device string) ([]Port, error) {
	var ps []Port
	q := o.own(db.NewSelect().Model(&ps).OrderExpr("created_at, id"))
	if network != "" {
		q = q.Where("network_id = ?", network)
	}
	if device != "" {
		q = q.Where("device_id = ?", device)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fault.E(fault.Internal, "listing ports", err)
	}
	return ps, s.addresses(ctx, db, ps)
}

// addresses fills in the fixed addresses of ports.
func (s *Service) addresses(ctx context.Context, q bun.IDB, ps []Port) error {
	if len(ps) == 0 {
		return nil
	}
	at := map[string]int{}
	ids := make([]string, len(ps))
	for i := range ps {
		ids[i], at[ps[i].ID] = ps[i].ID, i
		ps[i].FixedIPs = []FixedIP{}
	}
	var ips []FixedIP
	if err := q.NewSelect().Model(&ips).Where("port_id IN (?)", bun.In(ids)).Order("address").Scan(ctx); err != nil {
		return fault.E(fault.Internal, "reading addresses", err)
	}
	for _, ip := range ips {
		p := &ps[at[ip.PortID]]
		p.FixedIPs = append(p.FixedIPs, ip)
	}
	return nil
}

// UpdatePort writes what a tenant may change of a port; fixed, if not nil, replaces its addresses.
func (s *Service) UpdatePort(ctx context.Context, p Port, fixed []FixedIP) (Port, error) {
	if err := checkText(p.Name, p.Description); err != nil {
		return p, err
	}
	p.Revision, p.UpdatedAt = p.Revision+1, db.Now()
	return p, s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if fixed != nil {
			if _, err := tx.NewDelete().Model((*FixedIP)(nil)).Where("port_id = ?", p.ID).Exec(ctx); err != nil {
				return err
			}
			var err error
			if p.FixedIPs, err = s.allocate(ctx, tx, Network{ID: p.NetworkID}, p.ID, fixed); err != nil {
				return err
			}
		}
		_, err := tx.NewUpdate().Model(&p).Column("name", "description", "admin_up", "device_id", "device_owner", "pairs", "tags", "revision", "updated_at").
			Where("id = ?", p.ID).Exec(ctx)
		return err
	})
}

// serverOwner marks ports that a bare-metal server uses.
const serverOwner = "baremetal:server"

// DeletePort forgets a port of the owner. One that a server uses is a Conflict.
func (s *Service) DeletePort(ctx context.Context, o Owner, id string) error {
	p, err := s.Port(ctx, o, id)
	if err != nil {
		return err
	}
	if p.DeviceOwner == serverOwner {
		return fault.Errorf(fault.Conflict, "the port is in use by the server %s; delete that first", p.DeviceID)
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewDelete().Model((*Port)(nil)).Where("id = ?", id).Exec(ctx)
		return err
	})
}

// Bind gives a port to a server's NIC with the given MAC, in the caller's transaction, and returns it with its network.
func (s *Service) Bind(ctx context.Context, tx db.Tx, o Owner, id, server, mac string) (Port, Network, error) {
	var n Network
	p, err := s.port(ctx, tx, o, id)
	if err != nil {
		return p, n, err
	}
	if p.DeviceID != "" && p.DeviceID != server {
		return p, n, fault.Errorf(fault.Conflict, "the port %s is in use by %s", id, p.DeviceID)
	}
	if err := tx.NewSelect().Model(&n).Where("id = ?", p.NetworkID).Scan(ctx); err != nil {
		return p, n, fault.E(fault.Internal, "reading the port's network", err)
	}
	p.DeviceID, p.DeviceOwner, p.MAC, p.UpdatedAt = server, serverOwner, mac, db.Now()
	_, err = tx.NewUpdate().Model(&p).Column("device_id", "device_owner", "mac", "updated_at").Where("id = ?", id).Exec(ctx)
	if db.Duplicate(err) {
		return p, n, fault.Errorf(fault.Conflict, "the MAC address %s is in use on the network", mac)
	}
	return p, n, err
}

// Unbind frees the ports of a server, in the caller's transaction: those that were made for it go away.
func (s *Service) Unbind(ctx context.Context, tx db.Tx, server string) error {
	if _, err := tx.NewDelete().Model((*Port)(nil)).Where("device_id = ? AND made_by = ?", server, server).Exec(ctx); err != nil {
		return fault.E(fault.Internal, "deleting the server's ports", err)
	}
	if err := s.Loosen(ctx, tx, server); err != nil {
		return err
	}
	_, err := tx.NewUpdate().Model((*Port)(nil)).Set("device_id = ''").Set("device_owner = ''").Where("device_id = ?", server).Exec(ctx)
	return err
}

// Loosen takes a server's ports off the NICs that they were bound to, in the caller's transaction: the NICs' MACs
// go with the NICs.
func (s *Service) Loosen(ctx context.Context, tx db.Tx, server string) error {
	var ports []Port
	if err := tx.NewSelect().Model(&ports).Where("device_id = ?", server).Scan(ctx); err != nil {
		return fault.E(fault.Internal, "reading the server's ports", err)
	}
	for _, p := range ports {
		if _, err := tx.NewUpdate().Model((*Port)(nil)).Set("mac = ?", randomMAC()).Where("id = ?", p.ID).Exec(ctx); err != nil {
			return fault.E(fault.Internal, "loosening the port "+p.ID, err)
		}
	}
	return nil
}

// SubnetsOf returns the subnets of a network, in the caller's transaction.
func (s *Service) SubnetsOf(ctx context.Context, tx db.Tx, network string) ([]Subnet, error) {
	var subs []Subnet
	err := tx.NewSelect().Model(&subs).Where("network_id = ?", network).OrderExpr("created_at, id").Scan(ctx)
	return subs, fault.Wrap("reading subnets", err)
}
