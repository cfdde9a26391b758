// Package gateway serves the routers of tenants: each is a TCP/IP stack in user space with a cable in the VLAN of every network that
// it is connected to. Exactly one process forwards for a router at a time, by a lease. The agent of every process with the role gateway
// takes the routers that nobody serves.
package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/ether"
	"github.com/hagane-cloud/hagane/network"
)

// cableMTU is what cables carry, in bytes.
const cableMTU = 1500

// outQueue is how many frames wait on their way out of the stack.
const outQueue = 512

// Plug plugs into a network by its VLAN, at each place from which it is reached.
type Plug func(ctx context.Context, vlan int) ([]io.ReadWriteCloser, error)

// router forwards by a plan as long as its wires stay.
type router struct {
	stack *stack.Stack
	nat   *nat
	arms  []*arm
}

// arm is a router's station on one network.
type arm struct {
	*router
	outside bool
	mac     ether.MAC
	own     []netip.Addr
	allowed []netip.Prefix // who may send by it; not looked at on the outside
	link    *channel.Endpoint
	lan     *lan
}

// newRouter plugs a router in. It forwards nothing yet.
func newRouter(ctx context.Context, p *network.RouterPlan, n *nat, plug Plug) (*router, error) {
	r := &router{nat: n, stack: stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{icmp.NewProtocol4}, // it answers when it is asked whether it is there, and nothing else
	})}
	legs := slices.Clone(p.Inside)
	if p.Outside != nil {
		legs = append(legs, *p.Outside)
	}
	for i := range legs {
		if err := r.attach(ctx, p, &legs[i], p.Outside != nil && i == len(legs)-1, plug); err != nil {
			r.close()
			return nil, err
		}
	}
	r.stack.SetRouteTable(r.routes(p))
	return r, nil
}

// attach gives the router an arm.
func (r *router) attach(ctx context.Context, p *network.RouterPlan, leg *network.Leg, outside bool, plug Plug) error {
	mac, err := net.ParseMAC(leg.MAC)
	if err != nil || len(mac) != 6 {
		return fault.Errorf(fault.Internal, "%q is no MAC address of a router's port", leg.MAC)
	}
	cables, err := plug(ctx, leg.VLAN)
	if err != nil {
		return err
	}
	a := &arm{router: r, outside: outside, mac: ether.MAC(mac), allowed: behind(p, leg), lan: newLAN(ether.MAC(mac), cables),
		link: channel.New(outQueue, uint32(min(leg.MTU, cableMTU)+ether.HeaderLen), tcpip.LinkAddress(mac))}
	r.arms = append(r.arms, a)
	nic := tcpip.NICID(len(r.arms))
	if terr := r.stack.CreateNIC(nic, ethernet.New(a.link)); terr != nil {
		return broken("plugging a router in", terr)
	}
	for _, addr := range leg.Addresses {
		a.own = append(a.own, addr.Addr())
		terr := r.stack.AddProtocolAddress(nic, tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber,
			AddressWithPrefix: tcpip.AddressWithPrefix{Address: tcpip.AddrFrom4(addr.Addr().As4()), PrefixLen: addr.Bits()}}, stack.AddressProperties{})
		if terr != nil {
			return broken("giving a router its address", terr)
		}
	}
	if _, terr := r.stack.SetNICForwarding(nic, ipv4.ProtocolNumber, true); terr != nil {
		return broken("making a router forward", terr)
	}
	return nil
}

func broken(doing string, terr tcpip.Error) error {
	return fault.E(fault.Internal, doing, errors.New(terr.String()))
}

