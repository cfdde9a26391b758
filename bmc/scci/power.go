package scci

import (
	"context"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
)

func (d *driver) Power(ctx context.Context) (bmc.Power, error) {
	other, err := d.byIPMI()
	if err != nil {
		return bmc.Unknown, err
	}
	return other.Power(ctx)
}

func (d *driver) SetPower(ctx context.Context, a bmc.Action) error {
	now, err := d.Power(ctx)
	if err != nil {
		return err
	}
	code, want := "", bmc.Unknown
	switch {
	case a == bmc.PowerOn && now == bmc.On, (a == bmc.PowerOff || a == bmc.SoftOff) && now == bmc.Off:
		return nil
	case a != bmc.PowerOn && a != bmc.PowerOff && a != bmc.SoftOff && a != bmc.Reset:
		return fault.Errorf(fault.Invalid, "SCCI has no power action %q", a)
	case now == bmc.Unknown:
		return bmc.Fail(bmc.Failure{Class: bmc.NotReady}, "the iRMC does not know whether the server is on; nothing was pressed")
	case a == bmc.PowerOn, a == bmc.Reset && now == bmc.Off:
		code, want = "PowerOnCabinet", bmc.On
	case a == bmc.PowerOff:
		code, want = "PowerOffCabinet", bmc.Off
	case a == bmc.SoftOff:
		code = "RequestShutdownAndOff" // takes an agent in the operating system
	case a == bmc.Reset:
		code = "ResetServer"
	}
	err = d.act(ctx, code)
	if bmc.ClassOf(err) == bmc.Uncertain && want != bmc.Unknown {
		if p, looked := d.Power(ctx); looked == nil && p == want {
			return nil
		}
	}
	return err
}

// act carries out an action. One that comes too soon after another is refused without being begun, and tried again.
func (d *driver) act(ctx context.Context, code string) error {
	for again := 0; ; again++ {
		_, err := d.exec(ctx, code, action(code))
		if bmc.ClassOf(err) != bmc.Busy || again >= d.pace.Again {
			return err
		}
		if err := wait(ctx, d.pace.Every); err != nil {
			return err
		}
	}
}

// Boot is read by IPMI.
func (d *driver) Boot(ctx context.Context) (bmc.Boot, error) {
	other, err := d.byIPMI()
	if err != nil {
		return bmc.Boot{Device: bmc.None}, err
	}
	return other.Boot(ctx)
}

// SetBoot is done by IPMI.
func (d *driver) SetBoot(ctx context.Context, b bmc.Boot) error {
	other, err := d.byIPMI()
	if err != nil {
		return err
	}
	return other.SetBoot(ctx, b)
}

// Interrupt raises an NMI.
func (d *driver) Interrupt(ctx context.Context) error {
	if p, err := d.Power(ctx); err != nil || p != bmc.On {
		if err == nil {
			err = bmc.Fail(bmc.Failure{Class: bmc.Refused}, "the server is %s; only one that is on can be interrupted", p)
		}
		return err
	}
	return d.act(ctx, "RaiseNMI")
}

// RestartBMC resets the iRMC; SCCI has one way.
func (d *driver) RestartBMC(ctx context.Context, _ bmc.RestartKind) error {
	_, err := d.exec(ctx, "the iRMC's reset", action("ResetFirmware"))
	return err
}

// Light is read by IPMI.
func (d *driver) Light(ctx context.Context) (bmc.Light, error) {
	other, err := d.byIPMI()
	if err != nil {
		return "", err
	}
	l, err := bmc.As[bmc.LightControl](other)
	if err != nil {
		return "", err
	}
	return l.Light(ctx)
}

// SetLight is done by IPMI.
func (d *driver) SetLight(ctx context.Context, want bmc.Light) error {
	other, err := d.byIPMI()
	if err != nil {
		return err
	}
	l, err := bmc.As[bmc.LightControl](other)
	if err != nil {
		return err
	}
	return l.SetLight(ctx, want)
}
