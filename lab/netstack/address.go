package netstack

import (
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/hagane-cloud/hagane/fault"
)

// SetAddress gives the host an IPv4 address, or takes it away with the zero prefix. A host without
// one can only send to the broadcast address, as a DHCP client does. The gateway may be zero.
func (h *Host) SetAddress(addr netip.Prefix, gateway netip.Addr) error {
	if addr.IsValid() && !addr.Addr().Is4() {
		return fault.Field("address", "%s is no IPv4 address", addr)
	}
	if gateway.IsValid() && !addr.Contains(gateway) {
		return fault.Field("gateway", "%s is outside %s", gateway, addr.Masked())
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if terr := h.stack.RemoveAddress(nicID, local(h.addr)); terr != nil {
		if _, unknown := terr.(*tcpip.ErrBadLocalAddress); !unknown {
			return internal("remove the address", terr)
		}
	}
	h.addr = addr
	terr := h.stack.AddProtocolAddress(nicID, tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: local(addr), PrefixLen: max(addr.Bits(), 0)},
	}, stack.AddressProperties{})
	if terr != nil {
		return internal("add the address", terr)
	}
	h.stack.SetRouteTable(routes(addr, gateway))
	return nil
}

// Address returns the host's address; the zero prefix when it has none.
func (h *Host) Address() netip.Prefix {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.addr
}

// SetNeighbour tells the host the MAC address of a station, so that it does not ask for it by ARP. A DHCP
// server uses it to send to a client that has not taken its address yet.
func (h *Host) SetNeighbour(addr netip.Addr, mac net.HardwareAddr) error {
	if !addr.Is4() || len(mac) != 6 {
		return fault.Field("address", "%s at %s is no IPv4 neighbour", addr, mac)
	}
	terr := h.stack.AddStaticNeighbor(nicID, ipv4.ProtocolNumber, tcpip.AddrFrom4(addr.As4()), tcpip.LinkAddress(mac))
	if terr != nil {
		return internal("add the neighbour", terr)
	}
	return nil
}

// Attach makes the addresses of a prefix the host's neighbours on the segment, besides those of its own network. Setting
// an address takes it back.
func (h *Host) Attach(p netip.Prefix) error {
	if !p.Addr().Is4() {
		return fault.Field("prefix", "%s is no IPv4 prefix", p)
	}
	to := tcpip.AddressWithPrefix{Address: tcpip.AddrFrom4(p.Addr().As4()), PrefixLen: p.Bits()}.Subnet()
	h.stack.AddRoute(tcpip.Route{Destination: to, NIC: nicID})
	return nil
}

// local is an address as the stack knows it. A host without an address has 0.0.0.0, from which
// it may broadcast.
func local(addr netip.Prefix) tcpip.Address {
	if !addr.IsValid() {
		return header.IPv4Any
	}
	return tcpip.AddrFrom4(addr.Addr().As4())
}

func routes(addr netip.Prefix, gateway netip.Addr) []tcpip.Route {
	if !addr.IsValid() {
		return nil
	}
	network := tcpip.AddressWithPrefix{Address: local(addr), PrefixLen: addr.Bits()}.Subnet()
	table := []tcpip.Route{{Destination: network, NIC: nicID}}
	if gateway.IsValid() {
		table = append(table, tcpip.Route{
			Destination: header.IPv4EmptySubnet, Gateway: tcpip.AddrFrom4(gateway.As4()), NIC: nicID,
		})
	}
	return table
}
