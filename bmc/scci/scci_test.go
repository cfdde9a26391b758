package scci

import (
	"context"
	"log/slog"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/bmctest"
	"github.com/hagane-cloud/hagane/lab/bmcsim"
	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
	bmcsimscci "github.com/hagane-cloud/hagane/lab/bmcsim/scci"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/machine/sim"
)

// quick is a pace for simulated BMCs.
var quick = bmc.Pace{Tries: 3, Least: time.Millisecond, Most: 2 * time.Millisecond, Again: 2, Every: time.Millisecond, Settle: 2 * time.Second, Look: 5 * time.Millisecond}

func TestConformance(t *testing.T) {
	for _, kind := range bmcsimscci.Personalities {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			bmctest.Run(t, func(t *testing.T) bmctest.Target { return simulated(t, kind).Target })
		})
	}
}

// rig is a machine with an iRMC.
type rig struct {
	bmctest.Target
	machine *sim.Machine
	bmc     *bmcsimscci.BMC
}

func simulated(t *testing.T, kind bmcsimscci.Personality) rig {
	t.Helper()
	return simulatedWith(t, kind, nil)
}

func simulatedWith(t *testing.T, kind bmcsimscci.Personality, faults *inject.Engine) rig {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	m, err := sim.New(machine.Spec{Name: "n1", Manufacturer: "FUJITSU", Product: "PRIMERGY RX300 S8", Serial: "HG1", UUID: machine.Seed(1).UUID("n1"), Mode: machine.BIOS,
		CPUs: 1, MemoryMB: 512, Disks: []machine.DiskSpec{{Bus: machine.Virtio, Bytes: 1 << 20, Serial: "D0"}}}, t.TempDir(), nil, sim.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	c := bmcsim.Config{Machine: m, Address: netip.MustParseAddr("127.0.0.1"), Username: "admin", Password: "s3cret&word", Vendor: "Fujitsu", Model: kind.Name, Firmware: "7.65", Log: log, Faults: faults}
	b, stop := serve(t, c, kind)
	u, err := url.Parse(b.Address())
	if err != nil {
		t.Fatal(err)
	}
	at, err := netip.ParseAddrPort(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	c.Port = at.Port()
	t.Cleanup(func() { stop() })
	r := rig{machine: m, bmc: b}
	r.Target = bmctest.Target{
		Open: Open, Network: "tcp", Serial: "HG1", Boots: func() int { return m.Status().Boots },
		Access:   bmc.Access{Driver: "scci", Address: b.Address(), Username: c.Username, Password: c.Password, Insecure: true, Pace: quick},
		MediaURL: func(*testing.T) string { return "nfs://10.0.0.1/srv/iso/cd.iso" },
		Lacks:    map[bmctest.Check]string{bmctest.Settings: "eLCM tells no allowed values; TestELCMLeavesThePowerAsItWas looks at settings"},
		Restart: func(t *testing.T) {
			stop()
			var again *bmcsimscci.BMC
			again, stop = serve(t, c, kind)
			if again.Address() != b.Address() {
				t.Skip("another program took the BMC's port while it restarted")
			}
		},
	}
	return r
}

// serve runs a BMC until stop.
func serve(t *testing.T, c bmcsim.Config, kind bmcsimscci.Personality) (b *bmcsimscci.BMC, stop func()) {
	t.Helper()
	b, err := bmcsimscci.Listen(c, kind)
	if err != nil {
		t.Fatal(err)
	}
	return b, run(t, b.Serve)
}

func run(t *testing.T, serve func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- serve(ctx) }()
	return func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	}
}

// personality returns one of the simulator's by its name.
func personality(t *testing.T, name string) bmcsimscci.Personality {
	t.Helper()
	for _, k := range bmcsimscci.Personalities {
		if k.Name == name {
			return k
		}
	}
	t.Fatalf("there is no personality %s", name)
	return bmcsimscci.Personality{}
}

// drive opens a driver of a rig.
func drive(t *testing.T, a bmc.Access) *driver {
	t.Helper()
	d, err := Open(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close(context.Background()) })
	return d.(*driver)
}
