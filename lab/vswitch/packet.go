package vswitch

import (
	"encoding/binary"
	"net/netip"

	"github.com/hagane-cloud/hagane/lab/ether"
)

const typeIPv6 = 0x86dd // IEEE 802 numbers

// Protocols of IP that a filter knows more of than their number (IANA, Protocol Numbers).
const (
	protoHop      = 0
	protoICMP     = 1
	protoTCP      = 6
	protoUDP      = 17
	protoDCCP     = 33
	protoRouting  = 43
	protoFragment = 44
	protoICMPv6   = 58
	protoOptions  = 60
	protoSCTP     = 132
	protoUDPLite  = 136
)

// Flags of TCP (RFC 9293, 3.1).
const (
	flagFIN = 1 << iota
	flagSYN
	flagRST
	_
	flagACK
)

// packet is what a filter reads of an IP packet.
type packet struct {
	src, dst     netip.Addr
	proto        uint8
	sport, dport uint16 // of a query of ICMP and its answer both are the identifier
	flags        uint8  // of TCP
	kind, code   uint8  // of ICMP
	id           uint32 // of the datagram that a fragment is part of
	more, later  bool   // a fragment: others follow; it is not the first one, and has no ports
	quoted       []byte // of an error of ICMP: the beginning of the packet that it is about
}

func (p *packet) version() int {
	if p.src.Is4() {
		return 4
	}
	return 6
}

// readPacket reads an IP packet; ok is false for what is cut short, or is none that a filter could judge.
func readPacket(b []byte) (p packet, ok bool) {
	if len(b) < 1 {
		return p, false
	}
	var rest []byte
	switch b[0] >> 4 {
	case 4:
		rest, ok = p.readIPv4(b)
	case 6:
		rest, ok = p.readIPv6(b)
	}
	if !ok || p.later {
		return p, ok
	}
	return p, p.readPorts(rest)
}

// readIPv4 reads a header (RFC 791) and returns what it carries.
func (p *packet) readIPv4(b []byte) (rest []byte, ok bool) {
	const least = 20
	if len(b) < least {
		return nil, false
	}
	head, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if head < least || total < head || len(b) < head {
		return nil, false
	}
	fragment := binary.BigEndian.Uint16(b[6:])
	offset := fragment & 0x1fff
	p.more, p.later, p.id = fragment&0x2000 != 0, offset > 0, uint32(binary.BigEndian.Uint16(b[4:]))
	p.proto = b[9]
	p.src, p.dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	if offset == 1 && p.proto == protoTCP {
		return nil, false // it would overwrite TCP's flags, which were judged already (RFC 3128)
	}
	return b[head:min(total, len(b))], true
}

// mostHeaders bounds the extension headers of an IPv6 packet.
const mostHeaders = 8

// readIPv6 reads a header and its extensions (RFC 8200) and returns what they carry.
func (p *packet) readIPv6(b []byte) (rest []byte, ok bool) {
	const head, unit = 40, 8
	if len(b) < head {
		return nil, false
	}
	p.src, p.dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	p.proto = b[6]
	rest = b[head:min(len(b), head+int(binary.BigEndian.Uint16(b[4:])))]
	for range mostHeaders {
		switch p.proto {
		case protoHop, protoRouting, protoOptions:
			if len(rest) < unit {
				return nil, false
			}
			size := (int(rest[1]) + 1) * unit
			if len(rest) < size {
				return nil, false
			}
			p.proto, rest = rest[0], rest[size:]
		case protoFragment:
			if len(rest) < unit || p.more || p.later {
				return nil, false
			}
			fragment := binary.BigEndian.Uint16(rest[2:])
			p.more, p.later, p.id = fragment&1 != 0, fragment>>3 > 0, binary.BigEndian.Uint32(rest[4:])
			p.proto, rest = rest[0], rest[unit:]
			if fragment>>3 == 1 && p.proto == protoTCP {
				return nil, false
			}
			if p.later {
				return nil, true
			}
		default:
			return rest, true
		}
	}
	return nil, false
}

// ported reports whether a protocol begins with the ports of the source and of the destination.
func ported(proto uint8) bool {
	switch proto {
	case protoTCP, protoUDP, protoUDPLite, protoSCTP, protoDCCP:
		return true
	}
	return false
}

func (p *packet) readPorts(b []byte) bool {
	const tcpHead, icmpHead, portsLen = 20, 8, 4
	switch {
	case ported(p.proto):
		if len(b) < portsLen || p.proto == protoTCP && len(b) < tcpHead {
			return false
		}
		p.sport, p.dport = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		if p.proto == protoTCP {
			p.flags = b[13]
		}
	case p.proto == protoICMP && p.src.Is4(), p.proto == protoICMPv6 && p.src.Is6():
		if len(b) < icmpHead {
			return false
		}
		p.kind, p.code = b[0], b[1]
		switch {
		case p.query(), p.reply():
			p.sport = binary.BigEndian.Uint16(b[4:])
			p.dport = p.sport
		case p.complains():
			p.quoted = b[icmpHead:]
		}
	}
	return true
}

// query reports whether the packet asks for an answer by ICMP (RFC 792, RFC 4443).
func (p *packet) query() bool {
	const echo, timestamp, echo6 = 8, 13, 128
	return p.exchanges(echo, timestamp, echo6)
}

// reply reports whether the packet is such an answer.
func (p *packet) reply() bool {
	const echo, timestamp, echo6 = 0, 14, 129
	return p.exchanges(echo, timestamp, echo6)
}

// exchanges reports whether the packet is of ICMP's types for echoes and timestamps, or of ICMPv6's for echoes.
func (p *packet) exchanges(echo, timestamp, echo6 uint8) bool {
	switch p.proto {
	case protoICMP:
		return p.kind == echo || p.kind == timestamp
	case protoICMPv6:
		return p.kind == echo6
	}
	return false
}

// complains reports whether the packet says that another one could not arrive. Redirects are none of those.
func (p *packet) complains() bool {
	const unreachable, quench, exceeded, parameter, last6 = 3, 4, 11, 12, 4
	switch p.proto {
	case protoICMP:
		return p.kind == unreachable || p.kind == quench || p.kind == exceeded || p.kind == parameter
	case protoICMPv6:
		return p.kind >= 1 && p.kind <= last6
	}
	return false
}

// readQuoted reads the packet that an error is about, of which there may be no more than its ports.
func readQuoted(b []byte) (p packet, ok bool) {
	if len(b) < 1 {
		return p, false
	}
	var rest []byte
	switch b[0] >> 4 {
	case 4:
		rest, ok = p.readIPv4(b)
	case 6:
		rest, ok = p.readIPv6(b)
	}
	if !ok || p.later || len(rest) < 8 {
		return p, false
	}
	if ported(p.proto) {
		p.sport, p.dport = binary.BigEndian.Uint16(rest), binary.BigEndian.Uint16(rest[2:])
		return p, true
	}
	return p, p.readPorts(rest)
}

// arp is what a filter reads of ARP between Ethernet and IPv4 (RFC 826).
type arp struct {
	mac    ether.MAC  // of the sender
	sender netip.Addr // 0.0.0.0 when it asks whether an address is free (RFC 5227)
}

func readARP(b []byte) (a arp, ok bool) {
	const size = 28
	if len(b) < size || binary.BigEndian.Uint16(b) != 1 || binary.BigEndian.Uint16(b[2:]) != ether.TypeIPv4 || b[4] != 6 || b[5] != 4 {
		return a, false
	}
	return arp{mac: ether.MAC(b[8:14]), sender: netip.AddrFrom4([4]byte(b[14:18]))}, true
}
