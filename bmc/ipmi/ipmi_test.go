package ipmi

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/bmctest"
	"github.com/hagane-cloud/hagane/lab/bmcsim"
	bmcsimipmi "github.com/hagane-cloud/hagane/lab/bmcsim/ipmi"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/machine/sim"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	bmctest.Run(t, simulated)
}

// simulated starts a machine of the lab with a BMC.
func simulated(t *testing.T) bmctest.Target {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	m, err := sim.New(machine.Spec{Name: "n1", Manufacturer: "Hagane", Product: "Rack 1", Serial: "HG1", UUID: machine.Seed(1).UUID("n1"), Mode: machine.BIOS,
		CPUs: 1, MemoryMB: 512, Disks: []machine.DiskSpec{{Bus: machine.Virtio, Bytes: 1 << 20, Serial: "D0"}}}, t.TempDir(), nil, sim.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	c := bmcsim.Config{Machine: m, Address: netip.MustParseAddr("127.0.0.1"), Username: "admin", Password: "s3cretpassword16", Vendor: "Hagane", Model: "BMC", Firmware: "2.13", Log: log}
	b, stop := serve(t, c)
	address := b.Address().AddrPort()
	c.Port = address.Port()
	t.Cleanup(func() { stop() })
	return bmctest.Target{
		Open: Open, Network: "udp", Serial: "HG1", Boots: func() int { return m.Status().Boots },
		Access: bmc.Access{Driver: "ipmi", Address: address.String(), Username: c.Username, Password: c.Password},
		Restart: func(t *testing.T) {
			stop()
			var again *bmcsimipmi.BMC
			if again, stop = serve(t, c); again.Address().AddrPort() != address {
				t.Skip("another program took the BMC's port while it restarted")
			}
		},
	}
}

// serve runs a BMC until stop.
func serve(t *testing.T, c bmcsim.Config) (b *bmcsimipmi.BMC, stop func()) {
	t.Helper()
	b, err := bmcsimipmi.Listen(c)
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
