package scci

import (
	"log/slog"
	"testing"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
	bmcsimscci "github.com/hagane-cloud/hagane/lab/bmcsim/scci"
)

// misbehaving is a rig whose iRMC plays a script of faults.
func misbehaving(t *testing.T, kind bmcsimscci.Personality, script string) rig {
	t.Helper()
	rules, err := inject.Parse(t.Name(), script)
	if err != nil {
		t.Fatal(err)
	}
	engine := inject.NewEngine(rules, 1, slog.New(slog.DiscardHandler))
	t.Cleanup(engine.Close)
	return simulatedWith(t, kind, engine)
}

// Fact: BMCs accept a change and do nothing; for Fujitsu iRMC SCCI reading back finds it out.
func TestNothingHappensIsUntrue(t *testing.T) {
	d := drive(t, misbehaving(t, personality(t, "iRMC S5"), "scci write E002|ConnectRemoteCdImage => nothing").Access)
	d.pace.Settle = 0
	if _, err := d.Insert(t.Context(), bmc.CD, "nfs://10.0.0.1/srv/a.iso"); bmc.ClassOf(err) != bmc.Untrue {
		t.Errorf("media: %v", err)
	}
	if err := d.AddAccount(t.Context(), "guest", "guestpassword", "Operator"); bmc.ClassOf(err) != bmc.Untrue {
		t.Errorf("account: %v", err)
	}
}

// Fact: BMCs carry a change out and lose the answer; for Fujitsu iRMC SCCI a power on is seen by reading back and never sent twice.
func TestLostAnswerIsReadBack(t *testing.T) {
	g := misbehaving(t, personality(t, "iRMC S4"), "scci PowerOnCabinet|ResetServer times 2 => done, drop")
	d := drive(t, g.Access)
	if _, err := d.Identify(t.Context()); err != nil { // with authentication
		t.Fatal(err)
	}
	if err := d.SetPower(t.Context(), bmc.PowerOn); err != nil || g.machine.Status().Boots != 1 {
		t.Errorf("%v after %d boots", err, g.machine.Status().Boots)
	}
	if err := d.SetPower(t.Context(), bmc.Reset); bmc.ClassOf(err) != bmc.Uncertain || g.machine.Status().Boots != 2 {
		t.Errorf("%v after %d boots", err, g.machine.Status().Boots)
	}
}

func TestStatusesOfTheWebServer(t *testing.T) {
	for script, want := range map[string]bmc.Class{"scci /report.xml => status 503 empty": bmc.NotReady, "scci /report.xml => garble html": bmc.Garbled, "scci /report.xml => status 500 html": bmc.Broken} {
		if _, err := drive(t, misbehaving(t, personality(t, "iRMC S5"), script).Access).Identify(t.Context()); bmc.ClassOf(err) != want {
			t.Errorf("%s: %v", script, err)
		}
	}
	d := drive(t, misbehaving(t, personality(t, "iRMC S5"), "scci /report.xml => health Critical").Access)
	if err := d.SetPower(t.Context(), bmc.PowerOn); err != nil {
		t.Fatal(err)
	}
	if h, err := d.Health(t.Context()); err != nil || h.Word != "critical" || len(h.Causes) != 2 {
		t.Errorf("%+v, %v", h, err)
	}
}
