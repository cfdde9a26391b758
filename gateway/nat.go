package gateway

import (
	"container/list"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/network"
)

// mostFlows bounds what a router remembers of those who leave by its own address: some 8 MB. The flow that was quiet for longest makes room.
const mostFlows = 16384

// How long a flow is remembered that is quiet. Sources: RFC 5382 (2 h 4 min and 4 min), RFC 4787 (5 min), RFC 5508 (60 s).
const (
	lifeTCP     = 2*time.Hour + 4*time.Minute
	lifePassing = 4 * time.Minute // a TCP connection that begins
	lifeEnded   = 30 * time.Second
	lifeUDP     = 5 * time.Minute
	lifeICMP    = time.Minute
)

// nat changes addresses at the edge between a router and the outside: floating addresses one to one, which needs no memory, and for
// all others the router's own address, with a bounded table of flows.
type nat struct {
	now  func() time.Time
	most int

	mu     sync.Mutex
	own    []netip.Addr // the router's on the outside
	snat   bool
	inside []netip.Prefix
	inner  map[netip.Addr]netip.Addr // floating addresses: inner ones by outer ones
	outer  map[netip.Addr]netip.Addr
	flows  map[flowKey]*flow // as they are seen inside
	backs  map[flowKey]*flow // as they are seen outside
	used   *list.List        // of *flow, the one that was used last in front
}

// flow is what left by the router's own address.
type flow struct {
	inner, outer flowKey
	at           *list.Element
	last         time.Time
	answered     bool
	ended        [2]bool // outward, inward
}

func newNAT() *nat {
	return &nat{now: time.Now, most: mostFlows, flows: map[flowKey]*flow{}, backs: map[flowKey]*flow{}, used: list.New()}
}

// configure keeps to a plan. Flows that it does not allow any more are forgotten.
func (n *nat) configure(p *network.RouterPlan) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.own, n.inside, n.inner, n.outer = nil, nil, p.Floating, map[netip.Addr]netip.Addr{}
	n.snat = p.SNAT
	if p.Outside != nil {
		for _, a := range p.Outside.Addresses {
			n.own = append(n.own, a.Addr())
		}
	}
	for i := range p.Inside {
		n.inside = append(n.inside, behind(p, &p.Inside[i])...)
	}
	for outer, inner := range p.Floating {
		n.outer[inner] = outer
	}
	for _, f := range n.flows {
		inner := f.inner.here.addr
		if _, floats := n.outer[inner]; floats || !n.snat || !n.ours(f.outer.here.addr) || !n.isInside(inner) {
			n.forget(f)
		}
	}
}

// behind is what is reached by one of a router's legs: its subnets, and what is routed by them.
func behind(p *network.RouterPlan, leg *network.Leg) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range leg.Addresses {
		out = append(out, a.Masked())
		for _, way := range p.Routes {
			if a.Contains(way.NextHop) {
				out = append(out, way.Destination)
			}
		}
	}
	return out
}

func (n *nat) ours(a netip.Addr) bool { return slices.Contains(n.own, a) }

func (n *nat) isInside(a netip.Addr) bool {
	return slices.ContainsFunc(n.inside, func(p netip.Prefix) bool { return p.Contains(a) })
}

// size is how many flows are remembered.
func (n *nat) size() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.flows)
}

// floating reports whether an address is one of the floating ones.
func (n *nat) floating(a netip.Addr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.inner[a].IsValid()
}

// outers are the floating addresses.
func (n *nat) outers() []netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []netip.Addr
	for a := range n.inner {
		out = append(out, a)
	}
	return out
}

// leaves changes a packet that leaves on the outside, and reports whether it may.
func (n *nat) leaves(p packet) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.outward(p)
}

func (n *nat) outward(p packet) bool {
	src := p.addr(srcAt)
	if p.complains() && !n.unmask(p) {
		return false
	}
	if n.ours(src) {
		return true // the router's own answer
	}
	if outer, ok := n.outer[src]; ok {
		p.readdress(srcAt, outer)
		return true
	}
	if !n.snat {
		return true
	}
	if !n.isInside(src) || len(n.own) == 0 {
		return false
	}
	if p.complains() {
		p.readdress(srcAt, n.own[0])
		return true
	}
	k, ok := p.key(true)
	if !ok || !p.whole() || p.proto() == protoICMP && p[headLen] != echo {
		return false
	}
	f := n.find(n.flows, k)
	if f == nil {
		if f = n.open(k); f == nil {
			return false
		}
	}
	n.follow(f, p, 0)
	p.readdress(srcAt, f.outer.here.addr)
	p.report(srcPort, f.outer.here.port)
	return true
}

