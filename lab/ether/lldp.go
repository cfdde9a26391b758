package ether

import "encoding/binary"

// Neighbour is what a station says of itself by LLDP (IEEE 802.1AB).
type Neighbour struct {
	Chassis string // chassis id
	Port    string // port id
	System  string // system name
}

// lldpMulticast is the nearest-bridge address: a frame to it never crosses a switch.
var lldpMulticast = MAC{0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e}

// The TLV types of LLDP and the subtypes for names.
const (
	tlvEnd, tlvChassis, tlvPort, tlvTTL, tlvSystemName = 0, 1, 2, 3, 5
	chassisLocal, portInterfaceName                    = 7, 5
	neighbourSeconds                                   = 120
)

// LLDP returns the frame by which a station with the address src announces itself.
func LLDP(src MAC, n Neighbour) []byte {
	frame := make([]byte, 0, 128)
	frame = append(frame, lldpMulticast[:]...)
	frame = append(frame, src[:]...)
	frame = binary.BigEndian.AppendUint16(frame, TypeLLDP)
	frame = appendTLV(frame, tlvChassis, append([]byte{chassisLocal}, n.Chassis...))
	frame = appendTLV(frame, tlvPort, append([]byte{portInterfaceName}, n.Port...))
	frame = appendTLV(frame, tlvTTL, []byte{0, neighbourSeconds})
	frame = appendTLV(frame, tlvSystemName, []byte(n.System))
	frame = appendTLV(frame, tlvEnd, nil)
	for len(frame) < 60 { // the shortest frame that Ethernet allows
		frame = append(frame, 0)
	}
	return frame
}

func appendTLV(frame []byte, kind int, value []byte) []byte {
	frame = binary.BigEndian.AppendUint16(frame, uint16(kind<<9|len(value)))
	return append(frame, value...)
}

// ParseLLDP reads an LLDP frame; ok is false when it is none or is cut short.
func ParseLLDP(frame []byte) (n Neighbour, ok bool) {
	if len(frame) < HeaderLen || Type(frame) != TypeLLDP {
		return n, false
	}
	rest := frame[HeaderLen:]
	for len(rest) >= 2 {
		head := binary.BigEndian.Uint16(rest)
		kind, size := int(head>>9), int(head&0x1ff)
		if kind == tlvEnd {
			return n, n.Chassis != "" && n.Port != ""
		}
		if len(rest) < 2+size {
			return n, false
		}
		value := rest[2 : 2+size]
		rest = rest[2+size:]
		switch {
		case kind == tlvChassis && size > 1:
			n.Chassis = string(value[1:])
		case kind == tlvPort && size > 1:
			n.Port = string(value[1:])
		case kind == tlvSystemName:
			n.System = string(value)
		}
	}
	return n, false
}
