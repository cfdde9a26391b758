package vswitch

import (
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/ether"
)

// Filter says what may pass at a port in a VLAN: what its rules allow, the answers to that, and what a server needs to have an
// address. What is neither IP nor ARP does not pass.
type Filter struct {
	Sum       string    `json:"sum"` // by which whoever set it knows it
	MAC       string    `json:"mac"`
	Addresses []Address `json:"addresses,omitempty"` // that the server may send from
	Rules     []Rule    `json:"rules,omitempty"`
}

// Address is a range of addresses with the MAC that they may be used with.
type Address struct {
	MAC    string       `json:"mac"`
	Prefix netip.Prefix `json:"prefix"`
}

// Rule allows something, and the answers to it unless it is stateless.
type Rule struct {
	In        bool           `json:"in,omitempty"`       // into the server; otherwise out of it
	Version   int            `json:"version"`            // 4 or 6
	Protocol  int            `json:"protocol,omitempty"` // 0: any
	Low       int            `json:"low"`                // first port of the destination, or ICMP's type; -1: any
	High      int            `json:"high"`               // last port, or ICMP's code; -1: any
	Remotes   []netip.Prefix `json:"remotes,omitempty"`  // the other side; any when there are none
	Stateless bool           `json:"stateless,omitempty"`
}

// metadata is the address at which a cloud tells a server about itself, by HTTP.
var metadata = Rule{Version: 4, Protocol: protoTCP, Low: 80, High: 80, Remotes: []netip.Prefix{netip.MustParsePrefix("169.254.169.254/32")}}

// ruleset is a filter in a form that is quick to ask.
type ruleset struct {
	filter  Filter
	own     map[ether.MAC][]netip.Prefix
	in, out []rule
}

// rule is a Rule with its remotes: single addresses, of which there may be hundreds, and ranges.
type rule struct {
	Rule
	single map[netip.Addr]bool
	ranges []netip.Prefix
}

// compile checks a filter.
func compile(f Filter) (*ruleset, error) {
	s := &ruleset{filter: f, own: map[ether.MAC][]netip.Prefix{}}
	mac, err := readMAC(f.MAC)
	if err != nil {
		return nil, err
	}
	s.own[mac] = append(s.own[mac], linkLocal(mac))
	for _, a := range f.Addresses {
		mac, err := readMAC(a.MAC)
		if err != nil {
			return nil, err
		}
		if !a.Prefix.IsValid() {
			return nil, fault.Field("addresses", "%q is no range of addresses", a.Prefix)
		}
		if s.own[mac] == nil {
			s.own[mac] = append(s.own[mac], linkLocal(mac))
		}
		s.own[mac] = append(s.own[mac], a.Prefix.Masked())
	}
	for _, r := range append(slices.Clone(f.Rules), metadata) {
		one, err := compileRule(r)
		if err != nil {
			return nil, err
		}
		if r.In {
			s.in = append(s.in, one)
		} else {
			s.out = append(s.out, one)
		}
	}
	return s, nil
}

func compileRule(r Rule) (rule, error) {
	one := rule{Rule: r, single: map[netip.Addr]bool{}}
	const highest = 65535
	if r.Version != 4 && r.Version != 6 || r.Protocol < 0 || r.Protocol > 255 || r.Low < -1 || r.High < -1 || r.Low > highest || r.High > highest {
		return one, fault.Field("rules", "IPv%d, protocol %d, %d to %d is no rule", r.Version, r.Protocol, r.Low, r.High)
	}
	for _, p := range r.Remotes {
		switch {
		case !p.IsValid() || p.Addr().Is4() != (r.Version == 4):
			return one, fault.Field("rules", "%s is no prefix of IPv%d", p, r.Version)
		case p.IsSingleIP():
			one.single[p.Addr()] = true
		default:
			one.ranges = append(one.ranges, p.Masked())
		}
	}
	return one, nil
}

func readMAC(text string) (ether.MAC, error) {
	hw, err := net.ParseMAC(text)
	if err != nil || len(hw) != 6 {
		return ether.MAC{}, fault.Field("mac", "%q is no MAC address", text)
	}
	return ether.MAC(hw), nil
}

// linkLocal is the address that a station makes of its MAC (RFC 4291, appendix A).
func linkLocal(m ether.MAC) netip.Prefix {
	a := [16]byte{0: 0xfe, 1: 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5]}
	return netip.PrefixFrom(netip.AddrFrom16(a), 128)
}

// may reports whether a station may send from an address.
func (s *ruleset) may(m ether.MAC, a netip.Addr) bool {
	return slices.ContainsFunc(s.own[m], func(p netip.Prefix) bool { return p.Contains(a) })
}

// head is what rules look at.
type head struct {
	version    int
	proto      uint8
	remote     netip.Addr
	port       uint16 // of the destination
	kind, code uint8
}

