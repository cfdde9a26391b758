package trunk

import "encoding/binary"

// What the header before a frame says. Source: VIRTIO 1.2, section 5.1.6; the kernel's packet sockets use it in the host's byte order.
const (
	needsSum  = 1    // flags: the check sum from start on is to be put at start+offset, where the sum of the pseudo header lies
	plain     = 0    // kinds: one packet
	tcp4      = 1    // several TCP segments as one
	congested = 0x80 // added to a kind
)

// finish makes a frame what the wire would have carried: senders on this host, and NICs that put several segments together, leave the check sum of TCP and
// UDP half done. Several segments as one are one long segment to our stack. It reports whether the frame can be used.
func finish(frame, head []byte) bool {
	flags, kind := head[0], head[1]&^congested
	if kind != plain && kind != tcp4 {
		return false
	}
	if flags&needsSum == 0 {
		return true
	}
	start := int(binary.NativeEndian.Uint16(head[6:]))
	at := start + int(binary.NativeEndian.Uint16(head[8:]))
	if at+2 > len(frame) {
		return false
	}
	binary.BigEndian.PutUint16(frame[at:], sum(frame[start:]))
	return true
}

// sum is the Internet check sum (RFC 1071); 0, which UDP has for none, is written the other way.
func sum(b []byte) uint16 {
	var total uint64
	for ; len(b) >= 2; b = b[2:] {
		total += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		total += uint64(b[0]) << 8
	}
	for total>>16 != 0 {
		total = total&0xffff + total>>16
	}
	if total == 0xffff {
		return 0xffff
	}
	return ^uint16(total)
}
