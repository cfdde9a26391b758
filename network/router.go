package network

import (
	"context"
	"crypto/rand"
	"net"
	"net/netip"
	"slices"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// What the ports of routers say of their device, and those that hold floating addresses.
const (
	interfaceOwner = "network:router_interface"
	gatewayOwner   = "network:router_gateway"
	floatingOwner  = "network:floatingip"
)

func ofRouter(deviceOwner string) bool {
	return deviceOwner == interfaceOwner || deviceOwner == gatewayOwner || deviceOwner == floatingOwner
}

// Router forwards between subnets of its project, and to an external network. It carries IPv4.
type Router struct {
	bun.BaseModel `bun:"table:router"`
	Record

	Name, Description string
	AdminUp           bool
	NetworkID         string // of its gateway; "" is none
	SNAT              bool   `bun:"snat"` // what leaves by the gateway has the router's address
	Routes            []Route
	Tags              map[string]string
	Labels            Labels

	Outside []FixedIP `bun:"-"` // its addresses on the gateway's network
}

// Gateway is a router's way out as it is asked for.
type Gateway struct {
	NetworkID string // "" is none
	SNAT      *bool  // nil: as it is
	FixedIPs  []FixedIP
}

// NewRouter is a router that is asked for.
type NewRouter struct {
	Router
	Gateway *Gateway // nil: none
}

// mostNextHops bounds a router's routes, as in OpenStack.
const mostNextHops = 30

// CreateRouters makes routers, all or none.
func (s *Service) CreateRouters(ctx context.Context, o Owner, ws []NewRouter) ([]Router, error) {
	out := make([]Router, len(ws))
	return out, s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		for i, w := range ws {
			r := w.Router
			if err := s.spend(ctx, tx, r.ProjectID, "router", 1); err != nil {
				return err
			}
			r.SNAT = true
			r.head().born()
			if w.Gateway != nil {
				if err := s.setGateway(ctx, tx, o, &r, *w.Gateway); err != nil {
					return err
				}
			}
			if err := r.check(ctx, tx); err != nil {
				return err
			}
			if _, err := tx.NewInsert().Model(&r).Exec(ctx); err != nil {
				return err
			}
			out[i] = r
		}
		return nil
	})
}

// check checks what may be said of a router, with the ports that it has.
func (r *Router) check(ctx context.Context, tx db.Tx) error {
	if err := checkText(r.Name, r.Description); err != nil {
		return err
	}
	if len(r.Routes) > mostNextHops {
		return reason("RoutesExhausted", fault.Field("routes", "at most %d", mostNextHops))
	}
	if len(r.Routes) > 0 {
		c, err := connectedTo(ctx, tx, r.ID)
		if err != nil {
			return err
		}
		for i, way := range r.Routes {
			if !way.Destination.IsValid() || !way.NextHop.Is4() || !way.Destination.Addr().Is4() {
				return reason("InvalidRoutes", fault.Field("routes", "a route needs a destination and a nexthop of IPv4"))
			}
			r.Routes[i].Destination = way.Destination.Masked()
			if !c.reaches(way.NextHop) {
				return reason("InvalidRoutes", fault.Field("routes", "the nexthop %s is another's address on none of the router's subnets", way.NextHop))
			}
			if slices.Contains(r.Routes[:i], r.Routes[i]) {
				return reason("InvalidRoutes", fault.Field("routes", "%s by %s is given twice", way.Destination, way.NextHop))
			}
		}
	}
	return taggedOnce(r.Tags, r.Labels)
}

// setGateway leads a router to an external network, or to none.
func (s *Service) setGateway(ctx context.Context, tx db.Tx, o Owner, r *Router, g Gateway) error {
	c, err := connectedTo(ctx, tx, r.ID)
	if err != nil {
		return err
	}
	if g.NetworkID != r.NetworkID {
		if err := dropGateway(ctx, tx, r, c); err != nil {
			return err
		}
	}
	if r.SNAT = true; g.SNAT != nil {
		r.SNAT = *g.SNAT
	}
	if g.NetworkID == "" || g.NetworkID == r.NetworkID && g.FixedIPs == nil {
		return nil
	}
	n, err := external(ctx, tx, o, g.NetworkID)
	if err != nil {
		return err
	}
	if err := c.apart(ctx, tx, n.ID); err != nil {
		return err
	}
	if gate := c.gate(); gate != nil {
		if _, err := tx.NewDelete().Model((*FixedIP)(nil)).Where("port_id = ?", gate.ID).Exec(ctx); err != nil {
			return err
		}
		had := gate.FixedIPs
		gate.FixedIPs = unmet(g.FixedIPs, had)
		if err := s.allocate(ctx, tx, gate, had); err != nil {
			return err
		}
		r.Outside = gate.FixedIPs
	} else {
		gate, err := s.plugRouter(ctx, tx, Port{NetworkID: n.ID, DeviceID: r.ID, DeviceOwner: gatewayOwner, FixedIPs: g.FixedIPs})
		if err != nil {
			return err
		}
		r.Outside = gate.FixedIPs
	}
	r.NetworkID = n.ID
	if len(r.Outside) == 0 {
		return fault.Field("external_gateway_info", "the external network has no IPv4 subnet yet")
	}
	return nil
}

