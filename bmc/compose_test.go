package bmc

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/bmc/profile"
)

// board is a small driver in memory. Each call ends as fails says for its name; what is not there works.
type board struct {
	name  string
	fails map[string]Class
	calls []string
	id    Identity
	power Power
	boot  Boot
}

func (b *board) call(name string) error {
	b.calls = append(b.calls, name)
	if class, ok := b.fails[name]; ok {
		return Fail(Failure{Class: class}, "%s of %s", name, b.name)
	}
	return nil
}

func (b *board) Identify(context.Context) (Identity, error)    { return b.id, b.call("identify") }
func (b *board) Power(context.Context) (Power, error)          { return b.power, b.call("power") }
func (b *board) SetPower(_ context.Context, a Action) error    { return b.call(string(a)) }
func (b *board) Boot(context.Context) (Boot, error)            { return b.boot, b.call("boot") }
func (b *board) SetBoot(_ context.Context, boot Boot) error    { b.boot = boot; return b.call("set boot") }
func (b *board) Sensors(context.Context) ([]Sensor, error)     { return nil, b.call("sensors") }
func (b *board) Close(context.Context) error                   { return b.call("close") }
func (b *board) Interrupt(context.Context) error               { return b.call("interrupt") }
func (b *board) RestartBMC(context.Context, RestartKind) error { return b.call("restart") }
func (b *board) Probe(context.Context) ([]Offer, error) {
	var out []Offer
	for _, c := range []Capability{CanPower, CanBoot} {
		_, lacks := b.fails[string(c)]
		out = append(out, Offer{Capability: c, Works: !lacks, Evidence: "looked"})
	}
	return out, b.call("probe")
}

// two composes two boards, redfish and then ipmi.
func two(t *testing.T, p *profile.Profile) (c *Composed, first, second *board, m *Memory) {
	t.Helper()
	boards := map[string]*board{"redfish": {name: "redfish", power: On}, "ipmi": {name: "ipmi", power: Off}}
	m = &Memory{}
	open := func(_ context.Context, a Access) (Driver, error) { return boards[a.Driver], nil }
	c = Compose(open, []Access{{Driver: "redfish", Memory: m, Profile: p}, {Driver: "ipmi", Memory: m, Profile: p}})
	return c, boards["redfish"], boards["ipmi"], m
}

func fails(class Class, names ...string) map[string]Class {
	out := map[string]Class{}
	for _, n := range names {
		out[n] = class
	}
	return out
}

func TestFallsToTheNextPathAndRemembers(t *testing.T) {
	for class, remembers := range map[Class]bool{Unsupported: true, Licence: true, Untrue: true, Refused: true, Unreachable: false, SessionsFull: false, NotReady: false, Broken: false} {
		c, first, second, m := two(t, nil)
		first.fails = fails(class, "set boot")
		for range 2 {
			if err := c.SetBoot(t.Context(), Boot{Device: PXE}); err != nil {
				t.Errorf("%s: %v", class, err)
			}
		}
		tried := 2
		if remembers {
			tried = 1
		}
		if len(first.calls) != tried || len(second.calls) != 2 || (m.Get("path boot device") == "ipmi") != remembers {
			t.Errorf("%s: %v, %v, remembered %q", class, first.calls, second.calls, m.Get("path boot device"))
		}
		if _, err := c.Power(t.Context()); err != nil || len(second.calls) != 2 {
			t.Errorf("%s: another capability went by the second path as well: %v", class, err)
		}
	}
}

func TestRestartIsNotSentByASecondProtocol(t *testing.T) {
	for class, moves := range map[Class]bool{Uncertain: false, Broken: false, Garbled: false, Untrue: false, Busy: false, Refused: false, Unsupported: true, Unreachable: true, Licence: true} {
		for name, do := range map[string]func(c *Composed) error{
			string(Reset): func(c *Composed) error { return c.SetPower(t.Context(), Reset) },
			"interrupt":   func(c *Composed) error { return c.Interrupt(t.Context()) },
			"restart":     func(c *Composed) error { return c.RestartBMC(t.Context(), Cold) },
		} {
			c, first, second, _ := two(t, nil)
			first.fails = fails(class, name)
			err := do(c)
			if (len(second.calls) > 0) != moves || (err == nil) != moves || (!moves && ClassOf(err) != class) {
				t.Errorf("%s after %s: the second protocol did %v, %v", name, class, second.calls, err)
			}
		}
	}
}