// unmask gives the packet that a leaving ICMP message is about the destination that its sender knows.
func (n *nat) unmask(p packet) bool {
	about, ok := p.about()
	if !ok {
		return false
	}
	if outer, floats := n.outer[about.addr(dstAt)]; floats {
		about.readdress(dstAt, outer)
	} else if n.snat {
		k, ok := about.key(false)
		f := n.find(n.flows, k)
		if !ok || f == nil {
			return false
		}
		about.readdress(dstAt, f.outer.here.addr)
		about.report(dstPort, f.outer.here.port)
	}
	p.resum()
	return true
}

// arrives changes a packet that comes from the outside, and reports whether it may go on: to what has a floating address, to where an answer
// belongs, or to the router itself when it asks whether that is there.
func (n *nat) arrives(p packet) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	src := p.addr(srcAt)
	if n.isInside(src) || n.ours(src) || n.inner[src].IsValid() || !unicast(src) {
		return false
	}
	return n.inward(p)
}

func (n *nat) inward(p packet) bool {
	dst := p.addr(dstAt)
	inner, floats := n.inner[dst]
	switch {
	case p.complains() && (floats || n.ours(dst)):
		return n.remask(p)
	case floats:
		p.readdress(dstAt, inner)
		return true
	case n.ours(dst):
		return p.is(echo) || n.answer(p)
	}
	return !n.snat && n.isInside(dst)
}

// answer leads an answer to whoever asked by the router's own address.
func (n *nat) answer(p packet) bool {
	k, ok := p.key(false)
	if !ok || !p.whole() {
		return false
	}
	f := n.find(n.backs, k)
	if f == nil {
		return false
	}
	f.answered = true
	n.follow(f, p, 1)
	p.readdress(dstAt, f.inner.here.addr)
	p.report(dstPort, f.inner.here.port)
	return true
}

// remask gives an ICMP message from the outside, and the packet that it is about, the addresses that the inner sender knows.
func (n *nat) remask(p packet) bool {
	about, ok := p.about()
	if !ok {
		return false
	}
	inner, floats := n.inner[about.addr(srcAt)]
	if floats {
		about.readdress(srcAt, inner)
	} else {
		k, ok := about.key(true)
		f := n.find(n.backs, k)
		if !ok || f == nil {
			return false
		}
		inner = f.inner.here.addr
		about.readdress(srcAt, inner)
		about.report(srcPort, f.inner.here.port)
	}
	p.resum()
	p.readdress(dstAt, inner)
	return true
}

// turns changes a packet from the inside that is for one of the router's addresses on the outside, as if it had left and come back, and
// reports whether it may go on. Others it leaves as they are.
func (n *nat) turns(p packet) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	dst := p.addr(dstAt)
	if _, floats := n.inner[dst]; floats {
		return n.outward(p) && n.inward(p)
	}
	if !n.ours(dst) || p.is(echo) {
		return true
	}
	outer, floats := n.outer[p.addr(srcAt)]
	if !floats {
		return false
	}
	p.readdress(srcAt, outer)
	return n.inward(p)
}

// unicast reports whether an address can be a sender's.
func unicast(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && a.As4()[0] < 224
}

// find returns a flow that has not run out.
func (n *nat) find(in map[flowKey]*flow, k flowKey) *flow {
	f := in[k]
	if f != nil && n.now().Sub(f.last) > f.life() {
		n.forget(f)
		return nil
	}
	return f
}

// open begins a flow, at the port that it has if that is free.
func (n *nat) open(k flowKey) *flow {
	f := &flow{inner: k, outer: flowKey{k.proto, end{n.own[0], k.here.port}, k.there}, last: n.now()}
	const tries = 64
	for try := 0; n.find(n.backs, f.outer) != nil; try++ {
		if try == tries {
			return nil
		}
		f.outer.here.port = uint16(1024 + rand.N(1<<16-1024))
	}
	if len(n.flows) >= n.most {
		n.forget(n.used.Back().Value.(*flow))
	}
	n.flows[f.inner], n.backs[f.outer] = f, f
	f.at = n.used.PushFront(f)
	return f
}

func (n *nat) forget(f *flow) {
	delete(n.flows, f.inner)
	delete(n.backs, f.outer)
	n.used.Remove(f.at)
}

// follow notes that a flow is used in a direction, and when it ends.
func (n *nat) follow(f *flow, p packet, way int) {
	f.last = n.now()
	n.used.MoveToFront(f.at)
	if p.proto() == protoTCP && len(p) > tcpFlags {
		f.ended[way] = f.ended[way] || p[tcpFlags]&(fin|reset) != 0
		if p[tcpFlags]&reset != 0 {
			f.ended = [2]bool{true, true}
		}
	}
}

func (f *flow) life() time.Duration {
	switch {
	case f.inner.proto == protoUDP:
		return lifeUDP
	case f.inner.proto == protoICMP:
		return lifeICMP
	case f.ended[0] && f.ended[1]:
		return lifeEnded
	case f.answered:
		return lifeTCP
	}
	return lifePassing
}

// sweep forgets flows that have run out.
func (n *nat) sweep() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for k := range n.flows {
		n.find(n.flows, k)
	}
}
