package redfish

import (
	"context"
	"net/http"

	"github.com/stmcginnis/gofish"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
)

var (
	targets = map[bmc.Device]string{bmc.None: "None", bmc.PXE: "Pxe", bmc.Disk: "Hdd", bmc.CDROM: "Cd", bmc.Setup: "BiosSetup"}
	modes   = map[bmc.Mode]string{bmc.UEFI: "UEFI", bmc.BIOS: "Legacy"}
)

func bootOf(s system) bmc.Boot {
	b := bmc.Boot{Device: bmc.None, Persistent: s.Boot.Enabled == "Continuous"}
	if s.Boot.Mode != nil {
		for mode, name := range modes {
			if *s.Boot.Mode == name {
				b.Mode = mode
			}
		}
	}
	if s.Boot.Enabled == "Once" || s.Boot.Enabled == "Continuous" {
		for device, name := range targets {
			if s.Boot.Target == name {
				b.Device = device
			}
		}
	}
	return b
}

func (d *driver) Boot(ctx context.Context) (bmc.Boot, error) {
	s, _, err := d.read(ctx)
	return bootOf(s), err
}

// SetBoot sends target, enablement and mode together: some BMCs reset what is left out, others refuse
// a partial change. The mode goes along only where the BMC shows one.
func (d *driver) SetBoot(ctx context.Context, b bmc.Boot) error {
	target, ok := targets[b.Device]
	if !ok {
		return fault.Errorf(fault.Invalid, "Redfish has no boot device %q", b.Device)
	}
	s, etag, err := d.read(ctx)
	if err != nil {
		return err
	}
	boot := map[string]string{"BootSourceOverrideTarget": target, "BootSourceOverrideEnabled": "Once"}
	switch {
	case b.Device == bmc.None:
		boot["BootSourceOverrideEnabled"] = "Disabled"
	case b.Persistent:
		boot["BootSourceOverrideEnabled"] = "Continuous"
	}
	if s.Boot.Mode != nil {
		boot["BootSourceOverrideMode"] = *s.Boot.Mode
		if b.Mode != "" {
			boot["BootSourceOverrideMode"] = modes[b.Mode]
		}
	}
	headers := map[string]string{}
	if etag != "" {
		headers["If-Match"] = etag
	}
	_, _, err = d.do(ctx, "setting the boot device", func(c *gofish.APIClient) (*http.Response, error) {
		return c.PatchWithHeaders(d.system, map[string]any{"Boot": boot}, headers)
	})
	if err != nil {
		return err
	}
	got, err := d.Boot(ctx)
	if err != nil {
		return err
	}
	if got.Device != b.Device || (b.Device != bmc.None && (got.Persistent != b.Persistent || (b.Mode != "" && got.Mode != "" && got.Mode != b.Mode))) {
		return fault.Errorf(fault.Unavailable, "the BMC accepted the boot device %+v but shows %+v", b, got)
	}
	return nil
}
