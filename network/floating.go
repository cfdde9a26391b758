package network

import (
	"context"
	"net/netip"
	"slices"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// FloatingIP is an address of an external network by which a port of its project can be reached.
type FloatingIP struct {
	bun.BaseModel `bun:"table:floating_ip"`
	Record

	Description  string
	NetworkID    string
	Address      string
	PortID       string // whose it is just now; "" is nobody's
	FixedAddress string // of that port
	RouterID     string // by which it comes
	Tags         map[string]string
	Labels       Labels
}

// NewFloatingIP is a floating address that is asked for: any of the network's, one of a subnet, or the given one.
type NewFloatingIP struct {
	FloatingIP
	SubnetID string
}

// CreateFloatingIPs takes floating addresses, all or none.
func (s *Service) CreateFloatingIPs(ctx context.Context, o Owner, ws []NewFloatingIP) ([]FloatingIP, error) {
	out := make([]FloatingIP, len(ws))
	return out, s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) (err error) {
		for i, w := range ws {
			if out[i], err = s.addFloatingIP(ctx, tx, o, w); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Service) addFloatingIP(ctx context.Context, tx db.Tx, o Owner, w NewFloatingIP) (FloatingIP, error) {
	f := w.FloatingIP
	if err := f.check(); err != nil {
		return f, err
	}
	n, err := external(ctx, tx, o, f.NetworkID)
	if err != nil {
		return f, err
	}
	if err := s.spend(ctx, tx, f.ProjectID, "floatingip", 1); err != nil {
		return f, err
	}
	f.head().born()
	p := Port{NetworkID: n.ID, DeviceID: f.ID, DeviceOwner: floatingOwner}
	if w.SubnetID != "" || f.Address != "" {
		p.FixedIPs = []FixedIP{{SubnetID: w.SubnetID, Address: f.Address}}
	}
	if p, err = s.plugRouter(ctx, tx, p); err != nil {
		return f, err
	}
	if len(p.FixedIPs) == 0 {
		return f, fault.Field("floating_network_id", "the external network has no IPv4 subnet yet")
	}
	f.Address = p.FixedIPs[0].Address
	if err := s.associate(ctx, tx, o, &f); err != nil {
		return f, err
	}
	_, err = tx.NewInsert().Model(&f).Exec(ctx)
	return f, f.taken(err)
}

func (f *FloatingIP) check() error {
	if err := checkText("", f.Description); err != nil {
		return err
	}
	return taggedOnce(f.Tags, f.Labels)
}

// taken says what a duplicate is.
func (f *FloatingIP) taken(err error) error {
	if db.Duplicate(err) {
		return reason("FloatingIPPortAlreadyAssociated", fault.Errorf(fault.Conflict, "the address %s of the port %s has a floating address of the network already", f.FixedAddress, f.PortID))
	}
	return err
}

// associate finds the address and the router for the port that a floating address is to be of.
func (s *Service) associate(ctx context.Context, tx db.Tx, o Owner, f *FloatingIP) error {
	f.RouterID = ""
	if f.PortID == "" {
		if f.FixedAddress != "" {
			return reason("BadRequest", fault.Field("fixed_ip_address", "it needs a port_id"))
		}
		return nil
	}
	if err := lock(ctx, tx, portNoun, f.PortID); err != nil {
		return err
	}
	p, err := findPort(ctx, tx, o, f.PortID)
	if err != nil {
		return err
	}
	ip, err := f.choose(p)
	if err != nil {
		return err
	}
	f.FixedAddress = ip.Address
	for range 2 { // as it is found, and as it is under its lock
		if f.RouterID, err = f.router(ctx, tx, p, ip); err != nil {
			return err
		}
		if err := lock(ctx, tx, routerNoun, f.RouterID); err != nil {
			return err
		}
	}
	return nil
}

// choose returns the address of a port that a floating address is to lead to.
func (f *FloatingIP) choose(p Port) (FixedIP, error) {
	four := slices.DeleteFunc(slices.Clone(p.FixedIPs), func(ip FixedIP) bool {
		a, err := netip.ParseAddr(ip.Address)
		return err != nil || !a.Is4() || f.FixedAddress != "" && a.String() != f.FixedAddress
	})
	switch {
	case ofRouter(p.DeviceOwner) && p.DeviceOwner != interfaceOwner:
		return FixedIP{}, reason("BadRequest", fault.Field("port_id", "the port %s is on the outside", p.ID))
	case len(four) == 0 && f.FixedAddress != "":
		return FixedIP{}, reason("BadRequest", fault.Field("fixed_ip_address", "the port %s has no IPv4 address %s", p.ID, f.FixedAddress))
	case len(four) == 0:
		return FixedIP{}, reason("BadRequest", fault.Field("port_id", "the port %s has no IPv4 address", p.ID))
	case len(four) > 1:
		return FixedIP{}, reason("BadRequest", fault.Field("fixed_ip_address", "the port %s has several IPv4 addresses; say which", p.ID))
	}
	return four[0], nil
}

// router finds by which router a floating address comes to an address of a port: the one that is the gateway of its subnet, or one of
// the project's own.
func (f *FloatingIP) router(ctx context.Context, tx db.Tx, p Port, ip FixedIP) (string, error) {
	var ids []string
	err := tx.NewRaw(`SELECT router.id FROM router JOIN port ON port.device_id = router.id AND port.device_owner = ?
		JOIN fixed_ip ON fixed_ip.port_id = port.id JOIN subnet ON subnet.id = fixed_ip.subnet_id
		WHERE fixed_ip.subnet_id = ? AND router.network_id = ? AND (subnet.gateway = fixed_ip.address OR router.project_id = ?)
		ORDER BY CASE WHEN subnet.gateway = fixed_ip.address THEN 0 ELSE 1 END, router.created_at, router.id`, interfaceOwner, ip.SubnetID, f.NetworkID, f.ProjectID).Scan(ctx, &ids)
	if err != nil {
		return "", fault.E(fault.Internal, "looking for the router of a floating address", err)
	}
	if len(ids) == 0 {
		return "", reason("ExternalGatewayForFloatingIPNotFound", fault.Errorf(fault.NotFound,
			"no router leads from the subnet %s of the port %s to the external network %s; give a router an interface there and that gateway first", ip.SubnetID, p.ID, f.NetworkID))
	}
	return ids[0], nil
}

// loseFloating frees the floating addresses of a port that lead to addresses that it has no more.
func loseFloating(ctx context.Context, tx db.Tx, p *Port) error {
	kept := []string{""}
	for _, ip := range p.FixedIPs {
		kept = append(kept, ip.Address)
	}
	_, err := tx.NewUpdate().Model((*FloatingIP)(nil)).Set("port_id = ''").Set("fixed_address = ''").Set("router_id = ''").Set("revision = revision + 1").
		Set("updated_at = ?", db.Now()).Where("port_id = ? AND fixed_address NOT IN (?)", p.ID, bun.In(kept)).Exec(ctx)
	return fault.Wrap("freeing floating addresses", err)
}

// FloatingIP returns one floating address of the owner.
func (s *Service) FloatingIP(ctx context.Context, o Owner, id string) (FloatingIP, error) {
	return find[FloatingIP](ctx, s.DB.Read(), floatingNoun, o, id)
}

// FloatingIPs returns the floating addresses of the owner that w asks for.
func (s *Service) FloatingIPs(ctx context.Context, o Owner, w Query) ([]FloatingIP, error) {
	return list[FloatingIP](ctx, s.DB.Read(), floatingNoun, o, w)
}

// EditFloatingIP lets fn change what may be changed of a floating address of the owner: whose it is, among others.
func (s *Service) EditFloatingIP(ctx context.Context, o Owner, id string, rev int64, fn func(*FloatingIP) error) (FloatingIP, error) {
	f, err := edit(ctx, s, floatingNoun, o, id, rev, func(ctx context.Context, tx db.Tx, f *FloatingIP) error {
		was := *f
		if err := fn(f); err != nil {
			return err
		}
		if f.PortID != was.PortID || f.FixedAddress != was.FixedAddress {
			if err := s.associate(ctx, tx, o, f); err != nil {
				return err
			}
		}
		return f.check()
	})
	return f, f.taken(err)
}

// DeleteFloatingIP gives a floating address of the owner back.
func (s *Service) DeleteFloatingIP(ctx context.Context, o Owner, id string, rev int64) error {
	return remove(ctx, s, floatingNoun, o, id, rev, func(ctx context.Context, tx db.Tx, _ FloatingIP) error {
		_, err := tx.NewDelete().Model((*Port)(nil)).Where("device_id = ? AND device_owner = ?", id, floatingOwner).Exec(ctx)
		return err
	})
}
