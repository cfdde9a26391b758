package redfish

import (
	"context"
	"fmt"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
)

// Probe reads what the BMC can do.
func (d *Driver) Probe(ctx context.Context) ([]bmc.Offer, error) {
	s, _, err := d.read(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := d.know(ctx); err != nil {
		return nil, err
	}
	m, err := d.bmcOf(ctx, s)
	if err != nil && !absent(err) {
		return nil, err
	}
	var out []bmc.Offer
	say := func(c bmc.Capability, works bool, format string, args ...any) {
		out = append(out, bmc.Offer{Capability: c, Works: works, Evidence: fmt.Sprintf(format, args...)})
	}
	ask := func(c bmc.Capability, read func() (string, error)) {
		words, err := read()
		if err != nil {
			words = err.Error()
		}
		say(c, err == nil, "%s", words)
	}
	var types []string
	if s.Actions.Reset != nil {
		if types, err = d.offered(ctx, *s.Actions.Reset); err != nil {
			return nil, err
		}
	}
	say(bmc.CanPower, s.Actions.Reset != nil || d.irmc(s), "PowerState %q, reset types %s", s.PowerState, strings.Join(types, " "))
	ask(bmc.CanBoot, func() (string, error) {
		if s.Boot == nil && s.Settings.SettingsObject == "" && !d.irmc(s) {
			return "", lacks("Boot object")
		}
		b, err := d.Boot(ctx)
		return fmt.Sprintf("device %s, mode %s", b.Device, b.Mode), err
	})
	ask(bmc.CanOrder, func() (string, error) { o, err := d.BootOrder(ctx); return strings.Join(o, " "), err })
	ask(bmc.CanBootMode, func() (string, error) { m, err := d.BootMode(ctx); return string(m), err })
	ask(bmc.CanMedia, func() (string, error) {
		all, err := d.Media(ctx)
		if err == nil && len(all) == 0 {
			err = lacks("virtual drives")
		}
		return fmt.Sprintf("%d slots", len(all)), err
	})
	ask(bmc.CanSettings, func() (string, error) {
		_, doc, pending, err := d.bios(ctx)
		return fmt.Sprintf("%d attributes, %d pending, registry %s", len(doc.Attributes), len(pending), doc.AttributeRegistry), err
	})
	ask(bmc.CanSecureBoot, func() (string, error) {
		b, err := d.SecureBoot(ctx)
		return fmt.Sprintf("enabled %v, %s", b.Enabled, b.Mode), err
	})
	ask(bmc.CanFirmware, func() (string, error) {
		all, err := d.Firmware(ctx)
		return fmt.Sprintf("%d components", len(all)), err
	})
	ask(bmc.CanSensors, func() (string, error) { all, err := d.Sensors(ctx); return fmt.Sprintf("%d sensors", len(all)), err })
	say(bmc.CanHealth, true, "health %s, rollup %s", s.Status.Health, s.Status.HealthRollup)
	ask(bmc.CanEvents, func() (string, error) { l, err := d.log(ctx); return string(l.at), err })
	ask(bmc.CanLight, func() (string, error) { l, err := d.lamp(ctx); return string(l.at), err })
	nmi := false
	for _, t := range types {
		nmi = nmi || t == "Nmi"
	}
	say(bmc.CanInterrupt, nmi || d.irmc(s), "reset types %s", strings.Join(types, " "))
	ask(bmc.CanAccounts, func() (string, error) { all, err := d.Accounts(ctx); return fmt.Sprintf("%d users", len(all)), err })
	ask(bmc.CanSessions, func() (string, error) {
		all, err := d.Sessions(ctx)
		return fmt.Sprintf("%d sessions beside our own", len(all)), err
	})
	say(bmc.CanRestart, m.Actions.Reset != nil, "Manager.Reset of %s", d.manager)
	ask(bmc.CanNICs, func() (string, error) {
		all, err := d.NICs(ctx)
		if err == nil && len(all) == 0 {
			err = lacks("network interfaces in its inventory")
		}
		return fmt.Sprintf("%d interfaces", len(all)), err
	})
	return out, nil
}
