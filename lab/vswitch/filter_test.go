package vswitch

import (
	"net/netip"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/ether"
)

const (
	ownMAC, peerMAC   = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
	ownIP, peerIP     = "10.0.0.10", "10.0.0.11"
	otherIP           = "10.0.9.9"
	ownIP6, peerIP6   = "fd00::10", "fd00::11"
	broadcast         = "ff:ff:ff:ff:ff:ff"
	anyPort, dhcpPool = -1, "0.0.0.0"
)

func ownFilter(rules ...Rule) Filter {
	return Filter{Sum: "1", MAC: ownMAC, Rules: rules, Addresses: []Address{
		{ownMAC, netip.MustParsePrefix(ownIP + "/32")}, {ownMAC, netip.MustParsePrefix(ownIP6 + "/128")}, {"00:00:5e:00:01:07", netip.MustParsePrefix("10.0.0.64/26")}}}
}

// fixture is a guard at a time that stands still.
type fixture struct {
	*testing.T
	*guard
	at time.Time
}

func newFixture(t *testing.T, rules ...Rule) *fixture {
	t.Helper()
	f := &fixture{T: t, at: time.Unix(1_000_000, 0)}
	f.guard = newGuard(f.compiled(rules...), func() time.Time { return f.at })
	return f
}

func (f *fixture) compiled(rules ...Rule) *ruleset {
	f.Helper()
	s, err := compile(ownFilter(rules...))
	if err != nil {
		f.Fatal(err)
	}
	return s
}

// says compares what the guard says of a segment; who sends it says in which direction it goes.
func (f *fixture) says(s seg, want verdict) {
	f.Helper()
	if got := f.judge(s.frame(f), s.from != peerMAC); got != want {
		f.Errorf("%+v: %s, not %s", s, got, want)
	}
}

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

func TestRules(t *testing.T) {
	in := func(r Rule) Rule { r.In = true; return r }
	tcp22 := Rule{Version: 4, Protocol: protoTCP, Low: 22, High: 25}
	for _, tt := range []struct {
		name  string
		rules []Rule
		seg   seg
		want  verdict
	}{
		{"nothing allowed in", nil, arriving(protoTCP, 999, 22), refused},
		{"nothing allowed out", nil, leaving(protoTCP, 999, 22), refused},
		{"any out", []Rule{{Version: 4, Low: anyPort, High: anyPort}}, leaving(protoUDP, 999, 53), passed},
		{"any out is not in", []Rule{{Version: 4, Low: anyPort, High: anyPort}}, arriving(protoUDP, 999, 53), refused},
		{"IPv4 is not IPv6", []Rule{{Version: 4, Low: anyPort, High: anyPort}}, leaving(protoUDP, 999, 53).six(), refused},
		{"IPv6", []Rule{{Version: 6, Low: anyPort, High: anyPort}}, leaving(protoUDP, 999, 53).six(), passed},
		{"first port", []Rule{in(tcp22)}, arriving(protoTCP, 999, 22), passed},
		{"last port", []Rule{in(tcp22)}, arriving(protoTCP, 999, 25), passed},
		{"port below", []Rule{in(tcp22)}, arriving(protoTCP, 999, 21), refused},
		{"port above", []Rule{in(tcp22)}, arriving(protoTCP, 999, 26), refused},
		{"source port does not count", []Rule{in(tcp22)}, arriving(protoTCP, 22, 999), refused},
		{"other protocol", []Rule{in(tcp22)}, arriving(protoUDP, 999, 22), refused},
		{"port out", []Rule{tcp22}, leaving(protoTCP, 999, 23), passed},
		{"port out above", []Rule{tcp22}, leaving(protoTCP, 999, 80), refused},
		{"protocol by number", []Rule{in(Rule{Version: 4, Protocol: 47, Low: anyPort, High: anyPort})}, arriving(47, 1, 2), passed},
		{"remote address", []Rule{in(Rule{Version: 4, Low: anyPort, High: anyPort, Remotes: prefixes(peerIP + "/32")})}, arriving(protoUDP, 1, 2), passed},
		{"remote range", []Rule{in(Rule{Version: 4, Low: anyPort, High: anyPort, Remotes: prefixes("192.0.2.0/24", "10.0.0.0/28")})}, arriving(protoUDP, 1, 2), passed},
		{"other remote", []Rule{in(Rule{Version: 4, Low: anyPort, High: anyPort, Remotes: prefixes("192.0.2.0/24", "10.0.0.1/32")})}, arriving(protoUDP, 1, 2), refused},
		{"remote out", []Rule{{Version: 4, Low: anyPort, High: anyPort, Remotes: prefixes(peerIP + "/32")}}, leaving(protoUDP, 1, 2), passed},
		{"other remote out", []Rule{{Version: 4, Low: anyPort, High: anyPort, Remotes: prefixes("10.0.0.1/32")}}, leaving(protoUDP, 1, 2), refused},
		{"ICMP type", []Rule{in(Rule{Version: 4, Protocol: protoICMP, Low: 8, High: anyPort})}, arriving(protoICMP, 8, 7), passed},
		{"other ICMP type", []Rule{in(Rule{Version: 4, Protocol: protoICMP, Low: 13, High: anyPort})}, arriving(protoICMP, 8, 7), refused},
		{"other ICMP code", []Rule{in(Rule{Version: 4, Protocol: protoICMP, Low: 8, High: 1})}, arriving(protoICMP, 8, 7), refused},
		{"ICMPv6 type", []Rule{in(Rule{Version: 6, Protocol: protoICMPv6, Low: 128, High: 0})}, arriving(protoICMPv6, 128, 7).six(), passed},
		{"TCP without its beginning", []Rule{in(tcp22)}, arriving(protoTCP, 999, 22).flagged(flagACK), refused},
		{"the same, stateless", []Rule{in(tcp22), in(Rule{Version: 4, Protocol: protoTCP, Low: 22, High: 22, Stateless: true})}, arriving(protoTCP, 999, 22).flagged(flagACK), passed},
		{"metadata", nil, leaving(protoTCP, 999, 80).with(func(s *seg) { s.dst = "169.254.169.254" }), passed},
		{"metadata by another port", nil, leaving(protoTCP, 999, 81).with(func(s *seg) { s.dst = "169.254.169.254" }), refused},
		{"for another station", []Rule{in(tcp22)}, arriving(protoTCP, 999, 22).with(func(s *seg) { s.to = "02:00:00:00:00:99" }), refused},
	} {
		t.Run(tt.name, func(t *testing.T) { newFixture(t, tt.rules...).says(tt.seg, tt.want) })
	}
}

