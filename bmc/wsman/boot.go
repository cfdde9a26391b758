package wsman

import (
	"context"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/markup"
)

// The attributes of the iDRAC that override the boot device at once, without a job at the next boot (iDRAC 7 and later).
const (
	firstBoot = "FirstBootDevice"
	bootOnce  = "BootOnce"
	bootGroup = "ServerBoot.1"
)

// devices are the values of FirstBootDevice. VCD-DVD is the virtual drive; "Cd" would be a physical one.
var devices = map[bmc.Device]string{bmc.None: "Normal", bmc.PXE: "PXE", bmc.Disk: "HDD", bmc.CDROM: "VCD-DVD", bmc.Setup: "BIOS"}

// serverBoot reads the two attributes; there is nil when the iDRAC has none.
func (d *driver) serverBoot(ctx context.Context) (device, once *markup.Element, err error) {
	all, err := d.enumerate(ctx, "DCIM_iDRACCardEnumeration")
	if bmc.ClassOf(err) == bmc.Unsupported {
		return nil, nil, nil
	}
	for _, e := range all {
		if !strings.HasPrefix(e.Value("GroupID"), bootGroup) && !strings.Contains(e.Value("InstanceID"), bootGroup+"#") {
			continue
		}
		switch e.Value("AttributeName") {
		case firstBoot:
			device = e
		case bootOnce:
			once = e
		}
	}
	return device, once, err
}

func (d *driver) Boot(ctx context.Context) (bmc.Boot, error) {
	b := bmc.Boot{Device: bmc.None}
	mode, err := d.BootMode(ctx)
	if err != nil {
		return b, err
	}
	b.Mode = mode
	device, once, err := d.serverBoot(ctx)
	if err != nil {
		return b, err
	}
	if device == nil {
		return d.bootByOrder(ctx, b)
	}
	for name, word := range devices {
		if strings.EqualFold(device.Value("CurrentValue"), word) {
			b.Device = name
		}
	}
	b.Persistent = b.Device != bmc.None && strings.EqualFold(once.Value("CurrentValue"), "Disabled")
	return b, nil
}

func (d *driver) SetBoot(ctx context.Context, b bmc.Boot) error {
	word, ok := devices[b.Device]
	if !ok {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "an iDRAC has no boot device %q", b.Device)
	}
	now, err := d.Boot(ctx)
	if err != nil {
		return err
	}
	device, _, err := d.serverBoot(ctx)
	if err != nil {
		return err
	}
	if device == nil {
		if why := orderCannot(b); why != "" {
			return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "%s", why)
		}
	}
	if b.Mode != "" && b.Mode != now.Mode {
		if err := d.SetBootMode(ctx, b.Mode); err != nil {
			return err
		}
	} else {
		b.Mode = now.Mode
	}
	if b == now || (b.Device == bmc.None && now.Device == bmc.None) {
		return nil
	}
	if device == nil {
		return d.setOrder(ctx, b)
	}
	once := "Enabled"
	if b.Persistent {
		once = "Disabled"
	}
	if err := d.apply(ctx, pair{bootGroup + "#" + firstBoot, word}, pair{bootGroup + "#" + bootOnce, once}); err != nil {
		return err
	}
	return d.settle(ctx, "the boot device "+string(b.Device), func() (bool, error) {
		now, err := d.Boot(ctx)
		return now == b || (b.Device == bmc.None && now.Device == bmc.None), err
	})
}

// BootMode reads the mode of the next boot: the pending value of the BIOS's setting, or else the current.
func (d *driver) BootMode(ctx context.Context) (bmc.Mode, error) {
	all, err := d.enumerate(ctx, "DCIM_BIOSEnumeration")
	if err != nil {
		return "", err
	}
	e := pick(all, "AttributeName", "BootMode")
	v := e.Value("PendingValue")
	if v == "" {
		v = e.Value("CurrentValue")
	}
	switch strings.ToLower(v) {
	case "bios":
		return bmc.BIOS, nil
	case "uefi":
		return bmc.UEFI, nil
	}
	return "", bmc.Fail(bmc.Failure{Class: bmc.Garbled}, "the BIOS tells the boot mode %q", v)
}

// SetBootMode asks for a mode, which a job brings into force at the next boot.
func (d *driver) SetBootMode(ctx context.Context, m bmc.Mode) error {
	word, ok := map[bmc.Mode]string{bmc.UEFI: "Uefi", bmc.BIOS: "Bios"}[m]
	if !ok {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "there is no boot mode %q", m)
	}
	return d.SetSettings(ctx, map[string]any{"BootMode": word})
}
