package scci

import (
	"context"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/markup"
	"github.com/hagane-cloud/hagane/bmc/wire"
)

// report reads report.xml, which an iRMC takes a minute and more to write.
func (d *driver) report(ctx context.Context) (*markup.Element, error) {
	a, err := d.do(ctx, wire.Request{Path: "/report.xml", Patience: wire.Logs})
	if err != nil {
		return nil, err
	}
	if err := status("report.xml", a.Status); err != nil {
		return nil, err
	}
	root, err := parse(a.Body)
	if err != nil || root.Child("System") == nil {
		return nil, bmc.Fail(bmc.Failure{Class: bmc.Garbled, Err: err}, "the iRMC's report.xml can not be read")
	}
	return root, nil
}

func (d *driver) Identify(ctx context.Context) (bmc.Identity, error) {
	r, err := d.report(ctx)
	if err != nil {
		return bmc.Identity{}, err
	}
	id := bmc.Identity{BMCVendor: "Fujitsu", BMCModel: r.Attr("OS"), BMCVersion: r.Attr("Version")}
	if irmc := r.Child("System").Child("ManagementControllers").Child("iRMC"); irmc != nil {
		id.BMCVersion = irmc.Value("Firmware")
		if id.BMCModel == "" {
			id.BMCModel = irmc.Attr("Name")
		}
	}
	bios := r.Child("System").Child("BIOS")
	id.BIOSVersion = bios.Find("Type0").Value("BiosVersion", "Version")
	system := bios.Find("Type1")
	id.Manufacturer, id.Model, id.Serial = system.Value("Manufacturer"), system.Value("ProductName"), system.Value("SerialNumber")
	id.UUID = strings.ToLower(system.Value("UUID", "GUID"))
	return id, nil
}

// sections are the parts of the report that hold sensors.
var sections = []struct{ section, element, kind, unit string }{
	{"Temperatures", "Temperature", "temperature", "Cel"}, {"Fans", "Fan", "fan", "RPM"}, {"Voltages", "Voltage", "voltage", "V"}, {"PowerSupplies", "PowerSupply", "power", "W"},
}

func (d *driver) Sensors(ctx context.Context) ([]bmc.Sensor, error) {
	r, err := d.report(ctx)
	if err != nil {
		return nil, err
	}
	var out []bmc.Sensor
	for _, s := range sections {
		for _, e := range r.Child("System").Child(s.section).Kids() {
			if !strings.EqualFold(e.Name, s.element) {
				continue
			}
			one := bmc.Sensor{Name: e.Attr("Name"), Kind: s.kind, Unit: s.unit, Health: word(e.Child("Status").Attr("Description"))}
			if v, err := strconv.ParseFloat(e.Value("CurrValue", "CurrSpeed", "Load"), 64); err == nil {
				one.Value = &v
			}
			out = append(out, one)
		}
	}
	return out, nil
}

// word turns a status's description into ours. Parts that are not there or not managed are unknown, and no alarm.
func word(s string) string {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "ok", "normal", "redundant", "hot-spare":
		return "ok"
	case "warning", "prefailure", "non-redundant", "degraded", "fail-prediction":
		return "warning"
	case "critical", "error", "fail", "failed", "failure", "fault":
		return "critical"
	}
	return "unknown"
}

// Health drills through everything in the report that has a status.
func (d *driver) Health(ctx context.Context) (bmc.Health, error) {
	r, err := d.report(ctx)
	if err != nil {
		return bmc.Health{Word: "unknown"}, err
	}
	h := bmc.Health{Word: "unknown"}
	rank := map[string]int{"unknown": 0, "ok": 1, "warning": 2, "critical": 3}
	var look func(e *markup.Element, path string)
	look = func(e *markup.Element, path string) {
		if st := e.Child("Status"); st != nil {
			w := word(st.Attr("Description"))
			if rank[w] > rank[h.Word] {
				h.Word = w
			}
			if rank[w] > rank["ok"] {
				h.Causes = append(h.Causes, path+": "+w)
			}
		}
		for _, c := range e.Kids() {
			name := c.Attr("Name")
			if name == "" {
				name = c.Name
			}
			look(c, strings.TrimPrefix(path+"/"+name, "/"))
		}
	}
	look(r.Child("System"), "")
	return h, nil
}

// Firmware reads the versions of iRMC and BIOS.
func (d *driver) Firmware(ctx context.Context) ([]bmc.Component, error) {
	id, err := d.Identify(ctx)
	if err != nil {
		return nil, err
	}
	return []bmc.Component{{ID: "iRMC", Name: id.BMCModel, Version: id.BMCVersion}, {ID: "BIOS", Name: "BIOS", Version: id.BIOSVersion}}, nil
}

// Update is not possible: the iRMC has images sent to it.
func (d *driver) Update(context.Context, string, string) (bmc.Task, error) {
	return bmc.Task{}, bmc.Fail(bmc.Failure{Class: bmc.Unsupported}, "SCCI can not fetch firmware from a URL; update this iRMC from its web page")
}

// Follow knows no task.
func (d *driver) Follow(context.Context, string) (bmc.Task, error) { return bmc.Task{Gone: true}, nil }

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
	offer(bmc.CanPower, "changed by SCCI, read by IPMI, which says "+string(p), err)
	b, err := d.Boot(ctx)
	offer(bmc.CanBoot, "by IPMI, which says "+string(b.Device), err)
	slots, err := d.Media(ctx)
	offer(bmc.CanMedia, "the configuration space has "+strconv.Itoa(len(slots))+" remote image", err)
	offer(bmc.CanSettings, "eLCM answers; it works on a server that is off", d.elcm(ctx))
	all, err := d.Sensors(ctx)
	offer(bmc.CanSensors, "report.xml has "+strconv.Itoa(len(all))+" readings", err)
	h, err := d.Health(ctx)
	offer(bmc.CanHealth, "report.xml says "+h.Word, err)
	offer(bmc.CanFirmware, "report.xml tells iRMC "+id.BMCVersion+" and BIOS "+id.BIOSVersion+"; updates are not possible", nil)
	users, err := d.Accounts(ctx)
	offer(bmc.CanAccounts, "the configuration space has "+strconv.Itoa(len(users))+" users", err)
	l, err := d.Light(ctx)
	offer(bmc.CanLight, "by IPMI, which says "+string(l), err)
	offer(bmc.CanInterrupt, "RaiseNMI is part of every "+id.BMCModel, nil)
	offer(bmc.CanRestart, "ResetFirmware is part of every "+id.BMCModel, nil)
	return out, nil
}