func TestStateIsSetByASecondProtocol(t *testing.T) {
	for _, class := range []Class{Uncertain, Broken, Garbled, Untrue, Busy} {
		c, first, second, _ := two(t, nil)
		first.fails = fails(class, string(PowerOn))
		if err := c.SetPower(t.Context(), PowerOn); err != nil || !slices.Equal(second.calls, []string{string(PowerOn)}) {
			t.Errorf("%s: %v, %v", class, second.calls, err)
		}
	}
}

func TestRefusedCredentialsStop(t *testing.T) {
	for _, class := range []Class{Credentials, Privilege, NewPassword, Certificate} {
		c, first, second, _ := two(t, nil)
		first.fails = fails(class, "power", string(PowerOn))
		if p, err := c.Power(t.Context()); ClassOf(err) != class || p != Unknown || len(second.calls) > 0 {
			t.Errorf("%s: %s, %v, then %v", class, p, err, second.calls)
		}
		if err := c.SetPower(t.Context(), PowerOn); ClassOf(err) != class || len(second.calls) > 0 {
			t.Errorf("%s: %v, then %v", class, err, second.calls)
		}
	}
}

// Fact: a restart by Redfish cuts the power of a Lenovo SR650 V4's network cards: its profile has power go by IPMI.
func TestProfilePrefersAProtocol(t *testing.T) {
	book, err := profile.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	c, first, second, _ := two(t, book.Named("lenovo-sr650v4"))
	if err := c.SetPower(t.Context(), Reset); err != nil || len(first.calls) > 0 || len(second.calls) != 1 {
		t.Errorf("%v, %v, %v", first.calls, second.calls, err)
	}
	// What was found out on the device goes before what is said of its kind.
	c, first, second, m := two(t, &profile.Profile{Prefer: map[string]string{"power": "redfish"}})
	m.Set("path power", "ipmi")
	if err := c.SetPower(t.Context(), PowerOn); err != nil || len(first.calls) > 0 || len(second.calls) != 1 {
		t.Errorf("%v, %v, %v", first.calls, second.calls, err)
	}
}

func TestWorstFailureIsTold(t *testing.T) {
	c, first, second, _ := two(t, nil)
	first.fails, second.fails = fails(Unsupported, "boot"), fails(Unreachable, "boot")
	if _, err := c.Boot(t.Context()); ClassOf(err) != Unreachable {
		t.Error(err)
	}
	if _, err := c.Settings(t.Context()); ClassOf(err) != Unsupported {
		t.Errorf("what no protocol has: %v", err)
	}
	if _, err := Compose(nil, nil).Power(t.Context()); ClassOf(err) != Unsupported {
		t.Errorf("no paths: %v", err)
	}
}

func TestFailureOfOpeningMovesOn(t *testing.T) {
	ipmi := &board{name: "ipmi", power: Off}
	open := func(_ context.Context, a Access) (Driver, error) {
		if a.Driver == "redfish" {
			return nil, Fail(Failure{Class: Unreachable}, "no way")
		}
		return ipmi, nil
	}
	c := Compose(open, []Access{{Driver: "redfish"}, {Driver: "ipmi"}})
	if p, err := c.Power(t.Context()); err != nil || p != Off {
		t.Errorf("%s, %v", p, err)
	}
	if err := c.Close(t.Context()); err != nil || !slices.Contains(ipmi.calls, "close") {
		t.Errorf("%v, %v", ipmi.calls, err)
	}
}

