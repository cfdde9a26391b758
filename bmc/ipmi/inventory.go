package ipmi

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bougou/go-ipmi/pkg/client"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
)

// vendors are the makers of BMCs by their IANA enterprise number.
var vendors = map[int]string{2: "IBM", 11: "HP", 343: "Intel", 674: "Dell", 2011: "Huawei", 7244: "Quanta", 10368: "Fujitsu", supermicro: "Supermicro", 19046: "Lenovo", 47196: "HPE", 47488: "Supermicro"}

func (d *driver) Identify(ctx context.Context) (bmc.Identity, error) {
	var id bmc.Identity
	err := d.do(ctx, "reading the device id", func(c *client.Client) error {
		dev, err := c.GetDeviceID(ctx)
		if err != nil {
			return err
		}
		d.vendor = int(dev.ManufacturerID)
		id.BMCVersion = fmt.Sprintf("%d.%02d", dev.MajorFirmwareRevision, dev.MinorFirmwareRevision)
		if id.BMCVendor = vendors[d.vendor]; id.BMCVendor == "" {
			id.BMCVendor = fmt.Sprintf("IANA %d", d.vendor)
		}
		id.BMCModel = fmt.Sprintf("IPMI product %d", dev.ProductID)
		return nil
	})
	if err != nil {
		return id, err
	}
	err = d.do(ctx, "reading the FRU data", func(c *client.Client) error {
		const builtin = 0
		fru, err := c.GetFRU(ctx, builtin, "Builtin FRU")
		if err != nil || fru.ProductInfoArea == nil {
			return err
		}
		p := fru.ProductInfoArea
		id.Manufacturer, id.Model, id.Serial, id.AssetTag = text(p.Manufacturer), text(p.Name), text(p.SerialNumber), text(p.AssetTag)
		return nil
	})
	if err != nil && !fault.Is(err, fault.Denied) {
		return id, nil // many BMCs have no readable FRU; that they answered is proof enough
	}
	return id, err
}

// text trims what BMCs pad strings with.
func text(b []byte) string { return strings.Trim(string(b), " \x00") }

func (d *driver) Sensors(ctx context.Context) ([]bmc.Sensor, error) {
	var out []bmc.Sensor
	err := d.do(ctx, "reading the sensors", func(c *client.Client) error {
		all, err := c.GetSensors(ctx)
		var none *types.ResponseError
		if errors.As(err, &none) && none.CompletionCode() == codeNotPresent {
			err = nil // the end of the sensor records, which some BMCs reach at once
		}
		for _, s := range all {
			out = append(out, reading(s))
		}
		return err
	})
	if err != nil {
		return out, err
	}
	if watts, ok := d.dcmiPower(ctx); ok {
		out = append(out, bmc.Sensor{Name: "DCMI Power", Kind: "power", Unit: "W", Value: &watts, Health: "unknown"})
	}
	return out, nil
}

// dcmiPower reads the power draw by DCMI. BMCs that are not wired to their power supplies, or do not tell users of our
// privilege, answer with too few bytes or with none: then there is no reading, which is not zero.
func (d *driver) dcmiPower(ctx context.Context) (watts float64, ok bool) {
	const group, system = 0xdc, 0x01
	b, err := d.ask(ctx, command{Command: types.CommandGetDCMIPowerReading}, group, system, 0, 0)
	if err != nil || len(b) < 18 || b[0] != group {
		return 0, false
	}
	const active = 1 << 6
	return float64(b[1]) + 256*float64(b[2]), b[17]&active != 0
}

// Health is made of the thresholds of all sensors. What has no reading is no alarm.
func (d *driver) Health(ctx context.Context) (bmc.Health, error) {
	all, err := d.Sensors(ctx)
	if err != nil {
		return bmc.Health{Word: "unknown"}, err
	}
	h := bmc.Health{Word: "unknown"}
	rank := map[string]int{"unknown": 0, "ok": 1, "warning": 2, "critical": 3}
	for _, s := range all {
		if rank[s.Health] > rank[h.Word] {
			h.Word = s.Health
		}
		if rank[s.Health] > rank["ok"] {
			h.Causes = append(h.Causes, s.Name+": "+s.Health)
		}
	}
	return h, nil
}

func reading(s *types.Sensor) bmc.Sensor {
	out := bmc.Sensor{Name: strings.TrimSpace(s.Name), Kind: "other", Health: "unknown"}
	switch s.SensorType {
	case types.SensorTypeTemperature:
		out.Kind, out.Unit = "temperature", "Cel"
	case types.SensorTypeFan:
		out.Kind, out.Unit = "fan", "RPM"
	case types.SensorTypeVoltage:
		out.Kind, out.Unit = "voltage", "V"
	case types.SensorTypeCurrent:
		out.Kind, out.Unit = "current", "A"
	}
	if s.HasAnalogReading && s.ReadingAvailable && !s.ScanningDisabled && !s.NotPresent {
		v := s.Value
		out.Value, out.Health = &v, "ok"
		switch s.Threshold.ThresholdStatus {
		case types.SensorThresholdStatus_UCR, types.SensorThresholdStatus_LCR, types.SensorThresholdStatus_UNR, types.SensorThresholdStatus_LNR:
			out.Health = "critical"
		case types.SensorThresholdStatus_UNC, types.SensorThresholdStatus_LNC:
			out.Health = "warning"
		}
	}
	return out
}
