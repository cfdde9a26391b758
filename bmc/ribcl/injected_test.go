package ribcl

import (
	"log/slog"
	"testing"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
	bmcsimribcl "github.com/hagane-cloud/hagane/lab/bmcsim/ribcl"
)

// misbehaving is a rig whose iLO plays a script of faults.
func misbehaving(t *testing.T, kind bmcsimribcl.Personality, script string) rig {
	t.Helper()
	rules, err := inject.Parse(t.Name(), script)
	if err != nil {
		t.Fatal(err)
	}
	engine := inject.NewEngine(rules, 1, slog.New(slog.DiscardHandler))
	t.Cleanup(engine.Close)
	return simulatedWith(t, kind, engine)
}

// Fact: BMCs accept a change and do nothing; for HPE iLO RIBCL reading back finds it out.
func TestNothingHappensIsUntrue(t *testing.T) {
	d := drive(t, misbehaving(t, personality(t, "iLO4"), "ribcl SET_ONE_TIME_BOOT|INSERT_VIRTUAL_MEDIA|UID_CONTROL => nothing").Access)
	d.pace.Settle = 0
	if err := d.SetBoot(t.Context(), bmc.Boot{Device: bmc.PXE}); bmc.ClassOf(err) != bmc.Untrue {
		t.Errorf("boot: %v", err)
	}
	if _, err := d.Insert(t.Context(), bmc.CD, "http://10.0.0.1/a.iso"); bmc.ClassOf(err) != bmc.Untrue {
		t.Errorf("media: %v", err)
	}
	if err := d.SetLight(t.Context(), bmc.LightOn); bmc.ClassOf(err) != bmc.Untrue {
		t.Errorf("light: %v", err)
	}
}

// Fact: BMCs carry a change out and lose the answer; a power on is seen by reading back and never sent twice.
func TestLostAnswerIsReadBack(t *testing.T) {
	for _, name := range []string{"iLO2", "iLO4"} {
		g := misbehaving(t, personality(t, name), "ribcl SET_HOST_POWER times 1 => done, drop\nribcl RESET_SERVER times 1 => done, drop")
		d := drive(t, g.Access)
		if err := d.SetPower(t.Context(), bmc.PowerOn); err != nil || g.machine.Status().Boots != 1 {
			t.Errorf("%s: %v after %d boots", name, err, g.machine.Status().Boots)
		}
		if err := d.SetPower(t.Context(), bmc.Reset); bmc.ClassOf(err) != bmc.Uncertain || g.machine.Status().Boots != 2 {
			t.Errorf("%s: %v after %d boots", name, err, g.machine.Status().Boots)
		}
	}
}

// Fact: BMCs break connections now and then; a read is tried again.
func TestReadsAreTriedAgain(t *testing.T) {
	for _, name := range []string{"iLO2", "iLO4"} {
		d := drive(t, misbehaving(t, personality(t, name), "ribcl GET_HOST_POWER_STATUS times 2 => drop").Access)
		if p, err := d.Power(t.Context()); err != nil || p != bmc.Off {
			t.Errorf("%s: %s, %v", name, p, err)
		}
	}
}

func TestStatusesOfTheWebServer(t *testing.T) {
	for script, want := range map[string]bmc.Class{"ribcl GET_HOST_POWER_STATUS => status 503 empty": bmc.NotReady, "ribcl GET_HOST_POWER_STATUS => status 403 html": bmc.Privilege,
		"ribcl GET_HOST_POWER_STATUS => garble html": bmc.Garbled, "ribcl GET_HOST_POWER_STATUS => code 0x002e": bmc.Licence} {
		d := drive(t, misbehaving(t, personality(t, "iLO4"), script).Access)
		if p, err := d.Power(t.Context()); bmc.ClassOf(err) != want || p != bmc.Unknown {
			t.Errorf("%s: %s, %v", script, p, err)
		}
	}
	d := drive(t, misbehaving(t, personality(t, "iLO4"), "ribcl GET_EMBEDDED_HEALTH => garble control, health Critical").Access)
	if h, err := d.Health(t.Context()); err == nil && h.Word != "critical" {
		t.Errorf("%+v", h)
	}
}
