// Package ether handles Ethernet frames inside one machine: it reads the few header fields that a
// switch needs, carries frames over byte streams in the framing of QEMU's socket back ends (a
// big-endian length of four bytes, then the frame), and queues them for a slow receiver. The lab's
// switch, its user-space hosts and its machines all speak through it.
//
// A frame is a []byte without preamble and check sum. Once it was handed on it is never changed
// again, so that one buffer can be on its way to many receivers at once.
package ether

import "encoding/binary"

// Sizes in bytes.
const (
	HeaderLen = 14    // destination, source, type
	TagLen    = 4     // of an IEEE 802.1Q tag
	MaxFrame  = 65550 // the largest frame that is carried; QEMU accepts up to 68 KiB
)

// The types of Ethernet that the lab knows.
const (
	TypeIPv4 = 0x0800
	TypeARP  = 0x0806
	TypeVLAN = 0x8100
	TypeLLDP = 0x88cc
)

// MAC is a hardware address as a comparable value.
type MAC [6]byte

// Multicast reports whether m addresses more than one receiver; the broadcast address does.
func (m MAC) Multicast() bool { return m[0]&1 == 1 }

// LinkLocal reports whether m is one of the sixteen addresses that no bridge forwards
// (IEEE 802.1Q, table 8-1).
func (m MAC) LinkLocal() bool {
	return m[0] == 0x01 && m[1] == 0x80 && m[2] == 0xc2 && m[3] == 0 && m[4] == 0 && m[5] <= 0x0f
}

// Dst returns the destination of a frame of at least HeaderLen bytes.
func Dst(frame []byte) MAC { return MAC(frame[0:6]) }

// Src returns the source of a frame of at least HeaderLen bytes.
func Src(frame []byte) MAC { return MAC(frame[6:12]) }

// Type returns the type field of a frame of at least HeaderLen bytes.
func Type(frame []byte) uint16 { return binary.BigEndian.Uint16(frame[12:14]) }

// VLAN returns the VLAN of a tagged frame; ok is false when the frame carries no tag. A priority tag
// (VLAN 0) counts as a tag.
func VLAN(frame []byte) (vlan int, ok bool) {
	if len(frame) < HeaderLen+TagLen || Type(frame) != TypeVLAN {
		return 0, false
	}
	return int(binary.BigEndian.Uint16(frame[14:16]) & 0x0fff), true
}

// Tag returns a copy of an untagged frame with the tag of vlan.
func Tag(frame []byte, vlan int) []byte {
	out := make([]byte, len(frame)+TagLen)
	copy(out, frame[:12])
	binary.BigEndian.PutUint16(out[12:], TypeVLAN)
	binary.BigEndian.PutUint16(out[14:], uint16(vlan&0x0fff))
	copy(out[16:], frame[12:])
	return out
}

// Untag returns a copy of a tagged frame without its tag.
func Untag(frame []byte) []byte {
	out := make([]byte, len(frame)-TagLen)
	copy(out, frame[:12])
	copy(out[12:], frame[16:])
	return out
}

// Sink takes frames. Deliver does not block for long: a receiver that can not keep up loses frames,
// as on a real wire. It reports whether the frame was taken. The receiver must not change the frame.
type Sink interface {
	Deliver(frame []byte) bool
}
