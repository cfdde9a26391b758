package ipmi

import (
	"context"

	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/hagane-cloud/hagane/bmc"
)

// lightFact is remembered of a device: "interval" where the light can not be forced on.
const lightFact = "ipmi light"

// Light reads the identify light from the chassis status, where the BMC tells it there.
func (d *driver) Light(ctx context.Context) (bmc.Light, error) {
	b, err := d.ask(ctx, command{Command: types.CommandGetChassisStatus})
	if err != nil {
		return "", err
	}
	const tells = 1 << 6
	if len(b) < 3 || b[2]&tells == 0 {
		return "", nil
	}
	switch b[2] >> 4 & 3 {
	case 0:
		return bmc.LightOff, nil
	case 1, 2: // for a time, or for good
		return bmc.LightOn, nil
	}
	return "", nil
}

// SetLight turns the identify light on for good, or where the BMC does not know that for the longest interval: it goes
// out after that, and is turned on again by asking again. IPMI knows no difference between on and blinking.
func (d *driver) SetLight(ctx context.Context, l bmc.Light) error {
	identify := command{Command: types.CommandChassisIdentify, change: true}
	switch l {
	case bmc.LightOff:
		_, err := d.ask(ctx, identify, 0)
		return err
	case bmc.LightOn, bmc.LightBlink:
	default:
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "the identify light can not be %q", l)
	}
	const longest, force = 255, 1
	if d.memory.Get(lightFact) != "interval" {
		_, err := d.ask(ctx, identify, 0, force)
		if bmc.ClassOf(err) != bmc.Refused { // 0xc7 or 0xcc: no such byte
			return err
		}
		d.memory.Set(lightFact, "interval")
	}
	_, err := d.ask(ctx, identify, longest)
	return err
}