// unmet are wishes without those for any address of a subnet that one is met by which the port has and keeps.
func unmet(wishes, had []FixedIP) []FixedIP {
	return slices.DeleteFunc(slices.Clone(wishes), func(w FixedIP) bool {
		return w.Address == "" && slices.ContainsFunc(had, func(ip FixedIP) bool {
			return ip.SubnetID == w.SubnetID && slices.ContainsFunc(wishes, func(kept FixedIP) bool { return kept.Address == ip.Address })
		})
	})
}

// dropGateway takes a router's way out away. Floating addresses that come in by it are a Conflict.
func dropGateway(ctx context.Context, tx db.Tx, r *Router, c *connected) error {
	used, err := tx.NewSelect().Model((*FloatingIP)(nil)).Where("router_id = ?", r.ID).Exists(ctx)
	if err != nil {
		return err
	}
	if used {
		return reason("RouterExternalGatewayInUseByFloatingIp", fault.Errorf(fault.Conflict, "floating addresses need the gateway of the router %s; disassociate them first", r.ID))
	}
	gate := c.gate()
	r.NetworkID, r.Outside = "", nil
	if gate == nil {
		return nil
	}
	for _, way := range r.Routes {
		for _, ip := range gate.FixedIPs {
			if c.subnets[ip.SubnetID].Prefix().Contains(way.NextHop) {
				return reason("RouterInterfaceInUseByRoute", fault.Errorf(fault.Conflict, "the route to %s needs the gateway; take it away first", way.Destination))
			}
		}
	}
	_, err = tx.NewDelete().Model((*Port)(nil)).Where("id = ?", gate.ID).Exec(ctx)
	c.ports = slices.DeleteFunc(c.ports, func(p Port) bool { return p.ID == gate.ID })
	return err
}

// external returns a network that routers may lead to.
func external(ctx context.Context, tx db.Tx, o Owner, id string) (Network, error) {
	n, err := find[Network](ctx, tx, networkNoun, o, id)
	if err == nil && !n.External {
		return n, reason("BadRequest", fault.Field("network_id", "the network %s is no external network", id))
	}
	return n, err
}

// plugRouter makes a port of a router's, or of a floating address.
func (s *Service) plugRouter(ctx context.Context, tx db.Tx, p Port) (Port, error) {
	p.AdminUp, p.MAC = true, routerMAC()
	secure := false
	return s.addPort(ctx, tx, "", NewPort{Port: p, Secure: &secure})
}

// routerMAC returns an address as our stations on a trunk have them: it leaves to the kernel what is for others.
func routerMAC() string {
	mac := make(net.HardwareAddr, 6)
	_, _ = rand.Read(mac)
	mac[0], mac[1] = 0x02, 'H'
	return mac.String()
}

// connected is what a router is connected to.
type connected struct {
	ports   []Port
	subnets map[string]Subnet
}

func connectedTo(ctx context.Context, q bun.IDB, router string) (*connected, error) {
	c := &connected{subnets: map[string]Subnet{}}
	if err := q.NewSelect().Model(&c.ports).Where("device_id = ? AND device_owner IN (?)", router, bun.In([]string{interfaceOwner, gatewayOwner})).Order("created_at", "id").Scan(ctx); err != nil {
		return nil, fault.E(fault.Internal, "reading the router's ports", err)
	}
	if err := fillPorts(ctx, q, c.ports); err != nil {
		return nil, err
	}
	var ids []string
	for _, p := range c.ports {
		for _, ip := range p.FixedIPs {
			ids = append(ids, ip.SubnetID)
		}
	}
	return c, eachPart(ctx, q, distinct(ids), "id", "id", func(sub Subnet) { c.subnets[sub.ID] = sub })
}

// gate is the port on the gateway's network; nil when there is none.
func (c *connected) gate() *Port {
	for i := range c.ports {
		if c.ports[i].DeviceOwner == gatewayOwner {
			return &c.ports[i]
		}
	}
	return nil
}

