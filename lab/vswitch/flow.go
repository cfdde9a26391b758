package vswitch

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/lab/ether"
)

// How long a flow is known after its last packet, as Linux has it (nf_conntrack), but for TCP that goes on, which has five days there.
const (
	flowTCP      = 24 * time.Hour
	flowOpening  = time.Minute // TCP before it is answered
	flowClosing  = 2 * time.Minute
	flowReset    = 10 * time.Second
	flowUDP      = 30 * time.Second // before it is answered
	flowAnswered = 3 * time.Minute
	flowICMP     = 30 * time.Second
	flowOther    = 10 * time.Minute
	fragmentTime = 30 * time.Second
)

// Bounds of what a filter remembers.
const (
	mostFlows     = 16 << 10
	mostFragments = 1 << 10
	drawn         = 8 // flows among which the one is chosen that makes room
)

// guard is a filter at work on a port in a VLAN, with the flows that it let through.
type guard struct {
	now func() time.Time

	mu    sync.Mutex
	rules *ruleset
	turn  int // counts the rulesets
	flows map[flowKey]*flow
	parts map[partKey]time.Time
}

// flowKey names a flow as seen from the server.
type flowKey struct {
	local, remote netip.Addr
	lport, rport  uint16
	proto         uint8
}

// flow is what was let through by a rule, and so are the answers to it.
type flow struct {
	out      bool // who began: the server
	first    head // of the first packet
	turn     int  // of the ruleset that allowed it
	answered bool
	closing  bool
	until    time.Time
}

// partKey names a datagram of which fragments are to come.
type partKey struct {
	src, dst netip.Addr
	id       uint32
	proto    uint8
	out      bool
}

func newGuard(rules *ruleset, now func() time.Time) *guard {
	return &guard{now: now, rules: rules, flows: map[flowKey]*flow{}, parts: map[partKey]time.Time{}}
}

// set changes the rules. Flows that they allow too go on.
func (g *guard) set(rules *ruleset) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rules = rules
	g.turn++
}

// filter returns what the guard keeps to.
func (g *guard) filter() Filter {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.rules.filter
}

// size is how many flows are known.
func (g *guard) size() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.flows)
}

// judge judges an untagged frame of at least ether.HeaderLen bytes, out of the server or into it.
func (g *guard) judge(frame []byte, out bool) verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	src, dst, body := ether.Src(frame), ether.Dst(frame), frame[ether.HeaderLen:]
	if out && g.rules.own[src] == nil {
		return spoofed
	}
	if !out && !dst.Multicast() && g.rules.own[dst] == nil {
		return refused // flooded, and for another station
	}
	switch ether.Type(frame) {
	case ether.TypeARP:
		return g.rules.arp(src, body, out)
	case ether.TypeIPv4, typeIPv6:
	default:
		return unread
	}
	p, ok := readPacket(body)
	if !ok || (p.version() == 4) != (ether.Type(frame) == ether.TypeIPv4) {
		return unread
	}
	if !out {
		if v, settled := g.rules.arrives(&p); settled {
			return v
		}
		return g.pass(&p, out)
	}
	if v, settled := g.rules.leaves(src, &p); settled {
		return v
	}
	if p.version() == 6 && p.proto == protoICMPv6 && p.kind == neighbourAdvert && !p.later {
		if !g.rules.advertises(src, body) {
			return spoofed
		}
		return passed
	}
	return g.pass(&p, out)
}

// pass asks flows and rules.
func (g *guard) pass(p *packet, out bool) verdict {
	now := g.now()
	part := partKey{p.src, p.dst, p.id, p.proto, out}
	if p.later {
		if g.parts[part].After(now) {
			return passed
		}
		return refused
	}
	v := refused
	if g.known(p, out, now) || g.opens(p, out, now) {
		v = passed
	}
	if v == passed && p.more && !g.expect(part, now) {
		return refused
	}
	return v
}

// expect remembers that fragments of a datagram may follow.
func (g *guard) expect(part partKey, now time.Time) bool {
	if len(g.parts) >= mostFragments {
		for k, until := range g.parts {
			if !until.After(now) {
				delete(g.parts, k)
			}
		}
	}
	if len(g.parts) >= mostFragments {
		return false
	}
	g.parts[part] = now.Add(fragmentTime)
	return true
}

