package wsman

import (
	"context"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
)

// hostName is the server among the computer systems, of which the iDRAC is another.
const hostName = "srv:system"

func (d *driver) Power(ctx context.Context) (bmc.Power, error) {
	all, err := d.enumerate(ctx, "DCIM_ComputerSystem")
	if err != nil {
		return bmc.Unknown, err
	}
	host := pick(all, "Name", hostName)
	if host == nil {
		return bmc.Unknown, bmc.Fail(bmc.Failure{Class: bmc.NotReady}, "the iDRAC does not list the server among its computer systems; it may be starting")
	}
	switch host.Value("EnabledState") {
	case "2":
		return bmc.On, nil
	case "3":
		return bmc.Off, nil
	}
	return bmc.Unknown, nil
}

func (d *driver) SetPower(ctx context.Context, a bmc.Action) error {
	now, err := d.Power(ctx)
	if err != nil {
		return err
	}
	want := bmc.Unknown
	state := ""
	switch {
	case a == bmc.PowerOn && now == bmc.On, (a == bmc.PowerOff || a == bmc.SoftOff) && now == bmc.Off:
		return nil
	case a != bmc.PowerOn && a != bmc.PowerOff && a != bmc.SoftOff && a != bmc.Reset:
		return fault.Errorf(fault.Invalid, "WS-MAN has no power action %q", a)
	case now == bmc.Unknown:
		return bmc.Fail(bmc.Failure{Class: bmc.NotReady}, "the iDRAC does not know whether the server is on; nothing was pressed")
	case a == bmc.PowerOn, a == bmc.Reset && now == bmc.Off:
		state, want = "2", bmc.On
	case a == bmc.PowerOff:
		state, want = "3", bmc.Off
	case a == bmc.SoftOff:
		return d.manage(ctx, "12")
	case a == bmc.Reset:
		state = "11"
	}
	_, err = d.invoke(ctx, "DCIM_ComputerSystem", "RequestStateChange", false,
		[]pair{{"CreationClassName", "DCIM_ComputerSystem"}, {"Name", hostName}}, pair{"RequestedState", state})
	// A refusal because it already is so, or an answer that was lost: the power itself tells.
	if class := bmc.ClassOf(err); want != bmc.Unknown && (class == bmc.Uncertain || class == bmc.Refused) {
		if p, looked := d.Power(ctx); looked == nil && p == want {
			return nil
		}
	}
	return err
}

// manage asks the power management service for a state of CIM_PowerManagementService: 11 diagnostic interrupt,
// 12 off, asking the operating system.
func (d *driver) manage(ctx context.Context, state string) error {
	const class = "DCIM_CSPowerManagementService"
	_, err := d.invoke(ctx, class, "RequestPowerStateChange", false,
		[]pair{{"CreationClassName", class}, {"SystemCreationClassName", "DCIM_SPComputerSystem"}, {"SystemName", "systemmc"}, {"Name", "pwrmgtsvc:1"}}, pair{"PowerState", state})
	return err
}

// Interrupt raises an NMI.
func (d *driver) Interrupt(ctx context.Context) error {
	if p, err := d.Power(ctx); err != nil || p != bmc.On {
		if err == nil {
			err = bmc.Fail(bmc.Failure{Class: bmc.Refused}, "the server is %s; only one that is on can be interrupted", p)
		}
		return err
	}
	return d.manage(ctx, "11")
}

// RestartBMC resets the iDRAC; cold does not wait for what it is doing.
func (d *driver) RestartBMC(ctx context.Context, k bmc.RestartKind) error {
	force := "0"
	if k == bmc.Cold {
		force = "1"
	}
	_, err := d.invoke(ctx, "DCIM_iDRACCardService", "iDRACReset", false, serviceOf("DCIM_iDRACCardService"), pair{"Force", force})
	return err
}

// Light is not told by WS-MAN.
func (d *driver) Light(context.Context) (bmc.Light, error) { return "", nil }

// SetLight makes the identify LED blink or not; it knows no steady light. There is nothing to read back.
func (d *driver) SetLight(ctx context.Context, l bmc.Light) error {
	const class = "DCIM_SystemManagementService"
	state, ok := map[bmc.Light]string{bmc.LightOn: "1", bmc.LightBlink: "1", bmc.LightOff: "0"}[l]
	if !ok {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "the identify LED can not be %q", l)
	}
	_, err := d.invoke(ctx, class, "IdentifyChassis", false, service(class, hostName, "DCIM:SystemManagementService"), pair{"IdentifyState", state})
	return err
}