// reaches reports whether an address is on one of the router's subnets, and not its own.
func (c *connected) reaches(a netip.Addr) bool {
	for _, p := range c.ports {
		for _, ip := range p.FixedIPs {
			if ip.Address == a.String() {
				return false
			}
		}
	}
	for _, sub := range c.subnets {
		if sub.Prefix().Contains(a) {
			return true
		}
	}
	return false
}

// apart refuses a network with subnets that overlap those that the router has interfaces on.
func (c *connected) apart(ctx context.Context, tx db.Tx, network string) error {
	var subs []Subnet
	if err := tx.NewSelect().Model(&subs).Where("network_id = ? AND ip_version = 4", network).Scan(ctx); err != nil {
		return err
	}
	for _, sub := range subs {
		if err := c.free(sub, gatewayOwner); err != nil {
			return err
		}
	}
	return nil
}

// free refuses a subnet that overlaps one of the router's, but for those that it has by ports of an owner.
func (c *connected) free(sub Subnet, but string) error {
	for _, p := range c.ports {
		for _, ip := range p.FixedIPs {
			have := c.subnets[ip.SubnetID]
			switch {
			case p.DeviceOwner == but:
			case have.ID == sub.ID:
				return reason("BadRequest", fault.Field("subnet_id", "the router has a port on the subnet %s already", sub.ID))
			case have.Prefix().Overlaps(sub.Prefix()):
				return reason("BadRequest", fault.Field("subnet_id", "the addresses %s of the subnet %s overlap %s of the router's subnet %s", sub.CIDR, sub.ID, have.CIDR, have.ID))
			}
		}
	}
	return nil
}

// Router returns one router of the owner.
func (s *Service) Router(ctx context.Context, o Owner, id string) (Router, error) {
	r, err := find[Router](ctx, s.DB.Read(), routerNoun, o, id)
	if err != nil {
		return r, err
	}
	rs := []Router{r}
	err = fillRouters(ctx, s.DB.Read(), rs)
	return rs[0], err
}

// Routers returns the routers of the owner that w asks for.
func (s *Service) Routers(ctx context.Context, o Owner, w Query) ([]Router, error) {
	rs, err := list[Router](ctx, s.DB.Read(), routerNoun, o, w)
	if err != nil {
		return nil, err
	}
	return rs, fillRouters(ctx, s.DB.Read(), rs)
}

// fillRouters fills in the addresses of routers on their gateways' networks.
func fillRouters(ctx context.Context, q bun.IDB, rs []Router) error {
	at := map[string]*Router{}
	var ids, gates []string
	for i := range rs {
		rs[i].Outside = nil
		if rs[i].NetworkID != "" {
			ids, at[rs[i].ID] = append(ids, rs[i].ID), &rs[i]
		}
	}
	of := map[string]*Router{} // by the port on the gateway's network
	if err := eachPart(ctx, q, ids, "device_id", "id", func(p Port) {
		if p.DeviceOwner == gatewayOwner {
			gates, of[p.ID] = append(gates, p.ID), at[p.DeviceID]
		}
	}); err != nil {
		return err
	}
	return eachPart(ctx, q, gates, "port_id", "address", func(ip FixedIP) { of[ip.PortID].Outside = append(of[ip.PortID].Outside, ip) })
}

// EditRouter lets fn change what may be changed of a router of the owner, and gives it a gateway unless that is nil.
func (s *Service) EditRouter(ctx context.Context, o Owner, id string, rev int64, g *Gateway, fn func(*Router) error) (Router, error) {
	_, err := edit(ctx, s, routerNoun, o, id, rev, func(ctx context.Context, tx db.Tx, r *Router) error {
		if err := fn(r); err != nil {
			return err
		}
		if g != nil {
			if err := s.setGateway(ctx, tx, o, r, *g); err != nil {
				return err
			}
		}
		return r.check(ctx, tx)
	})
	if err != nil {
		return Router{}, err
	}
	return s.Router(ctx, o, id)
}

// DeleteRouter forgets a router of the owner. Interfaces are a Conflict.
func (s *Service) DeleteRouter(ctx context.Context, o Owner, id string, rev int64) error {
	return remove(ctx, s, routerNoun, o, id, rev, func(ctx context.Context, tx db.Tx, _ Router) error {
		c, err := connectedTo(ctx, tx, id)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(c.ports, func(p Port) bool { return p.DeviceOwner == interfaceOwner }) {
			return reason("RouterInUse", fault.Errorf(fault.Conflict, "the router %s has interfaces; take its subnets off it first", id))
		}
		_, err = tx.NewDelete().Model((*Port)(nil)).Where("device_id = ? AND device_owner = ?", id, gatewayOwner).Exec(ctx)
		return err
	})
}
