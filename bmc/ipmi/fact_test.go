package ipmi

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/profile"
	"github.com/hagane-cloud/hagane/bmc/record"
	"github.com/hagane-cloud/hagane/lab/bmcsim"
	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
	bmcsimipmi "github.com/hagane-cloud/hagane/lab/bmcsim/ipmi"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/machine/sim"
)

// quick is a pace for simulated BMCs.
var quick = bmc.Pace{Tries: 3, Least: time.Millisecond, Most: 2 * time.Millisecond, Again: 3, Every: time.Millisecond, Settle: 2 * time.Second, Look: 5 * time.Millisecond}

// rig is a machine with a BMC that plays a script of faults.
type rig struct {
	access  bmc.Access
	machine *sim.Machine
	bmc     *bmcsimipmi.BMC
}

func misbehaving(t *testing.T, script string) rig {
	t.Helper()
	return made(t, "Hagane", script)
}

// made is a rig whose BMC is of a vendor.
func made(t *testing.T, vendor, script string) rig {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	m, err := sim.New(machine.Spec{Name: "n1", Manufacturer: "Hagane", Product: "Rack 1", Serial: "HG1", UUID: machine.Seed(1).UUID("n1"), Mode: machine.BIOS,
		CPUs: 1, MemoryMB: 512, Disks: []machine.DiskSpec{{Bus: machine.Virtio, Bytes: 1 << 20, Serial: "D0"}}}, t.TempDir(), nil, sim.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	rules, err := inject.Parse(t.Name(), script)
	if err != nil {
		t.Fatal(err)
	}
	engine := inject.NewEngine(rules, 1, log)
	t.Cleanup(engine.Close)
	c := bmcsim.Config{Machine: m, Address: netip.MustParseAddr("127.0.0.1"), Username: "admin", Password: "s3cretpassword16", Vendor: vendor, Model: "BMC", Firmware: "2.13", Log: log, Faults: engine}
	if script == "" {
		c.Faults = nil
	}
	b, stop := serve(t, c)
	t.Cleanup(stop)
	return rig{machine: m, bmc: b, access: bmc.Access{Driver: "ipmi", Address: b.Address().String(), Username: c.Username, Password: c.Password, Pace: quick, Timeout: 2 * time.Second}}
}

func drive(t *testing.T, a bmc.Access) *driver {
	t.Helper()
	d, err := Open(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close(context.Background()) })
	return d.(*driver)
}

// Fact: IPMI BMCs answer 0xC0, 0xC3, 0xC4, 0xCF and 0xD2 for a while; the same read works a moment later.
func TestBusyCodesPass(t *testing.T) {
	for _, code := range []string{"0xC0", "0xC3", "0xC4", "0xCF", "0xD2"} {
		d := drive(t, misbehaving(t, `ipmi "Get Chassis Status" times 2 => code `+code).access)
		if p, err := d.Power(t.Context()); err != nil || p != bmc.Off {
			t.Errorf("%s: %s, %v", code, p, err)
		}
	}
	d := drive(t, misbehaving(t, `ipmi "Get Chassis Status" => code 0xC0`).access)
	if p, err := d.Power(t.Context()); bmc.ClassOf(err) != bmc.Busy || p != bmc.Unknown || !bmc.Passing(err) {
		t.Errorf("for ever: %s, %v", p, err)
	}
}

// Fact: IPMI completion code 0xC3 of a change leaves open whether it was carried out; it must not be sent again.
func TestTimeoutOfAChangeIsUncertain(t *testing.T) {
	g := misbehaving(t, `ipmi "Chassis Control" times 1 => done, code 0xC3`)
	d := drive(t, g.access)
	if err := g.machine.Power(t.Context(), machine.PowerOn); err != nil {
		t.Fatal(err)
	}
	if err := d.SetPower(t.Context(), bmc.Reset); bmc.ClassOf(err) != bmc.Uncertain || g.machine.Status().Boots != 2 {
		t.Errorf("%v after %d boots", err, g.machine.Status().Boots)
	}
}

