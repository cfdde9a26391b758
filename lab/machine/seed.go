package machine

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net"
)

// Seed makes up identities that are the same in every run with the same number.
type Seed uint64

// draw returns 32 bytes that depend on the seed and the name of what they are for.
func (s Seed) draw(what string) [32]byte {
	head := binary.BigEndian.AppendUint64(nil, uint64(s))
	return sha256.Sum256(append(head, what...))
}

// MAC returns a locally administered unicast address.
func (s Seed) MAC(what string) net.HardwareAddr {
	b := s.draw("mac " + what)
	mac := net.HardwareAddr(b[:6])
	mac[0] = mac[0]&0xfc | 0x02
	return mac
}

// UUID returns a UUID of the random kind, lower case.
func (s Seed) UUID(what string) string {
	b := s.draw("uuid " + what)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// Serial returns a serial number of the prefix and eight letters and digits.
func (s Seed) Serial(prefix, what string) string { return prefix + s.text("serial "+what, 8) }

// Password returns a password of 16 letters and digits: as much as every IPMI 1.5 and 2.0 client can send.
func (s Seed) Password(what string) string { return s.text("password "+what, 16) }

func (s Seed) text(what string, n int) string {
	b := s.draw(what)
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:])[:n]
}