func TestAnswersPass(t *testing.T) {
	f := newFixture(t, Rule{Version: 4, Low: anyPort, High: anyPort}, Rule{Version: 6, Low: anyPort, High: anyPort})
	f.says(arriving(protoTCP, 80, 999).flagged(flagSYN|flagACK), refused)
	f.says(leaving(protoTCP, 999, 80), passed)
	f.says(arriving(protoTCP, 80, 999).flagged(flagSYN|flagACK), passed)
	f.says(arriving(protoTCP, 81, 999), refused)
	f.says(leaving(protoUDP, 999, 53), passed)
	f.says(arriving(protoUDP, 53, 999), passed)
	f.says(arriving(protoUDP, 53, 998), refused)
	f.says(leaving(protoICMP, 8, 5), passed)
	f.says(arriving(protoICMP, 0, 5), passed)
	f.says(arriving(protoICMP, 0, 6), refused)
	f.says(arriving(protoICMP, 8, 5), refused)
	f.says(leaving(protoICMPv6, 128, 5).six(), passed)
	f.says(arriving(protoICMPv6, 129, 5).six(), passed)
	sent := leaving(protoUDP, 999, 53)
	unknown := leaving(protoUDP, 997, 53)
	f.says(arriving(protoICMP, 3, 0).with(func(s *seg) { s.src, s.quote = otherIP, &sent }), passed)
	f.says(arriving(protoICMP, 3, 0).with(func(s *seg) { s.quote = &unknown }), refused)
}

func TestFlowsEnd(t *testing.T) {
	out := Rule{Version: 4, Low: anyPort, High: anyPort}
	f := newFixture(t, out)
	answer := arriving(protoUDP, 53, 999)
	f.says(leaving(protoUDP, 999, 53), passed)
	f.at = f.at.Add(flowUDP)
	f.says(answer, refused)
	f.says(leaving(protoUDP, 999, 53), passed)
	f.says(answer, passed)
	f.at = f.at.Add(flowAnswered - time.Second)
	f.says(answer, passed)
	f.at = f.at.Add(flowAnswered)
	f.says(answer, refused)
	f.says(leaving(protoTCP, 999, 80), passed)
	f.says(arriving(protoTCP, 80, 999).flagged(flagSYN|flagACK), passed)
	f.at = f.at.Add(flowTCP - time.Second)
	f.says(arriving(protoTCP, 80, 999).flagged(flagACK), passed)
	f.says(arriving(protoTCP, 80, 999).flagged(flagRST), passed)
	f.at = f.at.Add(flowReset)
	f.says(arriving(protoTCP, 80, 999).flagged(flagACK), refused)
}

