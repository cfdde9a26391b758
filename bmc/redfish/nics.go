package redfish

import (
	"context"
	"net"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
)

type nicDoc struct {
	ID                    text `json:"Id"`
	Name, Description     text
	MAC                   text `json:"MACAddress"`
	Permanent             text `json:"PermanentMACAddress"`
	SpeedMbps             number
	LinkStatus            text
	Status                status
	AssociatedMACs        many[text] `json:"AssociatedNetworkAddresses"`
	CurrentLinkSpeedMbps  number
	Ethernet              *struct{ AssociatedMACAddresses many[text] }
	LinkState, InterfaceS text
}

// NICs reads the server's network interfaces: those of the system, and where it shows none those of the
// adapters in its chassis. A MAC that is none, such as "Not Available", is left out.
func (d *Driver) NICs(ctx context.Context) ([]bmc.NIC, error) {
	s, _, err := d.read(ctx)
	if err != nil {
		return nil, err
	}
	var out []bmc.NIC
	seen := map[string]bool{}
	take := func(at link, n nicDoc, model string) {
		if !n.Status.here() {
			return
		}
		nic := bmc.NIC{ID: at.last(), Name: string(n.Name), Model: model, SpeedMbps: int(n.SpeedMbps.value)}
		if nic.SpeedMbps == 0 {
			nic.SpeedMbps = int(n.CurrentLinkSpeedMbps.value)
		}
		macs := append([]text{n.MAC, n.Permanent}, n.AssociatedMACs...)
		if n.Ethernet != nil {
			macs = append(macs, n.Ethernet.AssociatedMACAddresses...)
		}
		for _, m := range macs {
			if nic.MAC == "" {
				nic.MAC = macOf(string(m))
			}
		}
		switch {
		case strings.Contains(strings.ToLower(string(n.LinkStatus)), "up"):
			nic.Link = "up"
		case strings.Contains(strings.ToLower(string(n.LinkStatus)), "down"):
			nic.Link = "down"
		}
		if nic.MAC != "" && seen[nic.MAC] {
			return
		}
		seen[nic.MAC] = true
		out = append(out, nic)
	}
	if s.EthernetInterfaces != "" {
		err := each(ctx, d, s.EthernetInterfaces, func(at link, n nicDoc) { take(at, n, "") })
		if err != nil && !passable(err) {
			return nil, err
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	return out, d.adapters(ctx, s, take)
}

// passable reports whether an inventory goes on without a part: iLO of Gen11 answers 400 for NetworkAdapters.
func passable(err error) bool { return absent(err) || bmc.ClassOf(err) == bmc.Refused }

// adapters reads the ports of the network adapters in the chassis.
func (d *Driver) adapters(ctx context.Context, s system, take func(at link, n nicDoc, model string)) error {
	_, all, err := d.chassis(ctx, s)
	if err != nil {
		return err
	}
	type adapter struct {
		Model               text
		NetworkPorts, Ports link
	}
	for _, c := range all {
		if c.NetworkAdapters == "" {
			continue
		}
		var found []adapter
		err := each(ctx, d, c.NetworkAdapters, func(_ link, a adapter) { found = append(found, a) })
		if err != nil && !passable(err) {
			return err
		}
		for _, a := range found {
			ports := a.Ports
			if ports == "" {
				ports = a.NetworkPorts
			}
			if ports == "" {
				continue
			}
			if err := each(ctx, d, ports, func(at link, n nicDoc) { take(at, n, string(a.Model)) }); err != nil && !passable(err) {
				return err
			}
		}
	}
	return nil
}

// macOf returns a MAC in lower case with colons; "" for whatever is none.
func macOf(s string) string {
	hw, err := net.ParseMAC(strings.TrimSpace(s))
	if err != nil || len(hw) != 6 || hw.String() == "00:00:00:00:00:00" {
		return ""
	}
	return hw.String()
}
