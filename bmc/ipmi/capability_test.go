package ipmi

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/profile"
	"github.com/hagane-cloud/hagane/bmc/record"
	"github.com/hagane-cloud/hagane/lab/machine"
)

// Fact: IPMI BMCs without the force bit of Chassis Identify answer 0xC7 or 0xCC; there the longest interval is taken.
func TestLightWithoutTheForceBit(t *testing.T) {
	for _, code := range []string{"0xC7", "0xCC"} {
		g := misbehaving(t, `ipmi "Chassis Identify" times 1 => code `+code)
		g.access.Memory = &bmc.Memory{}
		d := drive(t, g.access)
		if err := d.SetLight(t.Context(), bmc.LightOn); err != nil || g.access.Memory.Get(lightFact) != "interval" {
			t.Errorf("%s: %v", code, err)
		}
		if l, err := d.Light(t.Context()); err != nil || l != bmc.LightOn {
			t.Errorf("%s: %s, %v", code, l, err)
		}
		if err := d.SetLight(t.Context(), bmc.LightOff); err != nil {
			t.Error(err)
		}
		if l, err := d.Light(t.Context()); err != nil || l != bmc.LightOff {
			t.Errorf("%s: off: %s, %v", code, l, err)
		}
	}
}

// Fact: an IPMI event log that is full drops new events and says so by a flag.
func TestFullEventLog(t *testing.T) {
	g := misbehaving(t, "")
	for range 20 {
		g.bmc.Log(0x04, 3, 0x01, 0x02)
	}
	d := drive(t, g.access)
	all, err := d.Events(t.Context(), 100)
	if err != nil || len(all) != 17 || all[16].ID != "overflow" || all[0].ID != "1" {
		t.Fatalf("%d: %+v, %v", len(all), all, err)
	}
	if err := d.ClearEvents(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all, err = d.Events(t.Context(), 100); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
}

// Fact: IPMI event times up to 0x20000000 count from the BMC's start, so that events are ordered by their ids.
func TestTimesBeforeTheClockWasSet(t *testing.T) {
	d := drive(t, misbehaving(t, "").access)
	all, err := d.Events(t.Context(), 100)
	if err != nil || len(all) != 2 || !all[0].At.IsZero() || all[1].At.Year() != 2026 || all[1].Severity != "critical" || !strings.Contains(all[1].Sensor, "temperature") {
		t.Errorf("%+v, %v", all, err)
	}
}

// Fact: IPMI cancels a reservation of the event log (0xC5) when somebody else changes it; it is to be made anew.
func TestReservationThatWasCancelled(t *testing.T) {
	d := drive(t, misbehaving(t, `ipmi "Clear SEL" times 1 => code 0xC5`).access)
	if err := d.ClearEvents(t.Context()); err != nil {
		t.Error(err)
	}
	d = drive(t, misbehaving(t, `ipmi "Get SEL Entry" times 1 => code 0xC5`).access)
	if all, err := d.Events(t.Context(), 9); err != nil || len(all) != 2 {
		t.Errorf("%+v, %v", all, err)
	}
}

// Fact: DCMI power readings come short from BMCs that are not wired to their power supplies: absent, not zero.
func TestShortDCMIReadingIsAbsent(t *testing.T) {
	g := misbehaving(t, "")
	d := drive(t, g.access)
	if w, ok := d.dcmiPower(t.Context()); ok {
		t.Errorf("off: %v W", w)
	}
	if err := g.machine.Power(t.Context(), machine.PowerOn); err != nil {
		t.Fatal(err)
	}
	if w, ok := d.dcmiPower(t.Context()); !ok || w < 100 {
		t.Errorf("on: %v W, %v", w, ok)
	}
	h, err := d.Health(t.Context())
	if err != nil || h.Word != "ok" {
		t.Errorf("%+v, %v", h, err)
	}
}

// Fact: IPMI serial consoles have room for one; a stale connection of our own user is to be taken over (0x80).
func TestStaleConsoleIsTakenOver(t *testing.T) {
	g := misbehaving(t, "")
	d := drive(t, g.access)
	stale, err := d.Console(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stale.Close() }()
	c, err := d.Console(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 1)
	go func() {
		var all strings.Builder
		buf := make([]byte, 256)
		for !strings.Contains(all.String(), "\n") {
			n, err := c.Read(buf)
			all.Write(buf[:n])
			if err != nil {
				break
			}
		}
		seen <- all.String()
	}()
	if err := d.SetPower(t.Context(), bmc.PowerOn); err != nil {
		t.Fatal(err)
	}
	select {
	case text := <-seen:
		if strings.TrimSpace(text) == "" {
			t.Errorf("the console shows %q", text)
		}
	case <-time.After(15 * time.Second):
		t.Error("the console shows nothing")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after its end: %v", err)
	}
}

// Fact: a cold reset of a BMC kills its IPMI sessions, and the BMC is away for a while.
func TestRestartForgetsTheSession(t *testing.T) {
	g := misbehaving(t, "")
	d := drive(t, g.access)
	if err := d.RestartBMC(t.Context(), bmc.Cold); err != nil || d.session != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		if p, err := d.Power(t.Context()); err == nil {
			if p != bmc.Off {
				t.Error(p)
			}
			return
		} else if time.Now().After(deadline) || bmc.ClassOf(err) != bmc.Unreachable {
			t.Fatal(err)
		}
	}
}