// TestRulesThatGoEndFlows takes away what let a connection in: not even what the server still sends brings it back.
func TestRulesThatGoEndFlows(t *testing.T) {
	out, in := Rule{Version: 4, Low: anyPort, High: anyPort}, Rule{In: true, Version: 4, Protocol: protoTCP, Low: 22, High: 22}
	f := newFixture(t, out, in)
	f.says(arriving(protoTCP, 999, 22), passed)
	f.says(leaving(protoTCP, 22, 999).flagged(flagSYN|flagACK), passed)
	f.set(f.compiled(out, in, Rule{In: true, Version: 4, Protocol: protoUDP, Low: 53, High: 53}))
	f.says(arriving(protoTCP, 999, 22).flagged(flagACK), passed)
	f.set(f.compiled(out))
	f.says(leaving(protoTCP, 22, 999).flagged(flagACK), refused)
	f.says(arriving(protoTCP, 999, 22).flagged(flagACK), refused)
	f.set(f.compiled(out, in))
	f.says(arriving(protoTCP, 999, 22).flagged(flagACK), refused)
	f.says(arriving(protoTCP, 999, 22), passed)
}

func TestStatelessRulesLetNoAnswerBack(t *testing.T) {
	f := newFixture(t, Rule{Version: 4, Low: anyPort, High: anyPort, Stateless: true})
	f.says(leaving(protoUDP, 999, 53), passed)
	f.says(arriving(protoUDP, 53, 999), refused)
	f.says(leaving(protoTCP, 999, 53).flagged(flagACK), passed)
}

func TestSpoofing(t *testing.T) {
	all := []Rule{{Version: 4, Low: anyPort, High: anyPort}, {Version: 6, Low: anyPort, High: anyPort}, {In: true, Version: 4, Low: anyPort, High: anyPort}}
	for _, tt := range []struct {
		name string
		seg  seg
		want verdict
	}{
		{"own", leaving(protoUDP, 1, 2), passed},
		{"another's address", leaving(protoUDP, 1, 2).with(func(s *seg) { s.src = peerIP }), spoofed},
		{"another's MAC", leaving(protoUDP, 1, 2).with(func(s *seg) { s.from = "02:00:00:00:00:99" }), spoofed},
		{"a pair's", leaving(protoUDP, 1, 2).with(func(s *seg) { s.from, s.src = "00:00:5e:00:01:07", "10.0.0.77" }), passed},
		{"a pair's address with our MAC", leaving(protoUDP, 1, 2).with(func(s *seg) { s.src = "10.0.0.77" }), spoofed},
		{"to a pair's MAC", arriving(protoUDP, 1, 2).with(func(s *seg) { s.to, s.dst = "00:00:5e:00:01:07", "10.0.0.77" }), passed},
		{"another's IPv6", leaving(protoUDP, 1, 2).six().with(func(s *seg) { s.src = peerIP6 }), spoofed},
		{"link-local of the MAC", leaving(protoUDP, 1, 2).six().with(func(s *seg) { s.src = "fe80::ff:fe00:a" }), passed},
		{"link-local of another MAC", leaving(protoUDP, 1, 2).six().with(func(s *seg) { s.src = "fe80::ff:fe00:b" }), spoofed},
		{"nobody", leaving(protoUDP, 1, 2).with(func(s *seg) { s.src = dhcpPool }), spoofed},
		{"a DHCP server", leaving(protoUDP, dhcpServer, dhcpClient), spoofed},
		{"a DHCPv6 server", leaving(protoUDP, dhcp6Server, dhcp6Client).six(), spoofed},
		{"a router", leaving(protoICMPv6, routerAdvert, 0).six(), spoofed},
		{"own neighbour advertisement", leaving(protoICMPv6, neighbourAdvert, 0).six(), passed},
		{"later fragment of another's", leaving(protoUDP, 1, 2).with(func(s *seg) { s.src, s.offset = peerIP, 3 }), spoofed},
	} {
		t.Run(tt.name, func(t *testing.T) { newFixture(t, all...).says(tt.seg, tt.want) })
	}
}

