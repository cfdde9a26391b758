package ribcl

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/bmctest"
	"github.com/hagane-cloud/hagane/lab/bmcsim"
	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
	bmcsimribcl "github.com/hagane-cloud/hagane/lab/bmcsim/ribcl"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/machine/sim"
)

// quick is a pace for simulated BMCs.
var quick = bmc.Pace{Tries: 3, Least: time.Millisecond, Most: 2 * time.Millisecond, Again: 2, Every: time.Millisecond, Settle: 2 * time.Second, Look: 5 * time.Millisecond}

func TestConformance(t *testing.T) {
	for _, kind := range bmcsimribcl.Personalities {
		if kind.Gone {
			continue
		}
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			bmctest.Run(t, func(t *testing.T) bmctest.Target { return simulated(t, kind).Target })
		})
	}
}

// rig is a machine with an iLO.
type rig struct {
	bmctest.Target
	machine *sim.Machine
	bmc     *bmcsimribcl.BMC
}

func simulated(t *testing.T, kind bmcsimribcl.Personality) rig {
	t.Helper()
	return simulatedWith(t, kind, nil)
}

func simulatedWith(t *testing.T, kind bmcsimribcl.Personality, faults *inject.Engine) rig {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	m, err := sim.New(machine.Spec{Name: "n1", Manufacturer: "HPE", Product: "ProLiant BL460c G7", Serial: "HG1", UUID: machine.Seed(1).UUID("n1"), Mode: machine.BIOS,
		CPUs: 1, MemoryMB: 512, Disks: []machine.DiskSpec{{Bus: machine.Virtio, Bytes: 1 << 20, Serial: "D0"}}}, t.TempDir(), nil, sim.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	c := bmcsim.Config{Machine: m, Address: netip.MustParseAddr("127.0.0.1"), Username: "admin", Password: "s3cret&word", Vendor: "HPE", Model: kind.Name, Firmware: "1.82", Log: log, Faults: faults}
	b, stop := serve(t, c, kind)
	at, err := net.ResolveTCPAddr("tcp4", strings.TrimPrefix(b.Address(), "https://"))
	if err != nil {
		t.Fatal(err)
	}
	c.Port = uint16(at.Port)
	t.Cleanup(func() { stop() })
	r := rig{machine: m, bmc: b}
	r.Target = bmctest.Target{
		Open: Open, Network: "tcp", Serial: "HG1", Boots: func() int { return m.Status().Boots },
		Access: bmc.Access{Driver: "ribcl", Address: b.Address(), Username: c.Username, Password: c.Password, Insecure: true, OldTLS: kind.OldTLS, Pace: quick},
		Cannot: func(b bmc.Boot) bool {
			return (b.Persistent && b.Device == bmc.Setup) || (b.Mode == bmc.UEFI && !kind.Modes)
		},
		Restart: func(t *testing.T) {
			stop()
			var again *bmcsimribcl.BMC
			if again, stop = serve(t, c, kind); again.Address() != b.Address() {
				t.Skip("another program took the BMC's port while it restarted")
			}
		},
	}
	return r
}

// serve runs a BMC until stop.
func serve(t *testing.T, c bmcsim.Config, kind bmcsimribcl.Personality) (b *bmcsimribcl.BMC, stop func()) {
	t.Helper()
	b, err := bmcsimribcl.Listen(c, kind)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- b.Serve(ctx) }()
	return b, func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	}
}

// personality returns one of the simulator's by its name.
func personality(t *testing.T, name string) bmcsimribcl.Personality {
	t.Helper()
	for _, k := range bmcsimribcl.Personalities {
		if k.Name == name {
			return k
		}
	}
	t.Fatalf("there is no personality %s", name)
	return bmcsimribcl.Personality{}
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
