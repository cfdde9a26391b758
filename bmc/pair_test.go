package bmc_test

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/ipmi"
	"github.com/hagane-cloud/hagane/bmc/profile"
	"github.com/hagane-cloud/hagane/bmc/redfish"
	"github.com/hagane-cloud/hagane/lab/bmcsim"
	bmcsimipmi "github.com/hagane-cloud/hagane/lab/bmcsim/ipmi"
	bmcsimredfish "github.com/hagane-cloud/hagane/lab/bmcsim/redfish"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/machine/sim"
)

// both composes the Redfish and the IPMI of one machine of the lab.
func both(t *testing.T, kind string) (*bmc.Composed, *sim.Machine, *bmc.Memory, *bmc.Journal) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	m, err := sim.New(machine.Spec{Name: "n1", Manufacturer: "Supermicro", Product: "AS-1015CS-TNR", Serial: "HG1", UUID: machine.Seed(1).UUID("n1"), Mode: machine.UEFI,
		CPUs: 1, MemoryMB: 512, Disks: []machine.DiskSpec{{Bus: machine.Virtio, Bytes: 1 << 20, Serial: "D0"}}}, t.TempDir(), nil, sim.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	personality, err := bmcsimredfish.PersonalityNamed(kind)
	if err != nil {
		t.Fatal(err)
	}
	c := bmcsim.Config{Machine: m, Address: netip.MustParseAddr("127.0.0.1"), Username: "admin", Password: "s3cretpassword16", Log: log, SelfTest: -1}
	web, err := bmcsimredfish.Listen(c, personality)
	if err != nil {
		t.Fatal(err)
	}
	c.Vendor, c.Model, c.Firmware = "Supermicro", "AS-1015CS-TNR", "1.22"
	lan, err := bmcsimipmi.Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 2)
	go func() { served <- web.Serve(ctx) }()
	go func() { served <- lan.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		for range 2 {
			if err := <-served; err != nil {
				t.Error(err)
			}
		}
	})
	book, err := profile.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	open := func(ctx context.Context, a bmc.Access) (bmc.Driver, error) {
		if a.Driver == "ipmi" {
			return ipmi.Open(ctx, a)
		}
		return redfish.Opener(book)(ctx, a)
	}
	memory, journal := &bmc.Memory{}, &bmc.Journal{}
	a := bmc.Access{Driver: "redfish", Address: web.Address(), Username: c.Username, Password: c.Password, Insecure: true, Memory: memory, Journal: journal,
		Pace: bmc.Pace{Tries: 3, Least: time.Millisecond, Most: 5 * time.Millisecond, Again: 4, Every: 20 * time.Millisecond, Settle: 200 * time.Millisecond, Look: 5 * time.Millisecond}}
	other := a
	other.Driver, other.Address = "ipmi", lan.Address().String()
	d := bmc.Compose(open, []bmc.Access{a, other})
	t.Cleanup(func() { _ = d.Close(context.Background()) })
	return d, m, memory, journal
}

// Fact: Supermicro's AS-1015CS answers 200 to a boot device by Redfish and boots from disk: IPMI sets it, and is taken at once from then on.
func TestBootDeviceByIPMIWhereRedfishDoesNothing(t *testing.T) {
	d, m, memory, journal := both(t, "supermicro-as1015")
	if err := d.SetBoot(t.Context(), bmc.Boot{Device: bmc.PXE, Mode: bmc.UEFI}); err != nil {
		t.Fatal(err)
	}
	if got := m.Status().Boot; got.Device != machine.Network || got.Persistent {
		t.Errorf("the machine boots from %+v", got)
	}
	if got, err := d.Boot(t.Context()); err != nil || got.Device != bmc.PXE {
		t.Errorf("%+v, %v", got, err)
	}
	if notes := strings.Join(journal.Take(), "; "); memory.Get("path boot device") != "ipmi" || !strings.Contains(notes, "another protocol") {
		t.Errorf("remembered %q, told %q", memory.Get("path boot device"), notes)
	}
	if err := d.SetBoot(t.Context(), bmc.Boot{Device: bmc.None}); err != nil || len(journal.Take()) > 0 {
		t.Errorf("the second time: %v", err)
	}
}

func TestBothProtocolsAreWitnesses(t *testing.T) {
	d, m, _, _ := both(t, "supermicro-x13")
	if err := d.SetPower(t.Context(), bmc.PowerOn); err != nil {
		t.Fatal(err)
	}
	for _, s := range d.Witness(t.Context()) {
		if s.Err != nil || s.Power != bmc.On {
			t.Errorf("%+v", s)
		}
	}
	if got := m.Status().Boots; got != 1 {
		t.Errorf("%d boots", got)
	}
	offers, err := d.Survey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string]int{}
	for _, o := range offers {
		paths[o.Path]++
	}
	if paths["redfish"] == 0 || paths["ipmi"] == 0 {
		t.Errorf("%v", paths)
	}
}
