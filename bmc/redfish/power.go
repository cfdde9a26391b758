package redfish

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/wire"
)

func powerOf(s system) bmc.Power {
	switch s.PowerState {
	case "On":
		return bmc.On
	case "Off":
		return bmc.Off
	}
	return bmc.Unknown // PoweringOn, PoweringOff, Paused, or nothing
}

// Power reads the power state of the system; its chassis may say otherwise (OpenBMC) and is not asked.
func (d *Driver) Power(ctx context.Context) (bmc.Power, error) {
	s, _, err := d.read(ctx)
	if err != nil {
		return bmc.Unknown, err
	}
	return powerOf(s), nil
}

// resets are the reset types for each action, best first. A soft off never becomes a hard one, and
// GracefulRestart is never used: iDRAC8 makes a hard reset of it, and HPE a warm one.
var resets = map[bmc.Action][]string{
	bmc.PowerOn:  {"On", "ForceOn"},
	bmc.PowerOff: {"ForceOff"},
	bmc.SoftOff:  {"GracefulShutdown"},
	bmc.Reset:    {"ForceRestart", "PowerCycle"},
}

// interrupts are the reset types of an NMI.
var interrupts = []string{"Nmi"}

// SetPower carries out an action.
func (d *Driver) SetPower(ctx context.Context, a bmc.Action) error {
	s, _, err := d.read(ctx)
	if err != nil {
		return err
	}
	kinds, ok := resets[a]
	if !ok {
		return wrong("Redfish has no power action %q", a)
	}
	now := powerOf(s)
	switch {
	case a == bmc.PowerOn && now == bmc.On, (a == bmc.PowerOff || a == bmc.SoftOff) && now == bmc.Off:
		return nil
	case now == bmc.Unknown && a == bmc.Reset:
		// Unknown never presses a button whose effect depends on the state.
		return bmc.Fail(bmc.Failure{Class: bmc.Busy, Code: string(s.PowerState)}, "the BMC says that the power is %q; a reset has to wait until it is on or off", s.PowerState)
	case a == bmc.Reset && now == bmc.Off:
		a, kinds = bmc.PowerOn, resets[bmc.PowerOn] // a restart of a server that is off is answered 500 or refused by some
	}
	if a == bmc.PowerOn || a == bmc.Reset {
		if err := d.reassert(ctx); err != nil {
			return err
		}
	}
	p, err := d.know(ctx)
	if err != nil {
		return err
	}
	if a == bmc.Reset && p != nil && p.Power.Restart == "off-on" {
		return d.offOn(ctx, s, p.Power.Pause)
	}
	err = d.press(ctx, s, string(a), kinds)
	if a == bmc.Reset && bmc.ClassOf(err) == bmc.Unsupported {
		return d.offOn(ctx, s, 0) // the BMC knows no reset: off, and on again
	}
	return d.already(ctx, a, err)
}

// press sends the first of the reset types that the device takes. What it offers is what it says; when it
// says nothing, they are tried, and the one that worked is remembered.
func (d *Driver) press(ctx context.Context, s system, doing string, kinds []string) error {
	reset := s.Actions.Reset
	if reset == nil {
		if d.irmc(s) {
			return d.irmcPress(ctx, s, doing, kinds)
		}
		return lacks("reset of the system")
	}
	offered, err := d.offered(ctx, *reset)
	if err != nil {
		return err
	}
	target := reset.Target
	if target == "" {
		target = link(d.system).under("Actions/ComputerSystem.Reset")
	}
	if known := d.access.Memory.Get(resetFact + doing); known != "" {
		kinds = append([]string{known}, kinds...)
	}
	var last error
	for _, kind := range kinds {
		if len(offered) > 0 && !slices.Contains(offered, kind) {
			continue
		}
		last = d.push(ctx, doing, target, map[string]string{"ResetType": kind})
		if c := bmc.ClassOf(last); c == bmc.Refused || c == bmc.Unsupported {
			continue
		}
		if last == nil && len(offered) == 0 {
			d.access.Memory.Set(resetFact+doing, kind)
		}
		return last
	}
	if last != nil {
		return last
	}
	return bmc.Fail(bmc.Failure{Class: bmc.Unsupported}, "the BMC offers no %q; it offers %s", doing, strings.Join(offered, ", "))
}