func (p *packet) key(out bool) flowKey {
	if out {
		return flowKey{p.src, p.dst, p.sport, p.dport, p.proto}
	}
	return flowKey{p.dst, p.src, p.dport, p.sport, p.proto}
}

func (p *packet) head(out bool) head {
	h := head{version: p.version(), proto: p.proto, remote: p.src, port: p.dport, kind: p.kind, code: p.code}
	if out {
		h.remote = p.dst
	}
	return h
}

// flow returns a flow that is still allowed.
func (g *guard) flow(k flowKey, now time.Time) *flow {
	f := g.flows[k]
	if f == nil {
		return nil
	}
	if f.until.After(now) && f.turn != g.turn {
		if stateful, _ := g.rules.allows(f.out, f.first); stateful {
			f.turn = g.turn
		}
	}
	if !f.until.After(now) || f.turn != g.turn {
		delete(g.flows, k)
		return nil
	}
	return f
}

// known reports whether a packet belongs to a flow, or is an error that is about one.
func (g *guard) known(p *packet, out bool, now time.Time) bool {
	if p.complains() {
		q, ok := readQuoted(p.quoted)
		return ok && q.version() == p.version() && g.flow(q.key(!out), now) != nil // it went the other way
	}
	k := p.key(out)
	f := g.flow(k, now)
	if f == nil {
		return false
	}
	answer := f.out != out
	if p.proto == protoICMP || p.proto == protoICMPv6 {
		if answer && !p.reply() || !answer && !p.query() {
			return false
		}
	}
	if p.proto == protoTCP && f.closing && p.flags&(flagSYN|flagACK) == flagSYN {
		delete(g.flows, k) // the ports are used again
		return false
	}
	f.answered = f.answered || answer
	f.follow(p, now)
	return true
}

// follow notes a packet of the flow.
func (f *flow) follow(p *packet, now time.Time) {
	if p.proto == protoTCP && p.flags&(flagFIN|flagRST) != 0 {
		f.closing = true
	}
	f.until = now.Add(f.life(p))
}

func (f *flow) life(p *packet) time.Duration {
	switch {
	case p.proto == protoTCP && p.flags&flagRST != 0:
		return flowReset
	case p.proto == protoTCP && f.closing:
		return flowClosing
	case p.proto == protoTCP && f.answered:
		return flowTCP
	case p.proto == protoTCP:
		return flowOpening
	case p.proto == protoICMP, p.proto == protoICMPv6:
		return flowICMP
	case !ported(p.proto):
		return flowOther
	case f.answered:
		return flowAnswered
	}
	return flowUDP
}

// opens asks the rules. A stateful one begins a flow: TCP with its first packet only, so that what was cut off does not come back by
// what the other side sends.
func (g *guard) opens(p *packet, out bool, now time.Time) bool {
	h := p.head(out)
	stateful, stateless := g.rules.allows(out, h)
	switch {
	case !stateful:
		return stateless
	case p.proto == protoTCP && p.flags&(flagSYN|flagACK|flagRST|flagFIN) != flagSYN:
		return stateless
	case p.dst.IsMulticast(), (p.proto == protoICMP || p.proto == protoICMPv6) && !p.query():
		return true // nothing answers it, or not from that address
	}
	g.makeRoom(now)
	f := &flow{out: out, first: h, turn: g.turn}
	f.follow(p, now)
	g.flows[p.key(out)] = f
	return true
}

// makeRoom drops a flow when there are too many: one that has ended, or was never answered, or has been silent for longest, of a few.
func (g *guard) makeRoom(now time.Time) {
	if len(g.flows) < mostFlows {
		return
	}
	var worst flowKey
	var least *flow
	n := 0
	for k, f := range g.flows { // in an order that nobody can know
		if !f.until.After(now) {
			delete(g.flows, k)
			return
		}
		if least == nil || least.answered && !f.answered || least.answered == f.answered && f.until.Before(least.until) {
			worst, least = k, f
		}
		if n++; n == drawn {
			break
		}
	}
	delete(g.flows, worst)
}