// Fact: IPMI answers get lost; a power on that was carried out all the same is not repeated, and is seen by reading back.
func TestLostAnswerIsReadBack(t *testing.T) {
	g := misbehaving(t, `ipmi "Chassis Control" times 1 => done, drop`)
	d := drive(t, g.access)
	if err := d.SetPower(t.Context(), bmc.PowerOn); err != nil || g.machine.Status().Boots != 1 {
		t.Errorf("%v after %d boots", err, g.machine.Status().Boots)
	}
}

// Fact: IPMI completion code 0xC1 means that the BMC does not have the command; it is no fault and is not tried again.
func TestUnknownCommandIsNoCapability(t *testing.T) {
	g := misbehaving(t, `ipmi "Get SEL Info" => code 0xC1`)
	d := drive(t, g.access)
	if _, err := d.Power(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := g.bmc.Commands()
	if _, err := d.Events(t.Context(), 1); bmc.ClassOf(err) != bmc.Unsupported || bmc.Passing(err) || g.bmc.Commands() != before+1 {
		t.Errorf("%v after %d commands", err, g.bmc.Commands()-before)
	}
}

// Fact: IPMI completion code 0xD4 means that the user may not, 0xD5 that it can not be done now.
func TestPrivilegeAndPresentState(t *testing.T) {
	for code, want := range map[string]bmc.Class{"0xD4": bmc.Privilege, "0xD5": bmc.Busy} {
		d := drive(t, misbehaving(t, `ipmi "Chassis Identify" => code `+code).access)
		if err := d.SetLight(t.Context(), bmc.LightOn); bmc.ClassOf(err) != want {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// Fact: IPMI BMCs have few sessions and answer 0x01 when there is none; asking again within a minute only keeps them busy.
func TestSessionsAreFull(t *testing.T) {
	g := misbehaving(t, "")
	var open []*driver
	for range 4 {
		d := drive(t, g.access)
		if _, err := d.Power(t.Context()); err != nil {
			t.Fatal(err)
		}
		open = append(open, d)
	}
	late := drive(t, g.access)
	for range 2 {
		if _, err := late.Power(t.Context()); bmc.ClassOf(err) != bmc.SessionsFull {
			t.Fatal(err)
		}
	}
	if err := open[0].Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := late.Power(t.Context()); bmc.ClassOf(err) != bmc.SessionsFull || !strings.Contains(err.Error(), "asked again") {
		t.Errorf("asked at once: %v", err)
	}
	late.rest = 0 // the minute has passed
	if _, err := late.Power(t.Context()); err != nil {
		t.Error(err)
	}
}

// Fact: IPMI sessions that are not closed stay taken; a driver that is closed leaves room.
func TestCloseLeavesRoom(t *testing.T) {
	g := misbehaving(t, "")
	for range 10 {
		d := drive(t, g.access)
		if _, err := d.Power(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := d.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Fact: IPMI BMCs know cipher suite 17, or 3, or both; what worked is remembered, and suite 0 is never tried.
func TestSuitesAreTriedAndRemembered(t *testing.T) {
	g := misbehaving(t, "")
	g.access.Memory = &bmc.Memory{}
	d := drive(t, g.access)
	if _, err := d.Power(t.Context()); err != nil || g.access.Memory.Get(suiteFact) != "17" {
		t.Errorf("%v, remembered %q", err, g.access.Memory.Get(suiteFact))
	}
	g.access.Memory.Set(suiteFact, "3")
	if got := fmt.Sprint(drive(t, g.access).suites()); got != fmt.Sprint([]types.CipherSuiteID{3, 17}) {
		t.Error(got)
	}
	g.access.Memory = nil
	g.access.Profile = &profile.Profile{IPMI: profile.IPMI{Suites: []int{0, 17}}}
	if got := fmt.Sprint(drive(t, g.access).suites()); got != fmt.Sprint([]types.CipherSuiteID{17}) {
		t.Error(got)
	}
}

// Fact: OpenBMC now and then does not answer while an IPMI session is being opened; the next attempt works.
func TestSilenceWhileOpening(t *testing.T) {
	g := misbehaving(t, `ipmi "Open Session" times 5 => drop`)
	g.access.Timeout = time.Second
	if p, err := drive(t, g.access).Power(t.Context()); err != nil || p != bmc.Off {
		t.Errorf("%s, %v", p, err)
	}
}

// Fact: IPMI BMCs say "invalid role" of a cipher suite; it is not the password that is wrong.
func TestInvalidRoleIsNoPassword(t *testing.T) {
	err := explain("x", false, types.NewRmcpStatusError(types.RmcpStatusCodeInvalidRole))
	if bmc.ClassOf(err) == bmc.Credentials {
		t.Error(err)
	}
	err = explain("x", false, types.NewRmcpStatusError(types.RmcpStatusCodeUnauthorizedName))
	if bmc.ClassOf(err) != bmc.Credentials {
		t.Error(err)
	}
}

// Fact: IPMI boot flags are dropped after 60 s unless parameter 3 is set first.
func TestParameterThreeComesFirst(t *testing.T) {
	g := misbehaving(t, "")
	g.access.Recorder = record.New()
	d := drive(t, g.access)
	if err := d.SetBoot(t.Context(), bmc.Boot{Device: bmc.PXE, Mode: bmc.UEFI}); err != nil {
		t.Fatal(err)
	}
	b, err := d.ask(t.Context(), command{Command: types.CommandGetSystemBootOptions}, 3, 0, 0)
	if err != nil || len(b) < 3 || b[2] != keepFlags {
		t.Errorf("% x, %v", b, err)
	}
}

// Fact: IPMI BMCs accept boot flags and keep none; reading back finds it out.
func TestForgottenBootFlagsAreUntrue(t *testing.T) {
	d := drive(t, misbehaving(t, `ipmi "Set System Boot Options" => nothing`).access)
	if err := d.SetBoot(t.Context(), bmc.Boot{Device: bmc.PXE, Mode: bmc.UEFI}); bmc.ClassOf(err) != bmc.Untrue {
		t.Error(err)
	}
}

// Fact: Supermicro's UEFI firmware wants the disk selector 0x24.
func TestSupermicroDiskSelector(t *testing.T) {
	g := made(t, "Supermicro", "")
	for _, p := range []*profile.Profile{{IPMI: profile.IPMI{EFISelector: map[string]int{"disk": 0x24}}}, nil} {
		g.access.Profile = p
		d := drive(t, g.access)
		for mode, want := range map[bmc.Mode]byte{bmc.UEFI: 0x24, bmc.BIOS: 0x08} {
			if got, err := d.selector(t.Context(), bmc.Boot{Device: bmc.Disk, Mode: mode}); err != nil || got != want {
				t.Errorf("%s: %#02x, %v", mode, got, err)
			}
		}
		if got, err := d.selector(t.Context(), bmc.Boot{Device: bmc.PXE, Mode: bmc.UEFI}); err != nil || got != 0x04 {
			t.Errorf("pxe: %#02x, %v", got, err)
		}
	}
}

// Fact: IPMI BMCs refuse a session at a privilege level that the user does not have, with status 0x0a; it is not the password that is wrong.
func TestUsersOfLowerLevels(t *testing.T) {
	g := misbehaving(t, "")
	if err := drive(t, g.access).AddAccount(t.Context(), "guest", "guestpassword", "Operator"); err != nil {
		t.Fatal(err)
	}
	a := g.access
	a.Username, a.Password, a.Memory = "guest", "guestpassword", &bmc.Memory{}
	for range 2 {
		d := drive(t, a)
		if p, err := d.Power(t.Context()); err != nil || p != bmc.Off {
			t.Errorf("%s, %v", p, err)
		}
		if got := a.Memory.Get(levelFact + "guest"); got != "3" {
			t.Errorf("remembered %q", got)
		}
	}
}