// Fact: BMCs are new devices after a change of firmware: what was learnt is forgotten then, but for the certificate.
func TestForgetsOnNewFirmware(t *testing.T) {
	c, first, _, m := two(t, nil)
	first.id.BMCVersion = "2.60"
	identify := func() {
		t.Helper()
		if _, err := c.Identify(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	m.Set("tls pin", "abc")
	identify()
	m.Set("path boot device", "ipmi")
	identify()
	if m.Get("path boot device") != "ipmi" {
		t.Error("forgotten without a reason")
	}
	first.id.BMCVersion = "2.75"
	identify()
	if m.Get("path boot device") != "" || m.Get("tls pin") != "abc" {
		t.Errorf("kept %v", m.Facts())
	}
	first.id.BMCVersion = "" // a BMC that does not tell is not another one
	m.Set("path boot device", "ipmi")
	identify()
	if m.Get("path boot device") != "ipmi" {
		t.Error("forgotten by a BMC that does not tell its version")
	}
}

func TestProfileIsFoundOnce(t *testing.T) {
	book, err := profile.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	c, first, _, m := two(t, nil)
	c.book = book
	first.id = Identity{Manufacturer: "Dell Inc.", BMCVendor: "Dell", BMCModel: "15G Monolithic", BMCVersion: "6.00.30.00"}
	if _, err := c.Identify(t.Context()); err != nil || m.Get("profile") != "dell-idrac9" {
		t.Errorf("%q, %v", m.Get("profile"), err)
	}
}

// Fact: a Dell R740 says On while it is off: every protocol is a witness of its own.
func TestWitnessesDiffer(t *testing.T) {
	c, _, second, _ := two(t, nil)
	second.fails = fails(Unreachable, "identify")
	all := c.Witness(t.Context())
	if len(all) != 2 || all[0].Witness != "redfish" || all[0].Power != On || all[1].Witness != "ipmi" || all[1].Power != Off {
		t.Errorf("%+v", all)
	}
	second.fails, second.power = fails(Unreachable, "power"), Unknown
	if all = c.Witness(t.Context()); all[1].Power != Unknown || ClassOf(all[1].Err) != Unreachable {
		t.Errorf("%+v", all)
	}
}

func TestSurveyPutsWhatIsLackingLast(t *testing.T) {
	c, first, second, m := two(t, nil)
	first.fails = fails(Unsupported, string(CanBoot))
	offers, err := c.Survey(t.Context())
	if err != nil || len(offers) != 4 || offers[1].Works || !offers[3].Works || offers[3].Path != "ipmi" {
		t.Fatalf("%+v, %v", offers, err)
	}
	if !strings.HasPrefix(m.Get("probed redfish boot device"), "no") || !strings.HasPrefix(m.Get("probed ipmi power"), "yes") {
		t.Errorf("%v", m.Facts())
	}
	first.calls, second.calls = nil, nil
	if err := c.SetBoot(t.Context(), Boot{Device: PXE}); err != nil || len(first.calls) > 0 || len(second.calls) != 1 {
		t.Errorf("%v, %v, %v", first.calls, second.calls, err)
	}
	first.fails, second.fails = fails(Unreachable, "probe"), fails(Credentials, "probe")
	if _, err := c.Survey(t.Context()); ClassOf(err) != Unreachable {
		t.Errorf("nothing could be probed: %v", err)
	}
}

// Fact: a Dell R650 accepts a power on and stays off; another protocol is taken when what the first accepts has no effect.
func TestOtherPath(t *testing.T) {
	c, first, second, _ := two(t, nil)
	if got := c.Other(CanPower); got != "ipmi" {
		t.Errorf("other is %q", got)
	}
	if err := c.SetPower(t.Context(), PowerOn); err != nil || len(first.calls) > 0 || len(second.calls) != 1 {
		t.Errorf("%v, %v, %v", first.calls, second.calls, err)
	}
	if got := c.Other(CanPower); got != "redfish" {
		t.Errorf("and back: %q", got)
	}
	if got := Compose(nil, []Access{{Driver: "redfish"}}).Other(CanPower); got != "" {
		t.Errorf("of one path: %q", got)
	}
}

func TestEndedContextIsNotCarriedOn(t *testing.T) {
	c, first, second, _ := two(t, nil)
	first.fails = fails(Unreachable, "power")
	ctx, end := context.WithCancel(t.Context())
	end()
	if _, err := c.Power(ctx); err == nil || len(second.calls) > 0 {
		t.Errorf("%v, %v", second.calls, err)
	}
}
