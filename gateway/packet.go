package gateway

import (
	"encoding/binary"
	"net/netip"
)

// Protocols above IPv4 that are looked into.
const (
	protoICMP = 1
	protoTCP  = 6
	protoUDP  = 17
)

// Sizes, and where things are. Sources: RFC 791, RFC 792, RFC 768, RFC 9293.
const (
	headLen           = 20 // of IPv4 without options
	srcAt, dstAt      = 12, 16
	srcPort, dstPort  = headLen, headLen + 2
	icmpHead          = 8
	echo, echoAnswer  = 8, 0
	identAt           = headLen + 4
	tcpFlags          = headLen + 13
	fin, reset        = 1, 4
	moreAt, moreFlags = 6, 0x3fff // more fragments, and the offset of this one
)

// packet is an IPv4 packet without options, in its frame.
type packet []byte

// parse returns the packet in a frame's payload. Options, which nobody needs and by which senders would choose their way, are refused.
func parse(b []byte) (packet, bool) {
	if len(b) < headLen || b[0] != 0x45 {
		return nil, false
	}
	size := int(binary.BigEndian.Uint16(b[2:]))
	if size < headLen || size > len(b) {
		return nil, false
	}
	return packet(b[:size]), true
}

func (p packet) addr(at int) netip.Addr { return netip.AddrFrom4([4]byte(p[at : at+4])) }
func (p packet) proto() byte            { return p[9] }

// whole reports whether it is no fragment; begins, whether it is one with the header of what it carries.
func (p packet) whole() bool { return binary.BigEndian.Uint16(p[moreAt:])&moreFlags == 0 }
func (p packet) begins() bool {
	return binary.BigEndian.Uint16(p[moreAt:])&0x1fff == 0
}

// is reports whether it is an ICMP message of a type.
func (p packet) is(kind byte) bool {
	return p.proto() == protoICMP && p.whole() && len(p) >= headLen+icmpHead && p[headLen] == kind
}

// complains reports whether it is an ICMP message about a packet: unreachable, too long, expired or not understood.
func (p packet) complains() bool { return p.is(3) || p.is(11) || p.is(12) }

// about is the packet that an ICMP message is about, of which only the first bytes need be there.
func (p packet) about() (packet, bool) {
	inner := p[headLen+icmpHead:]
	if len(inner) < headLen+icmpHead || inner[0] != 0x45 {
		return nil, false
	}
	return inner, inner.begins()
}

// end is one end of a flow. For ICMP the port is the ident, at the end that asked.
type end struct {
	addr netip.Addr
	port uint16
}

// flowKey is a flow as it is seen on one side of the router: here is our end of it.
type flowKey struct {
	proto       byte
	here, there end
}

// key returns the flow of a packet; outward is that it goes from here to there. ok is false for what has no ports.
func (p packet) key(outward bool) (k flowKey, ok bool) {
	k.proto = p.proto()
	src, dst := end{addr: p.addr(srcAt)}, end{addr: p.addr(dstAt)}
	switch k.proto {
	case protoTCP, protoUDP:
		if len(p) < dstPort+2 {
			return k, false
		}
		src.port, dst.port = binary.BigEndian.Uint16(p[srcPort:]), binary.BigEndian.Uint16(p[dstPort:])
	case protoICMP:
		if len(p) < headLen+icmpHead || p[headLen] != echo && p[headLen] != echoAnswer {
			return k, false
		}
		ident := binary.BigEndian.Uint16(p[identAt:])
		if outward {
			src.port = ident
		} else {
			dst.port = ident
		}
	default:
		return k, false
	}
	if k.here, k.there = src, dst; !outward {
		k.here, k.there = dst, src
	}
	return k, true
}

// readdress changes an address, and the check sums that cover it. Packets that an ICMP message is about are cut short, so what
// they carry is left alone where it is not there.
func (p packet) readdress(at int, a netip.Addr) {
	now := a.As4()
	if p.begins() {
		if sum := p.carriedSum(); sum != nil && p.proto() != protoICMP {
			adjust(sum, p[at:at+4], now[:], p.proto() == protoUDP)
		}
	}
	adjust(p[10:12], p[at:at+4], now[:], false)
	copy(p[at:], now[:])
}

// report changes a port, or the ident of an ICMP message.
func (p packet) report(at int, port uint16) {
	if p.proto() == protoICMP {
		at = identAt
	}
	now := binary.BigEndian.AppendUint16(nil, port)
	if sum := p.carriedSum(); sum != nil {
		adjust(sum, p[at:at+2], now, p.proto() == protoUDP)
	}
	copy(p[at:], now)
}

// carriedSum is the check sum of what the packet carries; nil when there is none, or it is not there.
func (p packet) carriedSum() []byte {
	var at int
	switch p.proto() {
	case protoTCP:
		at = headLen + 16
	case protoUDP:
		at = headLen + 6
	case protoICMP:
		at = headLen + 2
	default:
		return nil
	}
	if len(p) < at+2 || p.proto() == protoUDP && p[at] == 0 && p[at+1] == 0 {
		return nil
	}
	return p[at : at+2]
}

// resum computes the check sum of an ICMP message anew.
func (p packet) resum() {
	body := p[headLen:]
	body[2], body[3] = 0, 0
	var total uint32
	for i := 0; i+1 < len(body); i += 2 {
		total += uint32(binary.BigEndian.Uint16(body[i:]))
	}
	if len(body)%2 == 1 {
		total += uint32(body[len(body)-1]) << 8
	}
	binary.BigEndian.PutUint16(body[2:], ^fold(total))
}

// adjust makes a check sum that of changed bytes (RFC 1624). Where 0 means that there is none, as in UDP, it is written the other way.
func adjust(sum, was, now []byte, noZero bool) {
	total := uint32(^binary.BigEndian.Uint16(sum))
	for i := 0; i < len(was); i += 2 {
		total += uint32(^binary.BigEndian.Uint16(was[i:])) + uint32(binary.BigEndian.Uint16(now[i:]))
	}
	out := ^fold(total)
	if out == 0 && noZero {
		out = 0xffff
	}
	binary.BigEndian.PutUint16(sum, out)
}

func fold(total uint32) uint16 {
	for total>>16 != 0 {
		total = total&0xffff + total>>16
	}
	return uint16(total)
}
