// Package bmctest is the conformance suite of BMC drivers: what every implementation of bmc.Driver
// promises, whatever BMC is behind it. A driver's own test makes a Target and calls Run.
package bmctest

import (
	"context"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
)

// Check names a part of the suite.
type Check string

// The checks.
const (
	Identity    Check = "identity"
	Power       Check = "power"
	BootDevice  Check = "boot device"
	BootOnce    Check = "boot once is used up by one boot"
	BootAlways  Check = "persistent boot stays"
	Sensors     Check = "sensors"
	Credentials Check = "wrong password"
	Refusing    Check = "nobody at the address"
	Silence     Check = "no answer from the address"
	Cancelling  Check = "obeys its context"
	Closing     Check = "close and use again"
	Forgetting  Check = "the BMC forgets the session"
	Media       Check = "virtual media"
	Settings    Check = "BIOS settings"
	BootMode    Check = "boot mode"
	SecureBoot  Check = "secure boot"
	Light       Check = "identify LED"
	Events      Check = "event log"
	Users       Check = "users"
	RestartBMC  Check = "BMC restart"
	Interrupt   Check = "NMI"
	NICs        Check = "network interfaces"
	Firmware    Check = "firmware"
	Health      Check = "health"
	Order       Check = "boot order"
	Sessions    Check = "sessions of others"
)

// Target is a server to test a driver with. It starts off and without a boot override.
type Target struct {
	Open    bmc.Opener
	Access  bmc.Access
	Network string // tcp or udp, that the protocol runs over
	Serial  string // of the server; "" when the BMC does not tell it
	// Boots counts how often the server was started or reset; nil when nobody knows.
	Boots func() int
	// Obeys says that an operating system runs on the server that goes off when it is asked to. Without one a server stays on.
	Obeys bool
	// Restart restarts the BMC alone: it forgets its sessions and nothing else.
	Restart func(t *testing.T)
	// Cannot reports the boot overrides that BMCs of this kind do not have: they must be refused as Invalid and change nothing. nil: all are there.
	Cannot func(b bmc.Boot) bool
	// MediaURL makes the URL of a CD image that the BMC can fetch; nil serves one by HTTP.
	MediaURL func(t *testing.T) string
	// Lacks says for the checks that do not fit the BMC why they do not.
	Lacks map[Check]string
}

// Run tests a driver. make returns a fresh target for each check.
func Run(t *testing.T, make func(t *testing.T) Target) {
	for _, c := range []struct {
		name Check
		run  func(t *testing.T, g Target)
	}{
		{Identity, identity}, {Power, power}, {BootDevice, bootDevice}, {BootOnce, bootOnce}, {BootAlways, bootAlways}, {Sensors, sensors},
		{Credentials, credentials}, {Refusing, refusing}, {Silence, silence}, {Cancelling, cancelling}, {Closing, closing}, {Forgetting, forgetting},
		{Media, media}, {Settings, settings}, {BootMode, bootMode}, {SecureBoot, secureBoot}, {Light, light}, {Events, events}, {Users, users},
		{RestartBMC, restartBMC}, {Interrupt, interrupt}, {NICs, nics}, {Firmware, firmware}, {Health, healthy}, {Order, order}, {Sessions, sessions},
	} {
		t.Run(string(c.name), func(t *testing.T) {
			g := make(t)
			if why := g.Lacks[c.name]; why != "" {
				t.Skip(why)
			}
			c.run(t, g)
		})
	}
}

// patience bounds the waiting for a state that takes moments.
const patience = 30 * time.Second

// open opens a driver that is closed when the test ends.
func open(t *testing.T, g Target, a bmc.Access) bmc.Driver {
	t.Helper()
	d, err := g.Open(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := d.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return d
}

// until polls until ok and fails the test when that takes too long.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", patience, what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// reach waits until the power state is as wanted.
func reach(t *testing.T, d bmc.Driver, want bmc.Power) {
	t.Helper()
	until(t, "the power to be "+string(want), func() bool {
		p, err := d.Power(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return p == want
	})
}

// do carries out an action.
func do(t *testing.T, d bmc.Driver, a bmc.Action) {
	t.Helper()
	if err := d.SetPower(t.Context(), a); err != nil {
		t.Fatalf("%s: %v", a, err)
	}
}

func identity(t *testing.T, g Target) {
	d := open(t, g, g.Access)
	first, err := d.Identify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if first.BMCVendor == "" || first.BMCVersion == "" {
		t.Errorf("the BMC does not say what it is: %+v", first)
	}
	if first.Serial != g.Serial {
		t.Errorf("the serial number is %q, want %q", first.Serial, g.Serial)
	}
	again, err := d.Identify(t.Context())
	if err != nil || again != first {
		t.Errorf("the second answer is %+v, %v; the first was %+v", again, err, first)
	}
}

func sensors(t *testing.T, g Target) {
	d := open(t, g, g.Access)
	units := map[string]string{"temperature": "Cel", "fan": "RPM", "voltage": "V", "current": "A", "power": "W"}
	for _, state := range []bmc.Power{bmc.Off, bmc.On} {
		reach(t, d, state)
		all, err := d.Sensors(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		read := 0
		for _, s := range all {
			if s.Name == "" || (units[s.Kind] != "" && s.Unit != units[s.Kind] && s.Unit != "%") {
				t.Errorf("%+v", s)
			}
			if s.Value == nil {
				continue
			}
			read++
			if s.Kind == "temperature" && (*s.Value < 1 || *s.Value > 120) {
				t.Errorf("%s reads %v %s", s.Name, *s.Value, s.Unit)
			}
		}
		if read == 0 {
			t.Errorf("none of %d sensors has a reading while the server is %s", len(all), state)
		}
		do(t, d, bmc.PowerOn)
	}
}

// wantFault fails unless err is of a kind.
func wantFault(t *testing.T, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Errorf("got %v (%s), want a fault of kind %q", err, fault.KindOf(err), kind)
	}
}