// allows reports whether rules let a packet through: one that lets answers come back, and one that looks at nothing else.
func (s *ruleset) allows(out bool, h head) (stateful, stateless bool) {
	rules := s.in
	if out {
		rules = s.out
	}
	for i := range rules {
		if r := &rules[i]; r.matches(h) {
			stateful, stateless = stateful || !r.Stateless, stateless || r.Stateless
		}
	}
	return stateful, stateless
}

func (r *rule) matches(h head) bool {
	if r.Version != h.version || r.Protocol != 0 && r.Protocol != int(h.proto) {
		return false
	}
	if h.proto == protoICMP || h.proto == protoICMPv6 {
		if r.Low >= 0 && r.Low != int(h.kind) || r.High >= 0 && r.High != int(h.code) {
			return false
		}
	} else if r.Low >= 0 && int(h.port) < r.Low || r.High >= 0 && int(h.port) > r.High {
		return false
	}
	if len(r.Remotes) == 0 || r.single[h.remote] {
		return true
	}
	return slices.ContainsFunc(r.ranges, func(p netip.Prefix) bool { return p.Contains(h.remote) })
}

// verdict is what a filter says of a frame.
type verdict int

const (
	passed  verdict = iota
	refused         // nothing allows it
	spoofed         // the server sends in the name of another one
	unread          // it can not be judged
)

// String returns the verdict's word.
func (v verdict) String() string {
	if v < passed || v > unread {
		return strconv.Itoa(int(v))
	}
	return []string{"passed", "refused", "spoofed", "unread"}[v]
}

// Ports of DHCP and DHCPv6 (RFC 2131, RFC 8415).
const (
	dhcpServer, dhcpClient   = 67, 68
	dhcp6Client, dhcp6Server = 546, 547
)

// Types of ICMPv6 by which neighbours and groups are found (RFC 4861, RFC 2710, RFC 3810).
const (
	mldQuery, mldReport, mldDone = 130, 131, 132
	routerSolicit, routerAdvert  = 133, 134
	neighbourSolicit             = 135
	neighbourAdvert, mld2Report  = 136, 143
)

// leaves judges what has to do with having an address in a packet that leaves the server; the rules judge what is left.
func (s *ruleset) leaves(mac ether.MAC, p *packet) (v verdict, settled bool) {
	nobody := p.src.IsUnspecified()
	if !nobody && !s.may(mac, p.src) {
		return spoofed, true
	}
	switch {
	case p.later:
	case p.proto == protoUDP && p.version() == 4 && p.sport == dhcpClient && p.dport == dhcpServer,
		p.proto == protoUDP && p.version() == 6 && p.sport == dhcp6Client && p.dport == dhcp6Server:
		return passed, true
	case p.proto == protoUDP && p.version() == 4 && p.sport == dhcpServer && p.dport == dhcpClient,
		p.proto == protoUDP && p.version() == 6 && p.sport == dhcp6Server && p.dport == dhcp6Client:
		return spoofed, true
	case p.proto == protoICMPv6 && p.version() == 6:
		switch p.kind {
		case mldReport, mldDone, mld2Report, routerSolicit, neighbourSolicit:
			return passed, true
		case routerAdvert:
			return spoofed, true
		}
	}
	if nobody {
		return spoofed, true
	}
	return refused, false
}

// arrives does the same for a packet that comes to the server.
func (s *ruleset) arrives(p *packet) (v verdict, settled bool) {
	switch {
	case p.later:
	case p.proto == protoUDP && p.version() == 4 && p.sport == dhcpServer && p.dport == dhcpClient,
		p.proto == protoUDP && p.version() == 6 && p.sport == dhcp6Server && p.dport == dhcp6Client:
		return passed, true
	case p.proto == protoICMPv6 && p.version() == 6:
		switch p.kind {
		case mldQuery, routerAdvert, neighbourSolicit, neighbourAdvert:
			return passed, true
		}
	}
	return refused, false
}

// advertises reports whether a neighbour advertisement is of an address of the server's.
func (s *ruleset) advertises(mac ether.MAC, body []byte) bool {
	const target, end = 48, 64 // behind the header of IPv6 and eight bytes of ICMP's (RFC 4861, 4.4)
	return len(body) >= end && body[6] == protoICMPv6 && s.may(mac, netip.AddrFrom16([16]byte(body[target:end])))
}

// arp judges ARP: what comes may come, and what leaves says the truth about its sender.
func (s *ruleset) arp(mac ether.MAC, body []byte, out bool) verdict {
	a, ok := readARP(body)
	switch {
	case !ok:
		return unread
	case out && (a.mac != mac || !a.sender.IsUnspecified() && !s.may(mac, a.sender)):
		return spoofed
	}
	return passed
}