// routes is the table of a plan: what is on its networks, its own routes, those that are longer first, and the way out.
func (r *router) routes(p *network.RouterPlan) []tcpip.Route {
	var table []tcpip.Route
	add := func(to netip.Prefix, via netip.Addr, nic int) {
		route := tcpip.Route{NIC: tcpip.NICID(nic + 1),
			Destination: tcpip.AddressWithPrefix{Address: tcpip.AddrFrom4(to.Masked().Addr().As4()), PrefixLen: to.Bits()}.Subnet()}
		if via.IsValid() {
			route.Gateway = tcpip.AddrFrom4(via.As4())
		}
		table = append(table, route)
	}
	on := func(a netip.Addr) int {
		return slices.IndexFunc(r.arms, func(arm *arm) bool {
			return slices.ContainsFunc(arm.allowed, func(p netip.Prefix) bool { return p.Contains(a) })
		})
	}
	for i := range p.Inside {
		for _, a := range p.Inside[i].Addresses {
			add(a, netip.Addr{}, i)
		}
	}
	last := len(r.arms) - 1
	if p.Outside != nil {
		for _, to := range p.OnLink {
			add(to, netip.Addr{}, last)
		}
	}
	for _, way := range p.Routes {
		if nic := on(way.NextHop); nic >= 0 {
			add(way.Destination, way.NextHop, nic)
		}
	}
	if p.Outside != nil && p.Gateway.IsValid() {
		add(netip.PrefixFrom(netip.IPv4Unspecified(), 0), p.Gateway, last)
	}
	slices.SortStableFunc(table, func(a, b tcpip.Route) int { return b.Destination.Prefix() - a.Destination.Prefix() })
	return table
}

// run forwards until ctx ends, a cable is cut, or the right to forward is lost.
func (r *router) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, a := range r.arms {
		g.Go(func() error { return a.lan.run(ctx, a.deliver) })
		g.Go(func() error { a.pump(ctx); return nil })
	}
	g.Go(func() error { return r.announce(ctx) })
	return g.Wait()
}

// announce tells the neighbours where the router's addresses are, three times, as the first may be lost where a switch is still at work.
func (r *router) announce(ctx context.Context) error {
	for range 3 {
		r.tell(r.nat.outers())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Minute):
			r.nat.sweep()
		}
	}
}

// tell tells all neighbours of the router's own addresses, and those on the outside of floating ones.
func (r *router) tell(floating []netip.Addr) {
	for _, a := range r.arms {
		all := a.own
		if a.outside {
			all = append(slices.Clip(all), floating...)
		}
		for _, addr := range all {
			a.lan.send(arpFrame(a.mac, arpRequest, broadcast, addr, addr))
		}
	}
}

func (r *router) close() {
	for _, a := range r.arms {
		a.lan.close()
		a.link.Close()
	}
	r.stack.Destroy()
}

// deliver takes a frame from the network.
func (a *arm) deliver(frame []byte) {
	dst := ether.Dst(frame)
	if dst != a.mac && dst != broadcast {
		return
	}
	switch ether.Type(frame) {
	case ether.TypeARP:
		if a.outside && a.answers(frame) {
			return
		}
	case ether.TypeIPv4:
		if dst != a.mac {
			return
		}
		frame = slices.Clone(frame) // others may have it too
		p, ok := parse(frame[ether.HeaderLen:])
		if !ok || !a.admits(p) {
			return
		}
		frame = frame[:ether.HeaderLen+len(p)]
	default:
		return
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame)})
	defer pkt.DecRef()
	a.link.InjectInbound(0, pkt)
}

// admits reports whether a packet may come in by the arm. Inside, only those may send that are reached by it.
func (a *arm) admits(p packet) bool {
	if a.outside {
		return a.nat.arrives(p)
	}
	src := p.addr(srcAt)
	return unicast(src) && unicast(p.addr(dstAt)) && !slices.Contains(a.own, src) && slices.ContainsFunc(a.allowed, func(p netip.Prefix) bool { return p.Contains(src) }) && a.nat.turns(p)
}

// answers answers who asks for a floating address.
func (a *arm) answers(frame []byte) bool {
	op, sender, station, target, ok := parseARP(frame)
	if !ok || op != arpRequest || !a.nat.floating(target) {
		return false
	}
	if sender != target { // else it is a clash, or our own
		a.lan.send(arpFrame(a.mac, arpReply, station, target, sender))
	}
	return true
}

// pump takes what the stack sends to the network.
func (a *arm) pump(ctx context.Context) {
	for {
		pkt := a.link.ReadContext(ctx)
		if pkt == nil {
			return
		}
		frame := make([]byte, 0, pkt.Size())
		for _, part := range pkt.AsSlices() {
			frame = append(frame, part...)
		}
		pkt.DecRef()
		if a.outside && ether.Type(frame) == ether.TypeIPv4 {
			p, ok := parse(frame[ether.HeaderLen:])
			if !ok || !a.nat.leaves(p) {
				continue
			}
		}
		a.lan.send(frame)
	}
}