// Fact: weak IPMI BMCs need time between two commands.
func TestTimeBetweenCommands(t *testing.T) {
	g := misbehaving(t, "")
	g.access.Profile = &profile.Profile{IPMI: profile.IPMI{Between: 80 * time.Millisecond}}
	d := drive(t, g.access)
	began := time.Now()
	for range 4 {
		if _, err := d.Power(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took < 240*time.Millisecond {
		t.Errorf("4 commands in %s", took)
	}
}

func TestAccounts(t *testing.T) {
	g := misbehaving(t, "")
	g.access.Recorder = record.NewWhole()
	d := drive(t, g.access)
	ctx := t.Context()
	if err := d.AddAccount(ctx, "guest", "guestpassword", "Operator"); err != nil {
		t.Fatal(err)
	}
	if err := d.AddAccount(ctx, "guest", "x", "Operator"); bmc.ClassOf(err) != bmc.Refused {
		t.Error(err)
	}
	all, err := d.Accounts(ctx)
	if err != nil || len(all) != 2 || all[1].Name != "guest" || all[1].Role != "Operator" || !all[1].Enabled {
		t.Errorf("%+v, %v", all, err)
	}
	if err := d.SetPassword(ctx, "admin", "another-password"); err != nil {
		t.Fatal(err)
	}
	if p, err := d.Power(ctx); err != nil || p != bmc.Off {
		t.Errorf("with the new password: %s, %v", p, err)
	}
	for range 2 {
		if err := d.RemoveAccount(ctx, "guest"); err != nil {
			t.Fatal(err)
		}
	}
	if all, err = d.Accounts(ctx); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	var text strings.Builder
	if err := record.Write(&text, g.access.Recorder.Exchanges()); err != nil {
		t.Fatal(err)
	}
	if s := text.String(); strings.Contains(s, fmt.Sprintf("%x", "guestpassword")) || strings.Contains(s, fmt.Sprintf("%x", "another-password")) || !strings.Contains(s, "Set User Password") {
		t.Error("the recording holds a password, or nothing")
	}
}

func TestInterruptAndProbe(t *testing.T) {
	g := misbehaving(t, "")
	d := drive(t, g.access)
	ctx := t.Context()
	if err := d.Interrupt(ctx); bmc.ClassOf(err) != bmc.Refused {
		t.Error(err)
	}
	if err := d.SetPower(ctx, bmc.PowerOn); err != nil {
		t.Fatal(err)
	}
	if err := d.Interrupt(ctx); err != nil || g.bmc.Interrupts() != 1 {
		t.Error(err)
	}
	offers, err := d.Probe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range offers {
		if !o.Works || o.Evidence == "" {
			t.Errorf("%+v", o)
		}
	}
}
