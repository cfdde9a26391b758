package gateway

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"
)

var (
	server  = netip.MustParseAddr("10.1.0.5")
	other   = netip.MustParseAddr("10.1.0.6")
	peer    = netip.MustParseAddr("203.0.113.9")
	ownAddr = netip.MustParseAddr("203.0.113.2")
	float   = netip.MustParseAddr("203.0.113.10")
)

// made is a packet with right check sums.
func made(proto byte, src, dst netip.Addr, body ...byte) packet {
	p := append(make(packet, headLen), body...)
	p[0], p[8], p[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	a, b := src.As4(), dst.As4()
	copy(p[srcAt:], a[:])
	copy(p[dstAt:], b[:])
	binary.BigEndian.PutUint16(p[10:], ^ones(p[:headLen]))
	if proto == protoICMP {
		p.resum()
	} else if sum := p.carriedSum(); sum != nil || proto == protoUDP {
		at := map[byte]int{protoTCP: headLen + 16, protoUDP: headLen + 6}[proto]
		binary.BigEndian.PutUint16(p[at:], ^p.carried())
	}
	return p
}

func ones(b []byte) uint16 {
	var total uint32
	for i := 0; i < len(b); i += 2 {
		total += uint32(b[i]) << 8
		if i+1 < len(b) {
			total += uint32(b[i+1])
		}
	}
	return fold(total)
}

// carried is the sum over what a packet carries with its pseudo header; 0xffff where the check sum in it is right.
func (p packet) carried() uint16 {
	if p.proto() == protoICMP {
		return ones(p[headLen:])
	}
	pseudo := append(slices.Clone(p[srcAt:headLen]), 0, p.proto(), 0, byte(len(p)-headLen))
	return ones(append(pseudo, p[headLen:]...))
}

func segment(src, dst netip.Addr, from, to uint16, flags byte) packet {
	body := make([]byte, 21)
	binary.BigEndian.PutUint16(body, from)
	binary.BigEndian.PutUint16(body[2:], to)
	body[12], body[13] = 0x50, flags
	return made(protoTCP, src, dst, body...)
}

func datagram(src, dst netip.Addr, from, to uint16) packet {
	body := make([]byte, 11)
	binary.BigEndian.PutUint16(body, from)
	binary.BigEndian.PutUint16(body[2:], to)
	body[5] = 11
	return made(protoUDP, src, dst, body...)
}

func ping(src, dst netip.Addr, kind byte) packet {
	return made(protoICMP, src, dst, kind, 0, 0, 0, 0, 77, 0, 1, 'x')
}

// edge is that of a router with one address outside, with a clock that is played.
func edge(floating map[netip.Addr]netip.Addr) (*nat, *time.Time) {
	n, now := newNAT(), time.Unix(0, 0)
	n.now = func() time.Time { return now }
	p := plan(101, ownAddr.String()+"/24", floating)
	n.configure(&p)
	return n, &now
}

// looks fails unless a packet has these ends and right check sums.
func looks(t *testing.T, p packet, src, dst netip.Addr) {
	t.Helper()
	if p.addr(srcAt) != src || p.addr(dstAt) != dst || ones(p[:headLen]) != 0xffff || p.carried() != 0xffff {
		t.Errorf("%s to %s with the sums %x and %x; want %s to %s", p.addr(srcAt), p.addr(dstAt), ones(p[:headLen]), p.carried(), src, dst)
	}
}

func TestFlows(t *testing.T) {
	t.Parallel()
	for name, kinds := range map[string][2]func(src, dst netip.Addr) packet{
		"TCP":  {func(a, b netip.Addr) packet { return segment(a, b, 4000, 80, 2) }, func(a, b netip.Addr) packet { return segment(a, b, 80, 4000, 18) }},
		"UDP":  {func(a, b netip.Addr) packet { return datagram(a, b, 4000, 80) }, func(a, b netip.Addr) packet { return datagram(a, b, 80, 4000) }},
		"ICMP": {func(a, b netip.Addr) packet { return ping(a, b, echo) }, func(a, b netip.Addr) packet { return ping(a, b, echoAnswer) }},
	} {
		n, now := edge(nil)
		ask, answer := kinds[0], kinds[1]
		if n.arrives(answer(peer, ownAddr)) {
			t.Errorf("%s: an answer to nothing came in", name)
		}
		out, back := ask(server, peer), answer(peer, ownAddr)
		if !n.leaves(out) || !n.arrives(back) {
			t.Fatalf("%s did not pass", name)
		}
		looks(t, out, ownAddr, peer)
		looks(t, back, peer, server)
		second := ask(other, peer)
		if !n.leaves(second) {
			t.Fatalf("%s: the second one with the same port did not pass", name)
		}
		k, _ := second.key(true)
		if first, _ := out.key(true); first == k {
			t.Errorf("%s: two flows look the same outside", name)
		}
		*now = now.Add(lifeTCP + time.Second)
		if n.arrives(answer(peer, ownAddr)) {
			t.Errorf("%s: a flow did not run out", name)
		}
		n.sweep()
		if n.size() != 0 || len(n.backs) != 0 || n.used.Len() != 0 {
			t.Errorf("%s: %d flows are left", name, n.size())
		}
	}
}

func TestTableIsBounded(t *testing.T) {
	t.Parallel()
	n, _ := edge(nil)
	n.most = 3
	for port := range uint16(10) {
		if !n.leaves(datagram(server, peer, 5000, 1)) || !n.leaves(datagram(server, peer, 4000+port, 80)) {
			t.Fatal("a flow found no room")
		}
	}
	if n.size() != 3 || len(n.backs) != 3 || n.used.Len() != 3 {
		t.Errorf("%d flows, %d backs", n.size(), len(n.backs))
	}
	if !n.arrives(datagram(peer, ownAddr, 1, 5000)) {
		t.Error("the flow that is used most made room")
	}
}

func TestWhatDoesNotComeIn(t *testing.T) {
	t.Parallel()
	n, _ := edge(map[netip.Addr]netip.Addr{float: server})
	for name, p := range map[string]packet{
		"to the router":        segment(peer, ownAddr, 1, 22, 2),
		"past the router":      segment(peer, other, 1, 22, 2),
		"in the name of one":   segment(server, float, 1, 22, 2),
		"in the router's name": segment(ownAddr, float, 1, 22, 2),
		"from nowhere":         segment(netip.MustParseAddr("127.0.0.1"), float, 1, 22, 2),
		"to all":               segment(peer, netip.MustParseAddr("203.0.113.255"), 1, 22, 2),
	} {
		if n.arrives(p) {
			t.Errorf("%s: it came in", name)
		}
	}
	if !n.arrives(ping(peer, ownAddr, echo)) || !n.arrives(segment(peer, float, 1, 22, 2)) {
		t.Error("a ping of the router, or what is for a floating address, did not come in")
	}
	if p := made(47, server, peer, 1, 2, 3, 4); !n.leaves(p) || p.addr(srcAt) != float {
		t.Error("another protocol does not leave by a floating address")
	}
	if n.leaves(made(47, other, peer, 1, 2, 3, 4)) {
		t.Error("a protocol without ports left by the router's address")
	}
	if n.leaves(datagram(netip.MustParseAddr("192.168.9.9"), peer, 1, 2)) {
		t.Error("a sender from nowhere left")
	}
	bare := plan(101, ownAddr.String()+"/24", nil)
	bare.SNAT = false
	n.configure(&bare)
	if p := segment(peer, other, 1, 22, 2); !n.arrives(p) || p.addr(dstAt) != other {
		t.Error("without SNAT the subnet is not reached")
	}
}

func TestChangesEndFlows(t *testing.T) {
	t.Parallel()
	n, _ := edge(nil)
	if !n.leaves(datagram(server, peer, 4000, 80)) || !n.leaves(datagram(other, peer, 4001, 80)) {
		t.Fatal("nothing left")
	}
	p := plan(101, ownAddr.String()+"/24", map[netip.Addr]netip.Addr{float: server})
	n.configure(&p)
	if n.arrives(datagram(peer, ownAddr, 80, 4000)) || !n.arrives(datagram(peer, ownAddr, 80, 4001)) {
		t.Error("the flow of whom a floating address was given to stayed, or the other one ended")
	}
	none := plan(101, ownAddr.String()+"/24", nil)
	n.configure(&none)
	if n.arrives(datagram(peer, float, 80, 4000)) {
		t.Error("a floating address that was taken away goes on")
	}
}

// TestMessagesAboutPackets has ICMP say something of packets that were changed, in both directions.
func TestMessagesAboutPackets(t *testing.T) {
	t.Parallel()
	about := func(p packet) []byte { return append([]byte{3, 4, 0, 0, 0, 0, 5, 0}, p[:headLen+8]...) }
	router := netip.MustParseAddr("203.0.113.1")
	n, _ := edge(map[netip.Addr]netip.Addr{float: server})
	for _, c := range []struct{ inner, outer netip.Addr }{{server, float}, {other, ownAddr}} {
		out := datagram(c.inner, peer, 4000, 80)
		if !n.leaves(out) {
			t.Fatal("nothing left")
		}
		told := made(protoICMP, router, c.outer, about(out)...)
		if !n.arrives(told) {
			t.Fatalf("a message about what left as %s did not come in", c.outer)
		}
		looks(t, told, router, c.inner)
		if inner, _ := told.about(); inner.addr(srcAt) != c.inner || ones(inner[:headLen]) != 0xffff {
			t.Errorf("it is about a packet of %s", inner.addr(srcAt))
		}
		in := datagram(peer, c.outer, 80, 4000)
		if !n.arrives(in) {
			t.Fatal("no answer came in")
		}
		say := made(protoICMP, c.inner, peer, about(in)...)
		if !n.leaves(say) {
			t.Fatalf("a message about what came in to %s did not leave", c.inner)
		}
		looks(t, say, c.outer, peer)
		if outer, _ := say.about(); outer.addr(dstAt) != c.outer {
			t.Errorf("it tells of %s", outer.addr(dstAt))
		}
	}
	if n.arrives(made(protoICMP, router, ownAddr, about(datagram(ownAddr, peer, 9, 9))...)) {
		t.Error("a message about what never left came in")
	}
}

// FuzzEdge has any bytes pass the edge in all ways: none is read beyond its end.
func FuzzEdge(f *testing.F) {
	for _, p := range []packet{segment(server, peer, 1, 2, 2), datagram(other, float, 1, 2), ping(peer, ownAddr, echo), made(protoICMP, other, peer, 3, 0, 0, 0, 0, 0, 0, 0, 0x45)} {
		f.Add([]byte(p))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, _ := edge(map[netip.Addr]netip.Addr{float: server})
		for _, way := range []func(packet) bool{n.leaves, n.arrives, n.turns} {
			if p, ok := parse(slices.Clone(b)); ok {
				way(p)
			}
		}
		if n.size() != len(n.backs) || n.size() != n.used.Len() {
			t.Errorf("%d flows, %d backs, %d in order", n.size(), len(n.backs), n.used.Len())
		}
	})
}
