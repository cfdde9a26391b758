// Package lldp hears which switch port a NIC is plugged into: it listens for the Link Layer
// Discovery Protocol (IEEE 802.1AB) and decodes its frames. Only the real machine's inspection
// (package agent/host) uses it.
package lldp

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/mdlayher/packet"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

// etherType is LLDP's.
const etherType = 0x88cc

// The types of the fields (TLVs) that matter here, IEEE 802.1AB chapter 8.
const (
	endOfFrame = 0
	chassisID  = 1
	portID     = 2
	systemName = 5
)

// Listen waits for one frame on a network interface that is up, until ctx ends. It returns an Unavailable
// fault when none came.
func Listen(ctx context.Context, name string) (*protocol.LLDP, error) {
	device, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fault.E(fault.Unavailable, "looking for the network interface "+name, err)
	}
	conn, err := packet.Listen(device, packet.Raw, etherType, nil)
	if err != nil {
		return nil, fault.E(fault.Unavailable, "listening on "+name, err)
	}
	defer func() { _ = conn.Close() }() // nothing is written
	// The frames go to multicast addresses of which each bridge type has its own.
	if err := conn.SetPromiscuous(true); err != nil {
		return nil, fault.E(fault.Unavailable, "listening on "+name, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buffer := make([]byte, 9216)
	for {
		n, _, err := conn.ReadFrom(buffer)
		if err != nil {
			return nil, fault.E(fault.Unavailable, "no neighbour spoke on "+name, err)
		}
		if heard, err := Decode(buffer[:n]); err == nil {
			return heard, nil
		}
	}
}

// Decode reads an Ethernet frame with LLDP in it. Its errors are Invalid faults.
func Decode(frame []byte) (*protocol.LLDP, error) {
	if len(frame) < 14 || binary.BigEndian.Uint16(frame[12:]) != etherType {
		return nil, fault.Errorf(fault.Invalid, "not an LLDP frame")
	}
	heard := &protocol.LLDP{}
	for b := frame[14:]; len(b) >= 2; {
		head := binary.BigEndian.Uint16(b)
		kind, length := int(head>>9), int(head&0x1ff)
		if len(b) < 2+length {
			return nil, fault.Errorf(fault.Invalid, "an LLDP frame that ends early")
		}
		value := b[2 : 2+length]
		b = b[2+length:]
		switch kind {
		case chassisID:
			heard.Chassis = identifier(value, 4, 5)
		case portID:
			heard.Port = identifier(value, 3, 4)
		case systemName:
			heard.System = printable(value)
		case endOfFrame:
			b = nil
		}
	}
	if heard.Chassis == "" || heard.Port == "" {
		return nil, fault.Errorf(fault.Invalid, "an LLDP frame without chassis or port")
	}
	return heard, nil
}

// identifier reads a chassis or port identifier; the subtypes of MAC and network addresses differ between the two.
func identifier(value []byte, mac, network byte) string {
	if len(value) < 2 {
		return ""
	}
	kind, value := value[0], value[1:]
	switch {
	case kind == mac && len(value) == 6:
		return net.HardwareAddr(value).String()
	case kind == network:
		if address, ok := netip.AddrFromSlice(value[1:]); ok {
			return address.String()
		}
		return fmt.Sprintf("%x", value)
	}
	return printable(value)
}

// printable keeps what a switch says from reaching a console as control codes.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return -1
		}
		return r
	}, strings.TrimRight(string(b), "\x00 "))
}
