package redfish

import (
	"context"
	"fmt"

	"github.com/hagane-cloud/hagane/bmc"
)

// An iDRAC's target Cd is a physical drive. The virtual one is chosen by attributes of the manager, which stand
// besides the override and are told apart from it.

// idracFact is set while the attributes may choose what is booted.
const idracFact = "redfish idrac first"

// The attributes and their words.
const (
	firstDevice = "ServerBoot.1.FirstBootDevice"
	bootOnce    = "ServerBoot.1.BootOnce"
	virtualCD   = "VCD-DVD"
)

// idrac reports whether the boot device of virtual CDs is set by the manager's attributes.
func (d *Driver) idrac() bool { return d.profile != nil && d.profile.Boot.Oem == "idrac" }

// idracAttributes reads the manager's attributes, at the newer place or the older one.
func (d *Driver) idracAttributes(ctx context.Context, s system) (at link, all map[string]any, err error) {
	if _, err := d.bmcOf(ctx, s); err != nil {
		return "", nil, err
	}
	manager := link(d.manager)
	for _, at = range []link{manager.under("Oem/Dell/DellAttributes/" + manager.last()), manager.under("Attributes")} {
		var doc struct{ Attributes map[string]any }
		if _, err = d.get(ctx, at, &doc); err == nil && doc.Attributes[firstDevice] != nil {
			return at, doc.Attributes, nil
		}
		if err != nil && !absent(err) {
			return "", nil, err
		}
	}
	return "", nil, lacks("attributes of the boot device")
}

// idracFirst reads what the attributes choose; no device when they leave it to the override.
func (d *Driver) idracFirst(ctx context.Context, s system) (bmc.Boot, error) {
	_, all, err := d.idracAttributes(ctx, s)
	if err != nil || fmt.Sprint(all[firstDevice]) != virtualCD {
		return bmc.Boot{}, err
	}
	return bmc.Boot{Device: bmc.CDROM, Persistent: fmt.Sprint(all[bootOnce]) != "Enabled"}, nil
}

// idracSet has the attributes choose the virtual CD, or nothing, and reads them back.
func (d *Driver) idracSet(ctx context.Context, s system, b bmc.Boot) error {
	at, _, err := d.idracAttributes(ctx, s)
	if err != nil {
		return err
	}
	device, once := "Normal", "Disabled"
	if b.Device == bmc.CDROM {
		device = virtualCD
		if !b.Persistent {
			once = "Enabled"
		}
	}
	if _, err := d.patch(ctx, "setting the boot device", at, "attributes", map[string]any{"Attributes": map[string]any{firstDevice: device, bootOnce: once}}); err != nil {
		return err
	}
	var got bmc.Boot
	ok, err := d.settles(ctx, func() (bool, error) {
		got, err = d.idracFirst(ctx, s)
		return got.Device == "" && b.Device != bmc.CDROM || got.Device == b.Device && got.Persistent == b.Persistent, err
	})
	if err == nil && !ok {
		return untrue("the boot device", b, got)
	}
	return err
}

// idracBoot boots the virtual CD, once or always.
func (d *Driver) idracBoot(ctx context.Context, s system, b bmc.Boot) error {
	if b.Mode != "" {
		if err := d.modeBySetting(ctx, b.Mode); err != nil {
			return err
		}
	}
	if s.Boot.boot().Device != bmc.None {
		if err := d.override(ctx, s, d.profile, bmc.Boot{Device: bmc.None}); err != nil {
			return err
		}
	}
	if err := d.idracSet(ctx, s, b); err != nil {
		return err
	}
	d.access.Memory.Set(idracFact, string(bmc.CDROM))
	return nil
}

// idracLeave has the attributes leave the boot device to the override again.
func (d *Driver) idracLeave(ctx context.Context, s system) error {
	if d.access.Memory.Get(idracFact) == "" {
		return nil
	}
	if err := d.idracSet(ctx, s, bmc.Boot{Device: bmc.None}); err != nil {
		return err
	}
	d.access.Memory.Set(idracFact, "")
	return nil
}
