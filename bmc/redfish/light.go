package redfish

import (
	"context"

	"github.com/hagane-cloud/hagane/bmc"
)

var lights = map[string]bmc.Light{"Off": bmc.LightOff, "Lit": bmc.LightOn, "Blinking": bmc.LightBlink}

// lamp is where the identify LED is: in the newer form a flag, in the older a word.
type lamp struct {
	at     link
	newer  bool
	active bool
	word   text
}

func (d *Driver) lamp(ctx context.Context) (lamp, error) {
	s, _, err := d.read(ctx)
	if err != nil {
		return lamp{}, err
	}
	if s.LocationIndicatorActive.set || s.IndicatorLED != "" {
		return lamp{link(d.system), s.LocationIndicatorActive.set, s.LocationIndicatorActive.value, s.IndicatorLED}, nil
	}
	paths, all, err := d.chassis(ctx, s)
	if err != nil {
		return lamp{}, err
	}
	for i, c := range all {
		if c.LocationIndicatorActive.set || c.IndicatorLED != "" {
			return lamp{paths[i], c.LocationIndicatorActive.set, c.LocationIndicatorActive.value, c.IndicatorLED}, nil
		}
	}
	return lamp{}, lacks("identify LED")
}

// Light reads the identify LED.
func (d *Driver) Light(ctx context.Context) (bmc.Light, error) {
	l, err := d.lamp(ctx)
	switch {
	case err != nil:
		return "", err
	case l.newer && l.active:
		return bmc.LightOn, nil
	case l.newer:
		return bmc.LightOff, nil
	}
	return lights[string(l.word)], nil
}

// SetLight changes the identify LED. Where the BMC knows a flag only, blinking is on.
func (d *Driver) SetLight(ctx context.Context, want bmc.Light) error {
	l, err := d.lamp(ctx)
	if err != nil {
		return err
	}
	var word string
	for w, v := range lights {
		if v == want {
			word = w
		}
	}
	if word == "" {
		return wrong("there is no light %q; there are off, on and blinking", want)
	}
	body := map[string]any{"IndicatorLED": word}
	if l.newer {
		body = map[string]any{"LocationIndicatorActive": want != bmc.LightOff}
	}
	_, err = d.patch(ctx, "switching the identify LED", l.at, "light", body)
	if err != nil && !l.newer && want == bmc.LightOn && bmc.ClassOf(err) == bmc.Refused {
		_, err = d.patch(ctx, "switching the identify LED", l.at, "light", map[string]any{"IndicatorLED": "Blinking"}) // HPE and Dell blink only
	}
	if err != nil {
		return err
	}
	var got bmc.Light
	ok, err := d.settles(ctx, func() (bool, error) {
		var err error
		got, err = d.Light(ctx)
		return (got == bmc.LightOff) == (want == bmc.LightOff), err
	})
	if err == nil && !ok {
		return untrue("the identify LED", want, got)
	}
	return err
}
