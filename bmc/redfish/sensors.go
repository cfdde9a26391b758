package redfish

import (
	"context"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
)

type chassisDoc struct {
	Thermal, Power          link
	ThermalSubsystem        link
	Sensors, PCIeSlots      link
	NetworkAdapters         link
	IndicatorLED            text
	LocationIndicatorActive flag
	Status                  status
	LogServices             link
}

// chassis reads the chassis of the system. A missing one is passed over.
func (d *Driver) chassis(ctx context.Context, s system) (paths []link, docs []chassisDoc, err error) {
	for _, l := range s.Links.Chassis {
		var c chassisDoc
		if _, err := d.get(ctx, l, &c); err != nil {
			if absent(err) || bmc.ClassOf(err) == bmc.Garbled {
				continue
			}
			return nil, nil, err
		}
		paths, docs = append(paths, l), append(docs, c)
	}
	return paths, docs, nil
}

// Sensors reads the thermal and power documents of the system's chassis, or their newer form, a collection of
// sensors, where those are gone.
func (d *Driver) Sensors(ctx context.Context) ([]bmc.Sensor, error) {
	s, _, err := d.read(ctx)
	if err != nil {
		return nil, err
	}
	_, all, err := d.chassis(ctx, s)
	if err != nil {
		return nil, err
	}
	var out []bmc.Sensor
	for _, c := range all {
		before := len(out)
		for _, part := range []struct {
			at   link
			read func(context.Context, link) ([]bmc.Sensor, error)
		}{{c.Thermal, d.thermal}, {c.Power, d.power}} {
			if part.at == "" {
				continue
			}
			more, err := part.read(ctx, part.at)
			if err != nil && !absent(err) && bmc.ClassOf(err) != bmc.Garbled {
				return nil, err
			}
			out = append(out, more...)
		}
		if len(out) == before && c.Sensors != "" {
			more, err := d.collected(ctx, c.Sensors)
			if err != nil && !absent(err) {
				return nil, err
			}
			out = append(out, more...)
		}
	}
	if powerOf(s) != bmc.On {
		for i := range out {
			if out[i].Value == nil {
				out[i].Health = "unknown" // Dell calls sensors critical that have no power
			}
		}
	}
	return out, nil
}

func (d *Driver) thermal(ctx context.Context, path link) ([]bmc.Sensor, error) {
	var doc struct {
		Temperatures many[struct {
			Name           text
			ReadingCelsius number
			Status         status
		}]
		Fans many[struct {
			Name, FanName, ReadingUnits text
			Reading                     number
			Status                      status
		}]
	}
	if _, err := d.get(ctx, path, &doc); err != nil {
		return nil, err
	}
	var out []bmc.Sensor
	for _, t := range doc.Temperatures {
		if t.Status.here() {
			out = append(out, bmc.Sensor{Name: string(t.Name), Kind: "temperature", Value: t.ReadingCelsius.ptr(), Unit: "Cel", Health: t.Status.word()})
		}
	}
	for _, f := range doc.Fans {
		name, unit := f.Name, "RPM"
		if name == "" {
			name = f.FanName
		}
		if f.ReadingUnits == "Percent" {
			unit = "%"
		}
		if f.Status.here() {
			out = append(out, bmc.Sensor{Name: string(name), Kind: "fan", Value: f.Reading.ptr(), Unit: unit, Health: f.Status.word()})
		}
	}
	return out, nil
}

func (d *Driver) power(ctx context.Context, path link) ([]bmc.Sensor, error) {
	var doc struct {
		PowerControl many[struct {
			Name               text
			PowerConsumedWatts number
			Status             status
		}]
		Voltages many[struct {
			Name         text
			ReadingVolts number
			Status       status
		}]
	}
	if _, err := d.get(ctx, path, &doc); err != nil {
		return nil, err
	}
	var out []bmc.Sensor
	for i, p := range doc.PowerControl {
		name := p.Name
		if name == "" {
			name = text(append([]byte("Power "), byte('1'+i%9)))
		}
		out = append(out, bmc.Sensor{Name: string(name), Kind: "power", Value: p.PowerConsumedWatts.ptr(), Unit: "W", Health: p.Status.word()})
	}
	for _, v := range doc.Voltages {
		if v.Status.here() {
			out = append(out, bmc.Sensor{Name: string(v.Name), Kind: "voltage", Value: v.ReadingVolts.ptr(), Unit: "V", Health: v.Status.word()})
		}
	}
	return out, nil
}

// kindsOf are our words for the types of the newer sensors.
var kindsOf = map[string]string{"temperature": "temperature", "rotational": "fan", "voltage": "voltage", "power": "power", "current": "current"}

// collected reads a collection of sensors.
func (d *Driver) collected(ctx context.Context, path link) ([]bmc.Sensor, error) {
	units := map[string]string{"temperature": "Cel", "fan": "RPM", "voltage": "V", "current": "A", "power": "W"}
	var out []bmc.Sensor
	err := each(ctx, d, path, func(_ link, s struct {
		Name, ReadingType, ReadingUnits text
		Reading                         number
		Status                          status
	}) {
		kind := kindsOf[strings.ToLower(string(s.ReadingType))]
		unit := string(s.ReadingUnits)
		switch {
		case kind == "":
			kind = "other"
		case unit == "" || (unit != "%" && unit != "Percent"):
			unit = units[kind]
		default:
			unit = "%"
		}
		if s.Status.here() && s.Name != "" {
			out = append(out, bmc.Sensor{Name: string(s.Name), Kind: kind, Value: s.Reading.ptr(), Unit: unit, Health: s.Status.word()})
		}
	})
	return out, err
}

// Health reads the rollup and drills down to the parts that are not well: rollups go critical for an entry in a
// log, or for one part of many.
func (d *Driver) Health(ctx context.Context) (bmc.Health, error) {
	s, _, err := d.read(ctx)
	if err != nil {
		return bmc.Health{}, err
	}
	h := bmc.Health{Word: s.Status.word()}
	if h.Word == "ok" {
		return h, nil
	}
	note := func(at link, st status) {
		if w := st.word(); w == "warning" || w == "critical" {
			h.Causes = append(h.Causes, string(at)+": "+w)
		}
	}
	for _, l := range []link{s.Processors, s.Memory, s.Storage} {
		if l == "" {
			continue
		}
		err := each(ctx, d, l, func(at link, doc struct{ Status status }) { note(at, doc.Status) })
		if err != nil && !absent(err) {
			return h, err
		}
	}
	paths, all, err := d.chassis(ctx, s)
	if err != nil {
		return h, err
	}
	for i, c := range all {
		note(paths[i], c.Status)
	}
	sensors, err := d.Sensors(ctx)
	if err != nil && !absent(err) {
		return h, err
	}
	for _, one := range sensors {
		if one.Health == "warning" || one.Health == "critical" {
			h.Causes = append(h.Causes, one.Name+": "+one.Health)
		}
	}
	return h, nil
}