// TestAddressIsAlwaysToBeHad tries what a server needs before any rule: with none, it passes.
func TestAddressIsAlwaysToBeHad(t *testing.T) {
	f := newFixture(t)
	f.says(leaving(protoUDP, dhcpClient, dhcpServer).with(func(s *seg) { s.src, s.dst, s.to = dhcpPool, "255.255.255.255", broadcast }), passed)
	f.says(leaving(protoUDP, dhcpClient, dhcpServer), passed)
	f.says(arriving(protoUDP, dhcpServer, dhcpClient).with(func(s *seg) { s.to, s.dst = broadcast, "255.255.255.255" }), passed)
	f.says(leaving(protoUDP, dhcp6Client, dhcp6Server).six().with(func(s *seg) { s.src = "fe80::ff:fe00:a" }), passed)
	f.says(leaving(protoICMPv6, neighbourSolicit, 0).six().with(func(s *seg) { s.src = "::" }), passed)
	f.says(arriving(protoICMPv6, neighbourSolicit, 0).six(), passed)
	f.says(arriving(protoICMPv6, routerAdvert, 0).six(), passed)
	f.says(leaving(protoTCP, 999, 80).with(func(s *seg) { s.dst = "169.254.169.254" }), passed)
	f.says(arriving(protoTCP, 80, 999).with(func(s *seg) { s.src, s.flags = "169.254.169.254", flagSYN|flagACK }), passed)
	f.says(arriving(protoICMP, 8, 1), refused)
}

