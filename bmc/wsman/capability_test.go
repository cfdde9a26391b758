package wsman

import (
	"testing"

	"github.com/hagane-cloud/hagane/bmc"
)

func TestSettings(t *testing.T) {
	d := drive(t, simulated(t, personality(t, "iDRAC9")).Access)
	ctx := t.Context()
	for name, bad := range map[string]map[string]any{"unknown": {"Nope": "1"}, "not allowed": {"LogicalProc": "Maybe"}, "read only": {"MemTest": "Enabled"}, "too small": {"AcPwrRcvryUserDelay": int64(1)}} {
		if err := d.SetSettings(ctx, bad); bmc.ClassOf(err) != bmc.Refused {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := d.ResetSettings(ctx); err != nil {
		t.Fatal(err)
	}
	all, err := d.Settings(ctx)
	if err != nil || !shows(all, map[string]string{"ProcVirtualization": "Enabled"}) || !pending(all) {
		t.Errorf("%+v, %v", all, err)
	}
	for range 2 {
		if err := d.DropPending(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if all, err = d.Settings(ctx); err != nil || pending(all) {
		t.Errorf("%+v, %v", all, err)
	}
	d = drive(t, simulated(t, personality(t, "iDRAC7")).Access)
	if err := d.ResetSettings(ctx); bmc.ClassOf(err) != bmc.Unsupported {
		t.Errorf("without defaults: %v", err)
	}
}

func TestControls(t *testing.T) {
	g := simulated(t, personality(t, "iDRAC9"))
	d := drive(t, g.Access)
	ctx := t.Context()
	if err := d.SetLight(ctx, bmc.LightBlink); err != nil || !g.bmc.Blinks() {
		t.Error(err)
	}
	if err := d.SetLight(ctx, bmc.LightOff); err != nil || g.bmc.Blinks() {
		t.Error(err)
	}
	if err := d.Interrupt(ctx); bmc.ClassOf(err) != bmc.Refused {
		t.Errorf("a server that is off: %v", err)
	}
	if err := d.SetPower(ctx, bmc.PowerOn); err != nil {
		t.Fatal(err)
	}
	if err := d.Interrupt(ctx); err != nil || g.bmc.Interrupts() != 1 {
		t.Error(err)
	}
	if err := d.RestartBMC(ctx, bmc.Cold); err != nil {
		t.Error(err)
	}
	if _, err := d.Power(ctx); bmc.ClassOf(err) != bmc.Unreachable {
		t.Errorf("while it is away: %v", err)
	}
}

func TestProbe(t *testing.T) {
	for _, name := range []string{"iDRAC6", "iDRAC7", "iDRAC9"} {
		offers, err := drive(t, simulated(t, personality(t, name)).Access).Probe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range offers {
			wants := o.Capability != bmc.CanLight && o.Capability != bmc.CanRestart && o.Capability != bmc.CanAccounts || name != "iDRAC6"
			if o.Works != wants || o.Evidence == "" {
				t.Errorf("%s: %+v", name, o)
			}
		}
	}
}

// Fact: Dell iDRACs keep users in fixed places, of which the first two are not ours, and empty a place to remove its user.
func TestUsersLiveInPlaces(t *testing.T) {
	g := simulated(t, personality(t, "iDRAC9"))
	d := drive(t, g.Access)
	ctx := t.Context()
	if err := d.AddAccount(ctx, "guest", "guest&password", "Operator"); err != nil {
		t.Fatal(err)
	}
	if err := d.AddAccount(ctx, "guest", "x", "Operator"); bmc.ClassOf(err) != bmc.Refused {
		t.Error(err)
	}
	all, err := d.Accounts(ctx)
	if err != nil || len(all) != 2 || all[1] != (bmc.Account{ID: "3", Name: "guest", Role: "Operator", Enabled: true}) {
		t.Errorf("%+v, %v", all, err)
	}
	a := g.Access
	a.Username, a.Password = "guest", "guest&password"
	if _, err := drive(t, a).Power(ctx); err != nil {
		t.Error(err)
	}
	if err := d.SetPassword(ctx, "admin", "another&word"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.RemoveAccount(ctx, "guest"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := drive(t, a).Power(ctx); bmc.ClassOf(err) != bmc.Credentials {
		t.Errorf("a user that was removed: %v", err)
	}
}
