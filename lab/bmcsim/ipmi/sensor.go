package ipmi

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/bougou/go-ipmi/pkg/handlers"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/hagane-cloud/hagane/lab/bmcsim"
)

// noSuchSensor is the completion code for something that is not there (table 5-2).
const noSuchSensor types.CompletionCode = 0xcb

// sensorReading answers Get Sensor Reading (35.14).
func (b *BMC) sensorReading(_ context.Context, _ *handlers.HandlerContext, req []byte) ([]byte, types.CompletionCode, error) {
	if len(req) < 1 {
		return nil, types.CodeRequestDataTruncated, nil
	}
	i := int(req[0]) - 1
	if i < 0 || i >= len(b.sensors) {
		return nil, noSuchSensor, nil
	}
	s := b.sensors[i]
	if _, ok := s.Value(b.machine.Status().On); !ok {
		return []byte{0, 0xe0, 0}, types.CodeOK, nil // scanning, but no reading
	}
	over := byte(0)
	if s.Raw >= s.Max {
		over = 0x10 // at or above the upper critical threshold
	}
	return []byte{s.Raw, 0xc0, over}, types.CodeOK, nil
}

// kind is how IPMI names a kind of sensor: sensor type (table 42-3), base unit (table 43-15), entity (table 43-13).
type kind struct{ sensor, unit, entity byte }

var kinds = map[bmcsim.Kind]kind{
	bmcsim.Temperature: {sensor: 0x01, unit: 1, entity: 0x03},
	bmcsim.Voltage:     {sensor: 0x02, unit: 4, entity: 0x07},
	bmcsim.Fan:         {sensor: 0x04, unit: 18, entity: 0x1d},
	bmcsim.Power:       {sensor: 0x0b, unit: 6, entity: 0x0a},
}

// fullRecord makes the full sensor record of a sensor (table 43-1): a reading is M·raw·10^R.
func fullRecord(id uint16, number uint8, s bmcsim.Sensor) []byte {
	k := kinds[s.Kind]
	m, r := factor(s.Step)
	rec := make([]byte, 48, 48+len(s.Name))
	binary.LittleEndian.PutUint16(rec[0:], id)
	rec[2], rec[3] = 0x51, 0x01
	rec[5], rec[7] = 0x20, number
	rec[8], rec[9] = k.entity, 1
	rec[10], rec[11] = 0x7f, 0x68 // everything enabled; re-arms by itself, thresholds readable
	rec[12], rec[13] = k.sensor, 0x01
	binary.LittleEndian.PutUint16(rec[18:], 0x0010) // the upper critical threshold can be read
	rec[21] = k.unit
	rec[24], rec[25] = byte(m), byte(m>>8)<<6
	rec[29] = byte(r) << 4
	rec[31], rec[34] = s.Raw, 0xff
	rec[37] = s.Max
	rec[47] = 0xc0 | byte(len(s.Name)) // 8-bit text
	rec = append(rec, s.Name...)
	rec[4] = byte(len(rec) - 5)
	return rec
}

// factor splits a step into a whole number and a power of ten.
func factor(step float64) (m, exponent int) {
	for math.Abs(step-math.Round(step)) > 1e-9 {
		step *= 10
		exponent--
	}
	return int(math.Round(step)), exponent
}
