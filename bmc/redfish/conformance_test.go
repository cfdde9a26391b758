package redfish_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/bmctest"
	"github.com/hagane-cloud/hagane/bmc/profile"
	"github.com/hagane-cloud/hagane/bmc/redfish"
	"github.com/hagane-cloud/hagane/lab/bmcsim"
	bmcsimredfish "github.com/hagane-cloud/hagane/lab/bmcsim/redfish"
	"github.com/hagane-cloud/hagane/lab/ether"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/machine/sim"
	"github.com/hagane-cloud/hagane/lab/vswitch"
)

func TestConformance(t *testing.T) {
	for _, kind := range bmcsimredfish.Personalities {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			bmctest.Run(t, func(t *testing.T) bmctest.Target { return simulated(t, kind) })
		})
	}
}

// embedded reads the profiles once for all tests.
var embedded = sync.OnceValues(profile.Embedded)

// quick is a pace for BMCs that are next door.
var quick = bmc.Pace{Tries: 3, Least: time.Millisecond, Most: 5 * time.Millisecond, Again: 40, Every: 50 * time.Millisecond, Settle: 3 * time.Second, Look: 10 * time.Millisecond}

// simulated starts a machine of the lab with a BMC.
func simulated(t *testing.T, kind bmcsimredfish.Personality) bmctest.Target {
	t.Helper()
	m := simulatedMachine(t)
	c := bmcsim.Config{Machine: m, Address: netip.MustParseAddr("127.0.0.1"), Username: "admin", Password: "s3cretpassword16", Log: slog.New(slog.DiscardHandler)}
	b, stop := serve(t, c, kind)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(b.Address(), "https://"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	c.Port = uint16(n)
	t.Cleanup(func() { stop() })
	book, err := embedded()
	if err != nil {
		t.Fatal(err)
	}
	lacks := map[bmctest.Check]string{}
	if kind.Name == "supermicro-as1015" {
		for _, c := range []bmctest.Check{bmctest.BootDevice, bmctest.BootOnce, bmctest.BootAlways, bmctest.Forgetting} {
			lacks[c] = "this BMC answers 200 to a boot device and keeps the old one: the driver says so, and IPMI is the way"
		}
	}
	return bmctest.Target{
		Lacks: lacks,
		Open:  redfish.Opener(book), Network: "tcp", Serial: "HG1", Boots: func() int { return m.Status().Boots },
		Access: bmc.Access{Driver: "redfish", Address: b.Address(), Username: c.Username, Password: c.Password, Insecure: true, Pace: quick, Memory: &bmc.Memory{}},
		Restart: func(t *testing.T) {
			stop()
			var again *bmcsimredfish.BMC
			if again, stop = serve(t, c, kind); again.Address() != b.Address() {
				t.Skip("another program took the BMC's port while it restarted")
			}
		},
	}
}

// simulatedMachine makes a machine of the lab that is off.
func simulatedMachine(t *testing.T) *sim.Machine {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	plug, err := vswitch.New("lab", ether.MAC{2, 0, 0, 0, 0, 9}).AddPort("p1")
	if err != nil {
		t.Fatal(err)
	}
	m, err := sim.New(machine.Spec{Name: "n1", Manufacturer: "Hagane", Product: "Rack 1", Serial: "HG1", UUID: machine.Seed(1).UUID("n1"), Mode: machine.UEFI,
		CPUs: 1, MemoryMB: 512, Disks: []machine.DiskSpec{{Bus: machine.Virtio, Bytes: 1 << 20, Serial: "D0"}},
		NICs: []machine.NICSpec{{Port: "p1", MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}}}}, t.TempDir(), []*vswitch.Port{plug}, sim.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// serveWith runs a BMC of a machine for the test's time.
func serveWith(t *testing.T, m machine.Machine, listen func(bmcsim.Config) (*bmcsimredfish.BMC, error)) *bmcsimredfish.BMC {
	t.Helper()
	b, err := listen(bmcsim.Config{Machine: m, Address: netip.MustParseAddr("127.0.0.1"), Username: "admin", Password: "s3cretpassword16", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- b.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return b
}

// serve runs a BMC until stop.
func serve(t *testing.T, c bmcsim.Config, kind bmcsimredfish.Personality) (b *bmcsimredfish.BMC, stop func()) {
	t.Helper()
	b, err := bmcsimredfish.Listen(c, kind)
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

// A BMC has few sessions: none may stay behind, whatever ended the work.
func TestCloseEndsTheSession(t *testing.T) {
	g := simulated(t, bmcsimredfish.Personalities[2])
	anyone := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	open := func() int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.Access.Address+"/redfish/v1/SessionService/Sessions", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(g.Access.Username, g.Access.Password)
		res, err := anyone.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var all struct{ Members []any }
		if err := errors.Join(json.NewDecoder(res.Body).Decode(&all), res.Body.Close()); err != nil {
			t.Fatal(err)
		}
		return len(all.Members)
	}
	d, err := redfish.Open(t.Context(), g.Access)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		ctx, end := context.WithCancel(t.Context())
		if _, err := d.Power(ctx); err != nil || open() != 1 {
			t.Fatalf("%d sessions in use: %v", open(), err)
		}
		end()
		if err := d.Close(ctx); err != nil || open() != 0 {
			t.Fatalf("%d sessions left after a close: %v", open(), err)
		}
	}
}
