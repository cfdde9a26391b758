package wsman

import (
	"context"
	"fmt"
	"sort"
	"strconv"

	"github.com/hagane-cloud/hagane/bmc"
)

// sortByID sorts events by their number, since clocks lie.
func sortByID(all []bmc.Event) {
	sort.SliceStable(all, func(i, j int) bool {
		a, _ := strconv.Atoi(all[i].ID)
		b, _ := strconv.Atoi(all[j].ID)
		return a < b
	})
}

// Probe reads once for each capability. Methods can not be asked for without being carried out: there the class tells.
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
	offer(bmc.CanPower, "DCIM_ComputerSystem says "+string(p), err)
	b, err := d.Boot(ctx)
	device, _, _ := d.serverBoot(ctx)
	way := "the order of boot sources, persistent only"
	if device != nil {
		way = "ServerBoot attributes"
	}
	offer(bmc.CanBoot, fmt.Sprintf("by %s; it is %s", way, b.Device), err)
	o, err := d.BootOrder(ctx)
	offer(bmc.CanOrder, fmt.Sprintf("DCIM_BootSourceSetting lists %d sources", len(o)), err)
	m, err := d.BootMode(ctx)
	offer(bmc.CanBootMode, "DCIM_BIOSEnumeration says "+string(m), err)
	set, err := d.Settings(ctx)
	offer(bmc.CanSettings, fmt.Sprintf("the BIOS tells %d settings", len(set)), err)
	parts, err := d.Firmware(ctx)
	offer(bmc.CanFirmware, fmt.Sprintf("DCIM_SoftwareIdentity lists %d components", len(parts)), err)
	all, err := d.Sensors(ctx)
	offer(bmc.CanSensors, fmt.Sprintf("%d readings", len(all)), err)
	h, err := d.Health(ctx)
	offer(bmc.CanHealth, "DCIM_SystemView says "+h.Word, err)
	_, err = d.Events(ctx, 1)
	offer(bmc.CanEvents, "DCIM_SELLogEntry answers", err)
	nics, err := d.NICs(ctx)
	offer(bmc.CanNICs, fmt.Sprintf("DCIM_NICView lists %d ports", len(nics)), err)
	users, err := d.Accounts(ctx)
	offer(bmc.CanAccounts, fmt.Sprintf("the iDRAC's attributes tell %d users", len(users)), err)
	none := error(nil)
	if device == nil {
		none = bmc.Fail(bmc.Failure{Class: bmc.Unsupported}, "%s is older than the services for it", id.BMCModel)
	}
	offer(bmc.CanLight, "DCIM_SystemManagementService of 12th generation servers and later", none)
	offer(bmc.CanRestart, "DCIM_iDRACCardService is there", none)
	offer(bmc.CanInterrupt, "DCIM_CSPowerManagementService is part of every iDRAC", nil)
	return out, nil
}
