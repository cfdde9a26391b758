package redfish

import (
	"context"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
)

func (d *driver) Identify(ctx context.Context) (bmc.Identity, error) {
	s, _, err := d.read(ctx)
	if err != nil {
		return bmc.Identity{}, err
	}
	id := bmc.Identity{Manufacturer: clean(s.Manufacturer), Model: clean(s.Model), Serial: clean(s.SerialNumber), UUID: clean(s.UUID),
		AssetTag: clean(s.AssetTag), BIOSVersion: clean(s.BiosVersion)}
	if strings.HasPrefix(id.Manufacturer, "Dell") && clean(s.SKU) != "" {
		id.Serial = clean(s.SKU) // Dell's serial number is the board's; the service tag is in SKU
	}
	for _, m := range s.Links.ManagedBy {
		var manager struct{ Manufacturer, Model, FirmwareVersion string }
		if _, err := d.get(ctx, m.ID, &manager); err != nil {
			return id, fault.Wrap("identifying the BMC", err)
		}
		id.BMCVendor, id.BMCModel, id.BMCVersion = clean(manager.Manufacturer), clean(manager.Model), clean(manager.FirmwareVersion)
		break
	}
	return id, nil
}

// clean trims a string and drops what vendors write when they have nothing to say.
func clean(s string) string {
	s = strings.TrimSpace(s)
	switch strings.ToLower(s) {
	case "n/a", "na", "none", "unknown", "not available", "not specified", "to be filled by o.e.m.", "default string":
		return ""
	}
	return s
}

// Sensors reads the thermal and power documents of the system's chassis.
func (d *driver) Sensors(ctx context.Context) ([]bmc.Sensor, error) {
	s, _, err := d.read(ctx)
	if err != nil {
		return nil, err
	}
	var out []bmc.Sensor
	for _, l := range s.Links.Chassis {
		var chassis struct{ Thermal, Power *link }
		if _, err := d.get(ctx, l.ID, &chassis); err != nil {
			return nil, err
		}
		if chassis.Thermal != nil {
			more, err := d.thermal(ctx, chassis.Thermal.ID)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
		}
		if chassis.Power != nil {
			more, err := d.power(ctx, chassis.Power.ID)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
		}
	}
	return out, nil
}

type health struct{ State, Health string }

func (h health) word() string {
	switch strings.ToLower(h.Health) {
	case "ok":
		return "ok"
	case "warning":
		return "warning"
	case "critical":
		return "critical"
	}
	return "unknown"
}

func (d *driver) thermal(ctx context.Context, path string) ([]bmc.Sensor, error) {
	var doc struct {
		Temperatures []struct {
			Name           string
			ReadingCelsius *float64
			Status         health
		}
		Fans []struct {
			Name, FanName, ReadingUnits string
			Reading                     *float64
			Status                      health
		}
	}
	if _, err := d.get(ctx, path, &doc); err != nil {
		return nil, err
	}
	var out []bmc.Sensor
	for _, t := range doc.Temperatures {
		out = append(out, bmc.Sensor{Name: t.Name, Kind: "temperature", Value: t.ReadingCelsius, Unit: "Cel", Health: t.Status.word()})
	}
	for _, f := range doc.Fans {
		name, unit := f.Name, "RPM"
		if name == "" {
			name = f.FanName
		}
		if f.ReadingUnits == "Percent" {
			unit = "%"
		}
		out = append(out, bmc.Sensor{Name: name, Kind: "fan", Value: f.Reading, Unit: unit, Health: f.Status.word()})
	}
	return out, nil
}

func (d *driver) power(ctx context.Context, path string) ([]bmc.Sensor, error) {
	var doc struct {
		PowerControl []struct {
			Name               string
			PowerConsumedWatts *float64
			Status             health
		}
		Voltages []struct {
			Name         string
			ReadingVolts *float64
			Status       health
		}
	}
	if _, err := d.get(ctx, path, &doc); err != nil {
		return nil, err
	}
	var out []bmc.Sensor
	for _, p := range doc.PowerControl {
		out = append(out, bmc.Sensor{Name: p.Name, Kind: "power", Value: p.PowerConsumedWatts, Unit: "W", Health: p.Status.word()})
	}
	for _, v := range doc.Voltages {
		out = append(out, bmc.Sensor{Name: v.Name, Kind: "voltage", Value: v.ReadingVolts, Unit: "V", Health: v.Status.word()})
	}
	return out, nil
}
