package main

import (
	"net"
	"net/netip"
	"strings"

	"github.com/hagane-cloud/hagane/agent/address"
	"github.com/hagane-cloud/hagane/fault"
)

// words are what the boot script tells the agent.
type words struct {
	api, claim string
	mac        string // of the NIC that the machine was booted over; "" when unknown
	ip         string // the address of that NIC, ADDRESS/BITS[,GATEWAY]; "": DHCP gives one
}

// parse reads the kernel's command line. BOOTIF is pxelinux's and iPXE's way to name the NIC: 01-
// (for Ethernet) and the address with dashes.
func parse(line string) words {
	var w words
	for _, field := range strings.Fields(line) {
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case "hagane.api":
			w.api = value
		case "hagane.claim":
			w.claim = value
		case "hagane.mac":
			w.mac = canonical(value)
		case "hagane.ip":
			w.ip = value
		case "BOOTIF":
			if w.mac == "" {
				w.mac = canonical(strings.TrimPrefix(value, "01-"))
			}
		}
	}
	return w
}

// canonical writes an address as the kernel does; "" when it is none.
func canonical(mac string) string {
	address, err := net.ParseMAC(mac)
	if err != nil {
		return ""
	}
	return address.String()
}

// fixed reads the address that the machine was given with its boot medium.
func (w words) fixed() (address.Fixed, error) {
	addr, gateway, routed := strings.Cut(w.ip, ",")
	prefix, err := netip.ParsePrefix(addr)
	f := address.Fixed{MAC: w.mac, Address: prefix}
	if err == nil && routed {
		f.Gateway, err = netip.ParseAddr(gateway)
	}
	if err != nil || w.mac == "" {
		return f, fault.E(fault.Invalid, "the kernel's command line needs hagane.mac=MAC beside hagane.ip=ADDRESS/BITS[,GATEWAY]; it has \""+w.ip+"\" for \""+w.mac+"\"", err)
	}
	return f, nil
}