// push sends a press. A BMC that refuses it for now, as in POST, is looked at before it is pressed again: meanwhile the server may
// have gone where it should by itself.
func (d *Driver) push(ctx context.Context, doing string, path link, body any) error {
	moot := func(ctx context.Context) bool { return d.reached(ctx, bmc.Action(doing)) }
	_, err := d.fetch(ctx, request{method: http.MethodPost, path: string(path), body: body, doing: doing, patience: wire.Transfer, moot: moot}, nil)
	return err
}

// offered returns the reset types that the BMC says it knows; none when it does not say.
func (d *Driver) offered(ctx context.Context, a action) ([]string, error) {
	types := a.Types
	if len(types) == 0 && a.Info != "" {
		// Some tell it only in a document of its own: Supermicro X13, AMI, OpenBMC.
		var info struct {
			Parameters many[struct {
				Name   text
				Values many[text] `json:"AllowableValues"`
			}]
		}
		if _, err := d.get(ctx, a.Info, &info); err != nil && !absent(err) {
			return nil, err
		}
		for _, p := range info.Parameters {
			if p.Name == "ResetType" {
				types = p.Values
			}
		}
	}
	var out []string
	for _, t := range types {
		out = append(out, string(t))
	}
	return out, nil
}

// already forgives a refusal of something that is so already: Dell answers 409 to it, HPE 400.
func (d *Driver) already(ctx context.Context, a bmc.Action, err error) error {
	c := bmc.ClassOf(err)
	if err == nil || (c != bmc.Busy && c != bmc.Refused) {
		return err
	}
	if d.reached(ctx, a) {
		return nil
	}
	return err
}

// reached reports whether the power is what an action brings. A reset ends where it began: it is never reached.
func (d *Driver) reached(ctx context.Context, a bmc.Action) bool {
	var want bmc.Power
	switch a {
	case bmc.PowerOn:
		want = bmc.On
	case bmc.PowerOff, bmc.SoftOff:
		want = bmc.Off
	default:
		return false
	}
	now, err := d.Power(ctx)
	return err == nil && now == want
}

// offOn restarts a server by cutting its power and putting it on again: for hosts that hang in a reset, and
// BMCs that know none.
func (d *Driver) offOn(ctx context.Context, s system, pause time.Duration) error {
	if err := d.already(ctx, bmc.PowerOff, d.press(ctx, s, string(bmc.PowerOff), resets[bmc.PowerOff])); err != nil {
		return err
	}
	off, err := d.settles(ctx, func() (bool, error) {
		p, err := d.Power(ctx)
		return p == bmc.Off, err
	})
	if err != nil {
		return err
	}
	if !off {
		return untrue("power off, the first half of a restart:", bmc.Off, bmc.On)
	}
	if !bmc.Wait(ctx, pause) {
		return bmc.Fail(bmc.Failure{Class: bmc.Uncertain, Err: ctx.Err()}, "the restart was broken off while the server was off")
	}
	return d.already(ctx, bmc.PowerOn, d.press(ctx, s, string(bmc.PowerOn), resets[bmc.PowerOn]))
}

// Interrupt raises an NMI.
func (d *Driver) Interrupt(ctx context.Context) error {
	s, _, err := d.read(ctx)
	if err != nil {
		return err
	}
	if powerOf(s) != bmc.On {
		return bmc.Fail(bmc.Failure{Class: bmc.Busy}, "the server is not on: there is nothing to interrupt")
	}
	return d.press(ctx, s, "NMI", interrupts)
}
