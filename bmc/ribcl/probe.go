package ribcl

import (
	"context"
	"fmt"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
)

// Probe reads once for each capability.
func (d *driver) Probe(ctx context.Context) ([]bmc.Offer, error) {
	id, err := d.Identify(ctx)
	if err != nil {
		return nil, err
	}
	var out []bmc.Offer
	offer := func(c bmc.Capability, evidence string, err error) {
		if err != nil {
			evidence = err.Error()
		}
		out = append(out, bmc.Offer{Capability: c, Works: err == nil, Evidence: evidence})
	}
	p, err := d.Power(ctx)
	offer(bmc.CanPower, "GET_HOST_POWER_STATUS says "+string(p), err)
	b, err := d.Boot(ctx)
	offer(bmc.CanBoot, "GET_ONE_TIME_BOOT says "+string(b.Device), err)
	o, err := d.BootOrder(ctx)
	offer(bmc.CanOrder, "GET_PERSISTENT_BOOT lists "+strings.Join(o, " "), err)
	m, err := d.BootMode(ctx)
	offer(bmc.CanBootMode, "GET_PENDING_BOOT_MODE says "+string(m), err)
	_, err = d.Media(ctx)
	if err == nil {
		err = d.licensed(ctx)
	}
	offer(bmc.CanMedia, "GET_VM_STATUS answers, and there is a licence", err)
	all, err := d.Sensors(ctx)
	offer(bmc.CanSensors, fmt.Sprintf("GET_EMBEDDED_HEALTH has %d readings", len(all)), err)
	h, err := d.Health(ctx)
	offer(bmc.CanHealth, "HEALTH_AT_A_GLANCE says "+h.Word, err)
	nics, err := d.NICs(ctx)
	offer(bmc.CanNICs, fmt.Sprintf("GET_EMBEDDED_HEALTH lists %d interfaces", len(nics)), err)
	parts, err := d.Firmware(ctx)
	offer(bmc.CanFirmware, fmt.Sprintf("%d versions; updates are not possible", len(parts)), err)
	_, err = d.Events(ctx, 1)
	offer(bmc.CanEvents, "GET_EVENT_LOG answers", err)
	l, err := d.Light(ctx)
	offer(bmc.CanLight, "GET_UID_STATUS says "+string(l), err)
	users, err := d.Accounts(ctx)
	offer(bmc.CanAccounts, fmt.Sprintf("GET_ALL_USER_INFO lists %d users", len(users)), err)
	offer(bmc.CanRestart, "RESET_RIB is part of every "+id.BMCModel, nil)
	return out, nil
}

// licensed reports whether a licence is active that virtual media need. An iLO that does not tell is given the benefit of the doubt.
func (d *driver) licensed(ctx context.Context) error {
	r, err := d.do(ctx, rib("GET_ALL_LICENSES"))
	if err != nil {
		return nil
	}
	for _, p := range r.parts {
		for _, e := range p.All("LICENSE_TYPE") {
			if t := strings.ToLower(e.Attr("VALUE")); strings.Contains(t, "standard") || strings.Contains(t, "no license") {
				return bmc.Fail(bmc.Failure{Class: bmc.Licence}, "the iLO has the licence %q; virtual media need iLO Advanced", e.Attr("VALUE"))
			}
		}
	}
	return nil
}
