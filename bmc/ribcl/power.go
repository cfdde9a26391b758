package ribcl

import (
	"context"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
)

func (d *driver) Power(ctx context.Context) (bmc.Power, error) {
	c := server("GET_HOST_POWER_STATUS")
	r, err := d.do(ctx, c)
	if err != nil {
		return bmc.Unknown, err
	}
	e, err := r.need(c, "GET_HOST_POWER")
	if err != nil {
		return bmc.Unknown, err
	}
	switch strings.ToUpper(e.Attr("HOST_POWER")) {
	case "ON":
		return bmc.On, nil
	case "OFF":
		return bmc.Off, nil
	}
	return bmc.Unknown, nil
}

func (d *driver) SetPower(ctx context.Context, a bmc.Action) error {
	now, err := d.Power(ctx)
	if err != nil {
		return err
	}
	var c command
	want := bmc.Unknown
	switch {
	case a == bmc.PowerOn && now == bmc.On, (a == bmc.PowerOff || a == bmc.SoftOff) && now == bmc.Off:
		return nil
	case a != bmc.PowerOn && a != bmc.PowerOff && a != bmc.SoftOff && a != bmc.Reset:
		return fault.Errorf(fault.Invalid, "RIBCL has no power action %q", a)
	case now == bmc.Unknown:
		return bmc.Fail(bmc.Failure{Class: bmc.NotReady}, "the iLO does not know whether the server is on; nothing was pressed")
	case a == bmc.PowerOn, a == bmc.Reset && now == bmc.Off:
		c, want = server("SET_HOST_POWER", "HOST_POWER", "Yes"), bmc.On
	case a == bmc.PowerOff:
		c, want = server("HOLD_PWR_BTN", "TOGGLE", "No"), bmc.Off // "No" never turns a server on
	case a == bmc.SoftOff:
		c = server("PRESS_PWR_BTN")
	case a == bmc.Reset:
		c = server("RESET_SERVER")
	}
	_, err = d.do(ctx, c.change(""))
	// What became of a request without an answer shows in the power itself, where the action has an aim.
	if bmc.ClassOf(err) == bmc.Uncertain && want != bmc.Unknown {
		if p, looked := d.Power(ctx); looked == nil && p == want {
			return nil
		}
	}
	return err
}

// RestartBMC resets the iLO; RIBCL has one way.
func (d *driver) RestartBMC(ctx context.Context, _ bmc.RestartKind) error {
	_, err := d.do(ctx, rib("RESET_RIB").change(""))
	return err
}

func (d *driver) Light(ctx context.Context) (bmc.Light, error) {
	c := server("GET_UID_STATUS")
	r, err := d.do(ctx, c)
	if err != nil {
		return "", err
	}
	e, err := r.need(c, "GET_UID_STATUS")
	if err != nil {
		return "", err
	}
	switch strings.ToUpper(e.Attr("UID")) {
	case "ON":
		return bmc.LightOn, nil
	case "OFF":
		return bmc.LightOff, nil
	case "FLASHING", "BLINK":
		return bmc.LightBlink, nil
	}
	return "", nil
}

func (d *driver) SetLight(ctx context.Context, l bmc.Light) error {
	word, ok := map[bmc.Light]string{bmc.LightOn: "Yes", bmc.LightOff: "No"}[l]
	if !ok {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "RIBCL turns the identify LED on or off; it has no way to make it %s", l)
	}
	if now, err := d.Light(ctx); err != nil || now == l {
		return err
	}
	if _, err := d.do(ctx, server("UID_CONTROL", "UID", word).change("")); err != nil {
		return err
	}
	return d.settle(ctx, "the identify LED "+string(l), func() (bool, error) {
		now, err := d.Light(ctx)
		return now == l, err
	})
}
