package netstack

import (
	"context"
	"errors"
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/hagane-cloud/hagane/fault"
)

// ListenPacket opens a UDP socket on a port of all addresses of the host; 0 chooses one. It receives
// broadcasts and may send them. Addresses are *net.UDPAddr.
func (h *Host) ListenPacket(port int) (net.PacketConn, error) {
	var queue waiter.Queue
	ep, terr := h.stack.NewEndpoint(udp.ProtocolNumber, ipv4.ProtocolNumber, &queue)
	if terr != nil {
		return nil, internal("open a UDP socket", terr)
	}
	ep.SocketOptions().SetBroadcast(true)
	if terr := ep.Bind(tcpip.FullAddress{NIC: nicID, Port: uint16(port)}); terr != nil {
		ep.Close()
		return nil, fault.E(fault.Conflict, "bind the UDP port", errors.New(terr.String()))
	}
	return &packetConn{gonet.NewUDPConn(&queue, ep)}, nil
}

// packetConn takes addresses in any form of net.IP; the stack would take one of sixteen bytes for IPv6.
type packetConn struct{ *gonet.UDPConn }

// WriteTo sends a datagram.
func (c *packetConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	to, ok := addr.(*net.UDPAddr)
	if !ok || to.IP.To4() == nil {
		return 0, fault.Errorf(fault.Invalid, "%v is no IPv4 address and port", addr)
	}
	return c.UDPConn.WriteTo(b, &net.UDPAddr{IP: to.IP.To4(), Port: to.Port})
}

// LocalAddr returns the socket's address: 0.0.0.0 and the port when it is bound to all addresses.
func (c *packetConn) LocalAddr() net.Addr {
	addr, ok := c.UDPConn.LocalAddr().(*net.UDPAddr)
	if !ok || len(addr.IP) > 0 {
		return c.UDPConn.LocalAddr()
	}
	return &net.UDPAddr{IP: net.IPv4zero.To4(), Port: addr.Port}
}

// Listen accepts TCP connections to a port of all addresses of the host; 0 chooses one.
func (h *Host) Listen(port int) (net.Listener, error) {
	l, err := gonet.ListenTCP(h.stack, tcpip.FullAddress{NIC: nicID, Port: uint16(port)}, ipv4.ProtocolNumber)
	if err != nil {
		return nil, fault.E(fault.Conflict, "listen on the TCP port", err)
	}
	return l, nil
}

// DialContext connects to an IPv4 address and port; network is tcp, tcp4, udp or udp4. It resolves no
// names: it fits http.Transport.DialContext for URLs with literal addresses.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !to.Addr().Is4() {
		return nil, fault.Field("address", "%q is no IPv4 address and port", address)
	}
	remote := tcpip.FullAddress{NIC: nicID, Addr: tcpip.AddrFrom4(to.Addr().As4()), Port: to.Port()}
	var conn net.Conn
	switch network {
	case "tcp", "tcp4":
		conn, err = gonet.DialContextTCP(ctx, h.stack, remote, ipv4.ProtocolNumber)
	case "udp", "udp4":
		conn, err = gonet.DialUDP(h.stack, nil, &remote, ipv4.ProtocolNumber)
	default:
		return nil, fault.Field("network", "%q is not offered: tcp and udp are", network)
	}
	if err != nil {
		return nil, fault.E(fault.Unavailable, "connect to "+address, err)
	}
	return conn, nil
}
