package vswitch

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/hagane-cloud/hagane/lab/ether"
)

// seg is a segment of a test's packet, and where its frame goes.
type seg struct {
	from, to, src, dst string // MACs; addresses
	proto              uint8
	sport, dport       uint16 // of ICMP: type and identifier
	flags              uint8
	more               bool
	offset, id         uint16
	quote              *seg
}

func mac(t testing.TB, text string) ether.MAC {
	t.Helper()
	m, err := readMAC(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// l4 is what the IP packet of a segment carries.
func (s seg) l4() []byte {
	b := make([]byte, 24)
	switch s.proto {
	case protoICMP, protoICMPv6:
		b[0] = uint8(s.sport)
		binary.BigEndian.PutUint16(b[4:], s.dport)
		if s.quote != nil {
			b = append(b[:8], s.quote.ip()...)
		}
		if s.proto == protoICMPv6 && b[0] == neighbourAdvert {
			copy(b[8:], netip.MustParseAddr(s.src).AsSlice())
		}
	default:
		binary.BigEndian.PutUint16(b, s.sport)
		binary.BigEndian.PutUint16(b[2:], s.dport)
		b[12], b[13] = 5<<4, s.flags
	}
	return b
}

func (s seg) ip() []byte {
	body := s.l4()
	src, dst := netip.MustParseAddr(s.src), netip.MustParseAddr(s.dst)
	if src.Is6() {
		h := make([]byte, 40, 40+8+len(body))
		h[0], h[6], h[7] = 6<<4, s.proto, 64
		copy(h[8:], src.AsSlice())
		copy(h[24:], dst.AsSlice())
		if s.more || s.offset > 0 {
			part := make([]byte, 8)
			part[0] = s.proto
			binary.BigEndian.PutUint16(part[2:], s.offset<<3)
			if s.more {
				part[3] |= 1
			}
			binary.BigEndian.PutUint32(part[4:], uint32(s.id))
			h[6], body = protoFragment, append(part, body...)
		}
		binary.BigEndian.PutUint16(h[4:], uint16(len(body)))
		return append(h, body...)
	}
	h := make([]byte, 20, 20+len(body))
	h[0], h[8], h[9] = 4<<4|5, 64, s.proto
	binary.BigEndian.PutUint16(h[2:], uint16(20+len(body)))
	binary.BigEndian.PutUint16(h[4:], s.id)
	binary.BigEndian.PutUint16(h[6:], s.offset)
	if s.more {
		h[6] |= 0x20
	}
	copy(h[12:], src.AsSlice())
	copy(h[16:], dst.AsSlice())
	return append(h, body...)
}

func (s seg) frame(t testing.TB) []byte {
	t.Helper()
	to, from := mac(t, s.to), mac(t, s.from)
	f := append(append(make([]byte, 0, 128), to[:]...), from[:]...)
	kind := uint16(ether.TypeIPv4)
	if netip.MustParseAddr(s.src).Is6() {
		kind = typeIPv6
	}
	return append(binary.BigEndian.AppendUint16(f, kind), s.ip()...)
}

// leaving is a segment from the server to its peer, and arriving the other way.
func leaving(proto uint8, sport, dport uint16) seg {
	return seg{from: ownMAC, to: peerMAC, src: ownIP, dst: peerIP, proto: proto, sport: sport, dport: dport, flags: flagSYN}
}

func arriving(proto uint8, sport, dport uint16) seg {
	return seg{from: peerMAC, to: ownMAC, src: peerIP, dst: ownIP, proto: proto, sport: sport, dport: dport, flags: flagSYN}
}

func (s seg) with(change func(s *seg)) seg {
	change(&s)
	return s
}

func (s seg) six() seg {
	six := map[string]string{ownIP: ownIP6, peerIP: peerIP6}
	s.src, s.dst = six[s.src], six[s.dst]
	return s
}

func (s seg) flagged(f uint8) seg { s.flags = f; return s }
