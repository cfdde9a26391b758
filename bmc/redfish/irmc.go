package redfish

import (
	"context"
	"slices"

	"github.com/hagane-cloud/hagane/bmc"
)

// Fujitsu's iRMC takes power and boot device by resources of its own beside the standard ones, under the
// vendor key ts_fujitsu, which newer firmware calls Fsas.

// irmcOem returns the vendor's part of a system.
func irmcOem(s system) (key string, oem map[string]any) {
	for _, key := range []string{"ts_fujitsu", "Fsas"} {
		if oem, ok := s.Oem[key].(map[string]any); ok {
			return key, oem
		}
	}
	return "", nil
}

// irmc reports whether the system is to be driven by the vendor's resources: it has them, and not the
// standard reset.
func (d *Driver) irmc(s system) bool {
	key, _ := irmcOem(s)
	return key != "" && (s.Actions.Reset == nil || (d.profile != nil && d.profile.Boot.Oem == "irmc"))
}

// irmcResets are the vendor's names of the reset types.
var irmcResets = map[string]string{
	"On": "PowerOn", "ForceOff": "PowerOff", "GracefulShutdown": "GracefulPowerOff", "ForceRestart": "ImmediateReset", "PowerCycle": "PowerCycle", "Nmi": "PulseNmi",
}

// irmcPress presses by FTSComputerSystem.Reset.
func (d *Driver) irmcPress(ctx context.Context, _ system, doing string, kinds []string) error {
	for _, kind := range kinds {
		if name := irmcResets[kind]; name != "" {
			return d.push(ctx, doing, link(d.system).under("Actions/Oem/FTSComputerSystem.Reset"), map[string]string{"FTSResetType": name})
		}
	}
	return lacks(doing)
}

// irmcDevices are the vendor's names of the boot devices.
var irmcDevices = map[bmc.Device]string{bmc.None: "Default", bmc.PXE: "Pxe", bmc.Disk: "Hdd", bmc.CDROM: "Cd", bmc.Setup: "BiosSetup"}

type irmcConfig struct {
	BootDevice, BootType text
	NextBootOnlyEnabled  flag
}

func (d *Driver) irmcBootPath(s system) link {
	key, _ := irmcOem(s)
	return link(d.system).under("Oem/" + key + "/BootConfig")
}

func (d *Driver) irmcBoot(ctx context.Context, s system) (bmc.Boot, error) {
	var c irmcConfig
	if _, err := d.get(ctx, d.irmcBootPath(s), &c); err != nil {
		return bmc.Boot{}, err
	}
	b := bmc.Boot{Device: bmc.None}
	for device, name := range irmcDevices {
		if string(c.BootDevice) == name {
			b.Device = device
		}
	}
	b.Persistent = b.Device != bmc.None && c.NextBootOnlyEnabled.set && !c.NextBootOnlyEnabled.value
	for mode, name := range modes {
		if string(c.BootType) == name {
			b.Mode = mode
		}
	}
	return b, nil
}

func (d *Driver) irmcSetBoot(ctx context.Context, s system, b bmc.Boot) error {
	config := map[string]any{"BootDevice": irmcDevices[b.Device], "NextBootOnlyEnabled": !b.Persistent}
	if b.Mode != "" {
		config["BootType"] = modes[b.Mode]
	}
	if _, err := d.patch(ctx, "setting the boot device", d.irmcBootPath(s), "irmc boot", config); err != nil {
		return err
	}
	var got bmc.Boot
	ok, err := d.settles(ctx, func() (bool, error) {
		var err error
		got, err = d.irmcBoot(ctx, s)
		return same(got, b), err
	})
	if err == nil && !ok {
		return untrue("the boot device", b, got)
	}
	return err
}

// irmcMedia connects a virtual CD: the image is named in a resource, then connected by an action whose
// parameter's name differs between generations.
func (d *Driver) irmcMedia(ctx context.Context, s system, url string) error {
	key, _ := irmcOem(s)
	if key == "" {
		return lacks("virtual media")
	}
	at := link(d.system).under("Oem/" + key + "/VirtualMedia")
	verb := "DisconnectCD"
	if url != "" {
		if _, err := d.patch(ctx, "naming the image", at, "irmc media", map[string]any{"CDImage": map[string]any{"ServerName": url, "ImageName": url}}); err != nil {
			return err
		}
		verb = "ConnectCD"
	}
	var err error
	for _, parameter := range []string{"FTSVirtualMediaAction", "VirtualMediaAction"} {
		if _, err = d.post(ctx, verb, link(d.system).under("Actions/Oem/FTSComputerSystem.VirtualMedia"), map[string]string{parameter: verb}); err == nil || !slices.Contains([]bmc.Class{bmc.Refused, bmc.Unsupported}, bmc.ClassOf(err)) {
			return err
		}
	}
	return err
}
