package network

import (
	"context"
	"slices"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Interface is a router's port on a subnet of its project.
type Interface struct {
	RouterID, ProjectID, PortID, NetworkID, SubnetID string
}

// AddInterface gives a router of the owner a port on a subnet, at its gateway's address, or makes a port of the owner the
// router's: one of the two is to be named.
func (s *Service) AddInterface(ctx context.Context, o Owner, id, port, subnet string) (Interface, error) {
	var out Interface
	if (port == "") == (subnet == "") {
		return out, reason("BadRequest", fault.Field("subnet_id", "name either a subnet_id or a port_id"))
	}
	_, err := edit(ctx, s, routerNoun, o, id, 0, func(ctx context.Context, tx db.Tx, r *Router) error {
		c, err := connectedTo(ctx, tx, id)
		if err != nil {
			return err
		}
		var p Port
		if subnet != "" {
			p, err = s.plugSubnet(ctx, tx, o, r, c, subnet)
		} else {
			p, err = s.plugPort(ctx, tx, o, r, c, port)
		}
		if err != nil {
			return err
		}
		out = Interface{RouterID: id, ProjectID: r.ProjectID, PortID: p.ID, NetworkID: p.NetworkID, SubnetID: p.FixedIPs[0].SubnetID}
		return nil
	})
	return out, err
}

// plugSubnet makes a router the gateway of a subnet.
func (s *Service) plugSubnet(ctx context.Context, tx db.Tx, o Owner, r *Router, c *connected, id string) (Port, error) {
	sub, err := find[Subnet](ctx, tx, subnetNoun, o, id)
	if err != nil {
		return Port{}, err
	}
	n, err := find[Network](ctx, tx, networkNoun, o, sub.NetworkID)
	if err != nil {
		return Port{}, err
	}
	if o != "" && n.ProjectID != string(o) {
		return Port{}, fault.Errorf(fault.Denied, "the subnet's network belongs to another project, and so does its gateway; make a port there and give the router that")
	}
	if sub.Gateway == "" {
		return Port{}, reason("BadRequest", fault.Field("subnet_id", "the subnet %s has no gateway_ip, which would be the router's", id))
	}
	if err := c.takes(n, sub); err != nil {
		return Port{}, err
	}
	return s.plugRouter(ctx, tx, Port{ProjectID: r.ProjectID, NetworkID: n.ID, DeviceID: r.ID, DeviceOwner: interfaceOwner,
		FixedIPs: []FixedIP{{SubnetID: id, Address: sub.Gateway}}})
}

// takes refuses a subnet that a router can not have an interface on.
func (c *connected) takes(n Network, sub Subnet) error {
	if n.External {
		return reason("BadRequest", fault.Field("subnet_id", "the network %s is external: a router has its gateway there", n.ID))
	}
	if sub.IPVersion != 4 {
		return reason("BadRequest", fault.Field("subnet_id", "the subnet %s is IPv6, and routers carry IPv4", sub.ID))
	}
	return c.free(sub, "")
}

// plugPort makes a port of the owner the router's.
func (s *Service) plugPort(ctx context.Context, tx db.Tx, o Owner, r *Router, c *connected, id string) (Port, error) {
	if err := lock(ctx, tx, portNoun, id); err != nil {
		return Port{}, err
	}
	p, err := findPort(ctx, tx, o, id)
	if err != nil {
		return p, err
	}
	if p.DeviceID != "" {
		return p, reason("PortInUse", fault.Errorf(fault.Conflict, "the port %s is in use by %s", id, p.DeviceID))
	}
	if len(p.FixedIPs) != 1 {
		return p, reason("BadRequest", fault.Field("port_id", "a router's port needs one IPv4 address, and no more; the port %s has %d addresses", id, len(p.FixedIPs)))
	}
	n, err := find[Network](ctx, tx, networkNoun, "", p.NetworkID)
	if err != nil {
		return p, err
	}
	sub, err := find[Subnet](ctx, tx, subnetNoun, "", p.FixedIPs[0].SubnetID)
	if err != nil {
		return p, err
	}
	if err := c.takes(n, sub); err != nil {
		return p, err
	}
	p.DeviceID, p.DeviceOwner, p.MAC, p.PortSecurity, p.Pairs, p.Groups, p.UpdatedAt = r.ID, interfaceOwner, routerMAC(), false, nil, nil, db.Now()
	p.Revision++
	if _, err := tx.NewUpdate().Model(&p).Where("id = ?", id).Exec(ctx); err != nil {
		return p, err
	}
	return p, s.join(ctx, tx, o, &p)
}

// RemoveInterface takes a router's port away: the one on a subnet, or the named one, or the named one if it is on that subnet.
func (s *Service) RemoveInterface(ctx context.Context, o Owner, id, port, subnet string) (Interface, error) {
	var out Interface
	if port == "" && subnet == "" {
		return out, reason("BadRequest", fault.Field("subnet_id", "name a subnet_id or a port_id"))
	}
	_, err := edit(ctx, s, routerNoun, o, id, 0, func(ctx context.Context, tx db.Tx, r *Router) error {
		c, err := connectedTo(ctx, tx, id)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(c.ports, func(p Port) bool {
			return p.DeviceOwner == interfaceOwner && (port == "" || p.ID == port) &&
				(subnet == "" || slices.ContainsFunc(p.FixedIPs, func(ip FixedIP) bool { return ip.SubnetID == subnet }))
		})
		if i < 0 {
			return reason("RouterInterfaceNotFound", fault.Errorf(fault.NotFound, "the router %s has no such interface", id))
		}
		p := c.ports[i]
		for _, ip := range p.FixedIPs {
			if err := unneeded(ctx, tx, r, c.subnets[ip.SubnetID]); err != nil {
				return err
			}
			out = Interface{RouterID: id, ProjectID: r.ProjectID, PortID: p.ID, NetworkID: p.NetworkID, SubnetID: ip.SubnetID}
		}
		_, err = tx.NewDelete().Model((*Port)(nil)).Where("id = ?", p.ID).Exec(ctx)
		return err
	})
	return out, err
}

// unneeded refuses to take a router off a subnet that its routes or floating addresses lead to.
func unneeded(ctx context.Context, tx db.Tx, r *Router, sub Subnet) error {
	for _, way := range r.Routes {
		if sub.Prefix().Contains(way.NextHop) {
			return reason("RouterInterfaceInUseByRoute", fault.Errorf(fault.Conflict, "the route to %s needs the interface; take it away first", way.Destination))
		}
	}
	used, err := tx.NewSelect().Model((*FloatingIP)(nil)).Where("router_id = ?", r.ID).
		Where("EXISTS (SELECT 1 FROM fixed_ip WHERE fixed_ip.port_id = floating_ip.port_id AND fixed_ip.address = floating_ip.fixed_address AND fixed_ip.subnet_id = ?)", sub.ID).Exists(ctx)
	if err == nil && used {
		return reason("RouterInterfaceInUseByFloatingIP", fault.Errorf(fault.Conflict, "floating addresses of the subnet %s come by the interface; disassociate them first", sub.ID))
	}
	return err
}

// sameForRouter reports whether a changed port of a router has what its forwarding goes by.
func sameForRouter(p, was *Port) bool {
	return p.DeviceID == was.DeviceID && p.DeviceOwner == was.DeviceOwner && p.MAC == was.MAC && p.PortSecurity == was.PortSecurity &&
		p.FixedIPs != nil && slices.Equal(p.FixedIPs, was.FixedIPs) && len(p.Pairs) == 0 && len(p.Groups) == 0
}
