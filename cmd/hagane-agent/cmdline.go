package main

import (
	"net"
	"strings"
)

// words are what the boot script tells the agent.
type words struct {
	api, claim string
	mac        string // of the NIC that the machine was booted over; "" when unknown
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
