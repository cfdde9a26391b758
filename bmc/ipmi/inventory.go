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

func (d *driver) Identify(ctx context.Context) (bmc.Identity, error) {
	var id bmc.Identity
	err := d.do(ctx, "reading the device id", func(c *client.Client) error {
		dev, err := c.GetDeviceID(ctx)
		if err != nil {
			return err
		}
		id.BMCVersion = fmt.Sprintf("%d.%02d", dev.MajorFirmwareRevision, dev.MinorFirmwareRevision)
		id.BMCVendor = fmt.Sprintf("IANA %d", dev.ManufacturerID)
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
	return out, err
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
