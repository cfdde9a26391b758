package redfish

import (
	"context"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/profile"
)

// orderFact remembers the device that was put first in the boot order, and beforeFact what the order was before.
const (
	orderFact  = "redfish boot first"
	beforeFact = "redfish boot order before"
)

// lasts reports whether the BMC takes an override for all boots. Lenovo lists Once and Disabled only; on
// older Dells it survives a single boot.
func (d *Driver) lasts(s system, p *profile.Profile) bool {
	if p != nil && p.Boot.Persistent != "" {
		return p.Boot.Persistent == "continuous"
	}
	return s.Boot == nil || len(s.Boot.Terms) == 0 || slices.Contains(s.Boot.Terms, "Continuous")
}

// lasting makes a device the one that is booted from without an override for all boots: by the boot order,
// and where there is none by setting it again before each boot.
func (d *Driver) lasting(ctx context.Context, s system, p *profile.Profile, b bmc.Boot) error {
	if p == nil || p.Boot.Persistent != "once" {
		err := d.first(ctx, s, b.Device)
		if err == nil {
			d.access.Memory.Set(orderFact, string(b.Device))
			if d.access.Memory.Get(beforeFact) == "" {
				d.access.Memory.Set(beforeFact, strings.Join(s.Boot.order(), ","))
			}
			if b.Mode != "" {
				if err := d.modeBySetting(ctx, b.Mode); err != nil {
					return err
				}
			}
			if s.Boot.boot().Device == bmc.None {
				return nil
			}
			return d.override(ctx, s, p, bmc.Boot{Device: bmc.None})
		}
		if c := bmc.ClassOf(err); c != bmc.Unsupported && c != bmc.Refused && c != bmc.Privilege && c != bmc.Licence {
			return err
		}
	}
	once := b
	once.Persistent = false
	if err := d.override(ctx, s, p, once); err != nil {
		return err
	}
	d.access.Memory.Set(assertFact, string(b.Device)+" "+string(b.Mode))
	return nil
}

// asserted returns what is set again before each boot; no device when nothing is.
func (d *Driver) asserted() bmc.Boot {
	device, mode, _ := strings.Cut(d.access.Memory.Get(assertFact), " ")
	return bmc.Boot{Device: bmc.Device(device), Mode: bmc.Mode(mode)}
}

func (d *Driver) forgetLasting() {
	d.access.Memory.Set(assertFact, "")
	d.access.Memory.Set(orderFact, "")
}

// restoreOrder puts back the boot order that a lasting device replaced.
func (d *Driver) restoreOrder(ctx context.Context) error {
	before := d.access.Memory.Get(beforeFact)
	if before == "" {
		return nil
	}
	err := d.SetBootOrder(ctx, strings.Split(before, ","))
	if c := bmc.ClassOf(err); c != bmc.Refused && c != bmc.Unsupported {
		return err
	}
	d.access.Memory.Set(beforeFact, "") // there is no such option any more, or no order
	return nil
}

// reassert sets the boot device again before a boot, on devices where none lasts.
func (d *Driver) reassert(ctx context.Context) error {
	again := d.asserted()
	if again.Device == "" {
		return nil
	}
	s, _, err := d.read(ctx)
	if err != nil || s.Boot.boot().Device != bmc.None {
		return err // an override for the next boot goes first
	}
	p, err := d.know(ctx)
	if err != nil {
		return err
	}
	return d.override(ctx, s, p, again)
}

// hints are what the names of boot options hold, by device.
var hints = map[bmc.Device][]string{
	bmc.PXE:   {"pxe", "network", "nic", "ethernet"},
	bmc.Disk:  {"hdd", "hard d", "disk", "raid", "nvme", "sata", "ssd", "boss"},
	bmc.CDROM: {"cd", "dvd", "optical"},
}

// first puts the options of a device first in the boot order.
func (d *Driver) first(ctx context.Context, s system, device bmc.Device) error {
	if s.Boot == nil || len(s.Boot.Order) == 0 || hints[device] == nil {
		return lacks("boot order")
	}
	words := map[string]string{}
	if s.Boot.Options != "" {
		type document struct{ BootOptionReference, DisplayName, Name, UefiDevicePath, Alias text }
		err := each(ctx, d, s.Boot.Options, func(_ link, o document) {
			ref, _ := option(o.BootOptionReference)
			words[ref] = strings.ToLower(string(o.DisplayName + " " + o.Name + " " + o.Alias))
		})
		if err != nil && !absent(err) {
			return err
		}
	}
	var before, after []string
	for _, ref := range s.Boot.Order {
		key, label := option(ref)
		if matches(device, words[key]+" "+strings.ToLower(label+" "+key)) {
			before = append(before, key)
		} else {
			after = append(after, key)
		}
	}
	if len(before) == 0 {
		return lacks("boot option for " + string(device))
	}
	return d.reorder(ctx, s, append(before, after...))
}

func matches(device bmc.Device, words string) bool {
	for _, h := range hints[device] {
		if strings.Contains(words, h) {
			return true
		}
	}
	return false
}
