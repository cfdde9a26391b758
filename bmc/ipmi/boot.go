package ipmi

import (
	"context"
	"fmt"

	"github.com/bougou/go-ipmi/pkg/client"
	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
)

// Boot option parameters and the bits of the boot flags (IPMI 2.0, table 28-14).
const (
	paramValidClearing types.BootOptionParamSelector = 3
	paramFlags         types.BootOptionParamSelector = 5

	flagValid      = 1 << 7
	flagPersistent = 1 << 6
	flagEFI        = 1 << 5
	deviceMask     = 0x3c

	// keepFlags tells the BMC not to drop the flags when no reset comes within 60 s.
	keepFlags = 0x08
)

// The selectors of remotely connected devices. Supermicro's UEFI firmware wants the first for any disk (seen by ironic).
const (
	remoteDisk = 0x24
	remoteCD   = 0x20
	supermicro = 10876 // by IANA
)

var selectors = map[bmc.Device]byte{bmc.None: 0x00, bmc.PXE: 0x04, bmc.Disk: 0x08, bmc.CDROM: 0x14, bmc.Setup: 0x18}

func (d *driver) Boot(ctx context.Context) (bmc.Boot, error) {
	flags, device, err := d.flags(ctx)
	b := bmc.Boot{Device: bmc.None, Mode: bmc.BIOS}
	if flags&flagEFI != 0 {
		b.Mode = bmc.UEFI
	}
	if err != nil || flags&flagValid == 0 {
		return b, err
	}
	b.Persistent = flags&flagPersistent != 0
	for name, s := range selectors {
		if s == device {
			b.Device = name
		}
	}
	if device == remoteDisk || device == remoteCD {
		b.Device = map[byte]bmc.Device{remoteDisk: bmc.Disk, remoteCD: bmc.CDROM}[device]
	}
	return b, nil
}

// selector returns the device selector for a boot. Some vendors' UEFI firmware knows another one than BIOS does.
func (d *driver) selector(ctx context.Context, b bmc.Boot) (byte, error) {
	s, ok := selectors[b.Device]
	if !ok {
		return 0, fault.Errorf(fault.Invalid, "IPMI has no boot device %q", b.Device)
	}
	if b.Mode != bmc.UEFI {
		return s, nil
	}
	if p := d.access.Profile; p != nil {
		if other, ok := p.IPMI.EFISelector[string(b.Device)]; ok {
			return byte(other), nil
		}
		return s, nil
	}
	if b.Device != bmc.Disk {
		return s, nil
	}
	if d.vendor == 0 {
		if _, err := d.Identify(ctx); err != nil {
			return 0, err
		}
	}
	if d.vendor == supermicro {
		return remoteDisk, nil
	}
	return s, nil
}

// flags reads the boot flags and the device selector.
func (d *driver) flags(ctx context.Context) (flags, device byte, err error) {
	err = d.do(ctx, "reading the boot flags", func(c *client.Client) error {
		res, err := c.GetSystemBootOptionsParam(ctx, paramFlags, 0, 0)
		if err != nil {
			return err
		}
		if len(res.ParamData) < 2 {
			return fmt.Errorf("the boot flags have %d bytes", len(res.ParamData))
		}
		flags, device = res.ParamData[0], res.ParamData[1]&deviceMask
		return nil
	})
	return flags, device, err
}

func (d *driver) SetBoot(ctx context.Context, b bmc.Boot) error {
	if _, ok := selectors[b.Device]; !ok {
		return fault.Errorf(fault.Invalid, "IPMI has no boot device %q", b.Device)
	}
	if b.Mode == "" {
		now, err := d.Boot(ctx)
		if err != nil {
			return err
		}
		b.Mode = now.Mode
	}
	selector, err := d.selector(ctx, b)
	if err != nil {
		return err
	}
	flags := byte(flagValid)
	if b.Persistent {
		flags |= flagPersistent
	}
	if b.Mode == bmc.UEFI {
		flags |= flagEFI
	}
	if err := d.setParam(ctx, paramValidClearing, keepFlags); err != nil && !fault.Is(err, fault.Invalid) {
		return err // a BMC without the parameter keeps the flags for 60 s, which our reset comes within
	}
	if err := d.setParam(ctx, paramFlags, flags, selector, 0, 0, 0); err != nil {
		return err
	}
	gotFlags, gotDevice, err := d.flags(ctx)
	if err != nil {
		return err
	}
	// OpenIPMI's simulator keeps the selector alone and shows no flag, not even the valid one.
	same := gotFlags&(flagValid|flagPersistent|flagEFI) == flags || gotFlags == 0
	if gotDevice != selector || (b.Device != bmc.None && !same) {
		return bmc.Fail(bmc.Failure{Class: bmc.Untrue}, "the BMC accepted the boot device %+v but shows the flags %#02x and the device %#02x", b, gotFlags, gotDevice)
	}
	return nil
}

func (d *driver) setParam(ctx context.Context, param types.BootOptionParamSelector, data ...byte) error {
	return d.do(ctx, fmt.Sprintf("setting the boot option %d", param), func(c *client.Client) error {
		_, err := c.SetSystemBootOptionsParam(ctx, &chassis.SetSystemBootOptionsParamRequest{ParamSelector: param, ParamData: data})
		return err
	})
}
