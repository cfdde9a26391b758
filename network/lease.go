package network

import (
	"context"
	"net/netip"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Lease is what a device is told by DHCP on a tenant's network.
type Lease struct {
	Port    Port
	Subnet  Subnet
	Address netip.Prefix // with the length of the subnet's prefix
	MTU     int
}

// Lease returns what the device with a MAC is told on a network: the first IPv4 address of its port on a subnet with
// DHCP. NotFound when there is none: such a device is not answered.
func (s *Service) Lease(ctx context.Context, network, mac string) (Lease, error) {
	none := fault.Errorf(fault.NotFound, "no port of the network has the MAC %s and an address by DHCP", mac)
	n, err := s.Network(ctx, "", network)
	if err != nil {
		return Lease{}, err
	}
	ports, err := s.ListPorts(ctx, "", Query{Where: map[string][]string{"network_id": {network}, "mac_address": {mac}}})
	if err != nil {
		return Lease{}, err
	}
	if len(ports) == 0 || !ports[0].AdminUp || !n.AdminUp {
		return Lease{}, none
	}
	for _, ip := range ports[0].FixedIPs {
		sub, err := s.Subnet(ctx, "", ip.SubnetID)
		if err != nil {
			return Lease{}, err
		}
		if a, err := netip.ParseAddr(ip.Address); err == nil && sub.IPVersion == 4 && sub.DHCP {
			return Lease{Port: ports[0], Subnet: sub, Address: netip.PrefixFrom(a, sub.Prefix().Bits()), MTU: n.MTU}, nil
		}
	}
	return Lease{}, none
}

// ServersPortAt returns the port of a server that has an address on a network, or NotFound.
func (s *Service) ServersPortAt(ctx context.Context, network string, a netip.Addr) (Port, error) {
	var p Port
	err := s.DB.Read().NewSelect().Model(&p).Where("network_id = ? AND device_owner = ?", network, serverOwner).
		Where("id IN (SELECT port_id FROM fixed_ip WHERE address = ?)", a.String()).Scan(ctx)
	if db.None(err) {
		return p, fault.Errorf(fault.NotFound, "no server has the address %s on the network", a)
	}
	return p, fault.Wrap("looking for the server at "+a.String(), err)
}

// Inhabited returns the networks on which servers have ports: those that DHCP and metadata are served on. Only their
// ids and VLANs are filled in.
func (s *Service) Inhabited(ctx context.Context) ([]Network, error) {
	var ns []Network
	err := s.DB.Read().NewSelect().Model(&ns).Column("id", "vlan").Where("id IN (SELECT network_id FROM port WHERE device_owner = ?)", serverOwner).Order("id").Scan(ctx)
	return ns, fault.Wrap("listing the networks of servers", err)
}