func arpFrame(t testing.TB, from, sender, ip string) []byte {
	t.Helper()
	b, src, said := mac(t, broadcast), mac(t, from), mac(t, sender)
	f := append(append(append([]byte{}, b[:]...), src[:]...), 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
	f = append(append(f, said[:]...), netip.MustParseAddr(ip).AsSlice()...)
	return append(f, make([]byte, 10)...)
}

func TestARP(t *testing.T) {
	f := newFixture(t)
	for _, tt := range []struct {
		name  string
		frame []byte
		out   bool
		want  verdict
	}{
		{"own", arpFrame(t, ownMAC, ownMAC, ownIP), true, passed},
		{"probe", arpFrame(t, ownMAC, ownMAC, dhcpPool), true, passed},
		{"another's address", arpFrame(t, ownMAC, ownMAC, peerIP), true, spoofed},
		{"another's MAC inside", arpFrame(t, ownMAC, peerMAC, ownIP), true, spoofed},
		{"another's MAC", arpFrame(t, peerMAC, peerMAC, ownIP), true, spoofed},
		{"of others", arpFrame(t, peerMAC, peerMAC, peerIP), false, passed},
		{"cut short", arpFrame(t, ownMAC, ownMAC, ownIP)[:30], true, unread},
		{"neither IP nor ARP", append(arpFrame(t, ownMAC, ownMAC, ownIP)[:12], 0x88, 0xb5, 1, 2, 3), true, unread},
		{"a tag behind the tag", append(arpFrame(t, ownMAC, ownMAC, ownIP)[:12], 0x81, 0, 0, 7, 8, 0), true, unread},
	} {
		if got := f.judge(tt.frame, tt.out); got != tt.want {
			t.Errorf("%s: %s, not %s", tt.name, got, tt.want)
		}
	}
}

func TestFragments(t *testing.T) {
	for name, form := range map[string]func(seg) seg{"IPv4": func(s seg) seg { return s }, "IPv6": seg.six} {
		t.Run(name, func(t *testing.T) {
			part := func(s seg, id, offset uint16, more bool) seg {
				return form(s.with(func(s *seg) { s.id, s.offset, s.more = id, offset, more }))
			}
			ok, bad := arriving(protoUDP, 999, 53), arriving(protoUDP, 999, 54)
			f := newFixture(t, Rule{In: true, Version: 4, Protocol: protoUDP, Low: 53, High: 53}, Rule{In: true, Version: 6, Protocol: protoUDP, Low: 53, High: 53})
			f.says(part(ok, 7, 9, true), refused) // before the first one
			f.says(part(ok, 7, 0, true), passed)
			f.says(part(ok, 7, 9, true), passed)
			f.says(part(ok, 7, 18, false), passed)
			f.says(part(ok, 8, 9, false), refused)
			f.says(part(bad, 9, 0, true), refused)
			f.says(part(bad, 9, 9, false), refused)
			f.says(part(arriving(protoTCP, 999, 53), 7, 1, false), unread)
			f.at = f.at.Add(fragmentTime)
			f.says(part(ok, 7, 27, false), refused)
		})
	}
}

func TestFlowsAreBounded(t *testing.T) {
	f := newFixture(t, Rule{Version: 4, Low: anyPort, High: anyPort})
	kept := leaving(protoTCP, 1, 80)
	f.says(kept, passed)
	f.says(arriving(protoTCP, 80, 1).flagged(flagSYN|flagACK), passed)
	for i := range mostFlows + mostFragments {
		f.judge(leaving(protoUDP, uint16(i), uint16(i>>16)+1).frame(t), true)
		f.judge(leaving(protoUDP, uint16(i), 9).with(func(s *seg) { s.more, s.id = true, uint16(i) }).frame(t), true)
	}
	if f.size() > mostFlows || len(f.parts) > mostFragments {
		t.Errorf("%d flows and %d datagrams", f.size(), len(f.parts))
	}
	f.says(arriving(protoTCP, 80, 1).flagged(flagACK), passed)
}

// TestFilterOfOneVLAN filters one of the two VLANs of a trunk.
func TestFilterOfOneVLAN(t *testing.T) {
	_, p, ears := rig(t, 3)
	set(t, p[0], Config{Access: 10})
	set(t, p[1], Config{Access: 10, Tagged: []int{20}})
	set(t, p[2], Config{Access: 20})
	own := ownFilter()
	if err := p[1].SetFilter(20, &own); err != nil {
		t.Fatal(err)
	}
	in := arriving(protoUDP, 1, 2).with(func(s *seg) { s.to = broadcast }).frame(t)
	p[0].Input(in)
	p[2].Input(in)
	if n := ears[1].heard(); n != 1 {
		t.Errorf("%d frames came in, not that of the other VLAN alone", n)
	}
	p[1].Input(ether.Tag(leaving(protoUDP, 1, 2).with(func(s *seg) { s.src = otherIP }).frame(t), 20))
	p[1].Input(ether.Tag(append(leaving(protoUDP, 1, 2).frame(t)[:12], 0x88, 0xb5), 20))
	if c := p[1].Counters(); ears[2].heard() != 0 || c.Refused != 1 || c.Spoofed != 1 || c.Unread != 1 {
		t.Errorf("%d frames went out; %+v", ears[2].heard(), c)
	}
	if got := p[1].Filters(); len(got) != 1 || got[20].Sum != "1" {
		t.Errorf("%+v", got)
	}
	if err := p[1].SetFilter(20, nil); err != nil {
		t.Fatal(err)
	}
	p[2].Input(in)
	if n := ears[1].heard(); n != 2 {
		t.Errorf("without a filter %d frames were heard, not 2", n)
	}
	for _, bad := range []Filter{{MAC: "x"}, ownFilter(Rule{Version: 5}), ownFilter(Rule{Version: 4, Remotes: prefixes("fd00::/8")})} {
		if err := p[1].SetFilter(20, &bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// FuzzJudge has a filter judge anything: it must neither panic nor let anything out in another's name.
func FuzzJudge(f *testing.F) {
	for _, s := range []seg{leaving(protoTCP, 1, 2), leaving(protoUDP, 1, 2).six(), leaving(protoICMP, 8, 1), arriving(protoICMPv6, neighbourAdvert, 1).six(),
		arriving(protoUDP, 1, 2).with(func(s *seg) { s.more, s.id = true, 7 }).six()} {
		f.Add(s.frame(f))
	}
	f.Add(arpFrame(f, ownMAC, ownMAC, ownIP))
	inner := leaving(protoUDP, 1, 2)
	f.Add(arriving(protoICMP, 3, 0).with(func(s *seg) { s.quote = &inner }).frame(f))
	rules, err := compile(ownFilter(Rule{Version: 4, Low: anyPort, High: anyPort}, Rule{Version: 6, Low: anyPort, High: anyPort}, Rule{In: true, Version: 4, Low: anyPort, High: anyPort}))
	if err != nil {
		f.Fatal(err)
	}
	own := map[string]bool{ownIP: true, dhcpPool: true, ownIP6: true, "::": true, "fe80::ff:fe00:a": true, "fe80::200:5eff:fe00:107": true}
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) < ether.HeaderLen {
			return
		}
		g := newGuard(rules, time.Now)
		g.judge(frame, false)
		if g.judge(frame, true) != passed {
			return
		}
		if rules.own[ether.Src(frame)] == nil {
			t.Fatalf("%x left with another's MAC", frame)
		}
		if p, ok := readPacket(frame[ether.HeaderLen:]); ok && ether.Type(frame) != ether.TypeARP && !own[p.src.String()] && !netip.MustParsePrefix("10.0.0.64/26").Contains(p.src) {
			t.Fatalf("%x left with the address %s", frame, p.src)
		}
	})
}
