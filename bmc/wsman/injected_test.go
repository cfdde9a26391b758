package wsman

import (
	"log/slog"
	"testing"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
	bmcsimwsman "github.com/hagane-cloud/hagane/lab/bmcsim/wsman"
)

// misbehaving is a rig whose iDRAC plays a script of faults.
func misbehaving(t *testing.T, kind bmcsimwsman.Personality, script string) rig {
	t.Helper()
	rules, err := inject.Parse(t.Name(), script)
	if err != nil {
		t.Fatal(err)
	}
	engine := inject.NewEngine(rules, 1, slog.New(slog.DiscardHandler))
	t.Cleanup(engine.Close)
	return simulatedWith(t, kind, engine)
}

// Fact: BMCs accept a change and do nothing; for Dell iDRAC WS-MAN reading back finds it out.
func TestNothingHappensIsUntrue(t *testing.T) {
	d := drive(t, misbehaving(t, personality(t, "iDRAC9"), "wsman DCIM_iDRACCardService.*|DCIM_BIOSService.* => nothing").Access)
	d.pace.Settle = 0
	if err := d.SetBoot(t.Context(), bmc.Boot{Device: bmc.PXE}); bmc.ClassOf(err) != bmc.Untrue {
		t.Errorf("boot: %v", err)
	}
	if err := d.SetSettings(t.Context(), map[string]any{"LogicalProc": "Disabled"}); bmc.ClassOf(err) != bmc.Untrue {
		t.Errorf("settings: %v", err)
	}
}

// Fact: BMCs carry a change out and lose the answer; for Dell iDRAC WS-MAN a power on is seen by reading back and never sent twice.
func TestLostAnswerIsReadBack(t *testing.T) {
	g := misbehaving(t, personality(t, "iDRAC9"), "wsman *RequestStateChange times 2 => done, drop")
	d := drive(t, g.Access)
	if err := d.SetPower(t.Context(), bmc.PowerOn); err != nil || g.machine.Status().Boots != 1 {
		t.Errorf("%v after %d boots", err, g.machine.Status().Boots)
	}
	if err := d.SetPower(t.Context(), bmc.Reset); bmc.ClassOf(err) != bmc.Uncertain || g.machine.Status().Boots != 2 {
		t.Errorf("%v after %d boots", err, g.machine.Status().Boots)
	}
}

func TestStatusesOfTheWebServer(t *testing.T) {
	for script, want := range map[string]bmc.Class{"wsman DCIM_ComputerSystem => status 504 html": bmc.NotReady, "wsman DCIM_ComputerSystem => sessions": bmc.SessionsFull,
		"wsman DCIM_ComputerSystem => garble html": bmc.Garbled, "wsman DCIM_ComputerSystem => garble truncate": bmc.Garbled, "wsman DCIM_ComputerSystem => code X": bmc.Broken} {
		d := drive(t, misbehaving(t, personality(t, "iDRAC9"), script).Access)
		if p, err := d.Power(t.Context()); bmc.ClassOf(err) != want || p != bmc.Unknown {
			t.Errorf("%s: %s, %v", script, p, err)
		}
	}
	d := drive(t, misbehaving(t, personality(t, "iDRAC9"), "wsman DCIM_SystemView => health Critical").Access)
	if h, err := d.Health(t.Context()); err != nil || h.Word != "critical" || len(h.Causes) != 1 {
		t.Errorf("%+v, %v", h, err)
	}
}
