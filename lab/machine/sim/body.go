package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/hagane-cloud/hagane/agent"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/lab/machine"
)

// body is a simulated machine as the agent sees it.
type body struct {
	*guest
	outcome outcome
	inUse   inUse
}

func newBody(g *guest) *body {
	return &body{guest: g, inUse: inUse{volumes: map[string]linear{}, groups: map[string]string{}}}
}

var (
	_ agent.Machine     = (*body)(nil)
	_ agent.Neighbourly = (*body)(nil)
	_ agent.Rescuer     = (*body)(nil)
)

// Inventory reads what the machine consists of.
func (b *body) Inventory(context.Context) (protocol.Inventory, error) {
	s := b.spec
	inv := protocol.Inventory{
		Manufacturer: s.Manufacturer, Product: s.Product, Serial: s.Serial, UUID: s.UUID,
		BIOSVendor: "Hagane", BIOSVersion: "sim-1.0", Architecture: "x86_64", BootMode: string(b.mode),
		CPU:         protocol.CPU{Model: "Hagane Lab CPU", Sockets: 1, Cores: max(s.CPUs, 1), Threads: max(s.CPUs, 1)},
		MemoryBytes: int64(s.MemoryMB) << 20,
	}
	for _, d := range b.disks {
		inv.Disks = append(inv.Disks, d.Info().Disk)
	}
	for i, n := range b.nics {
		inv.NICs = append(inv.NICs, protocol.NIC{
			Name: nicName(i), MAC: n.spec.MAC.String(), Driver: "sim", Product: "Hagane Lab NIC", Link: true, Mbps: 10000,
		})
	}
	return inv, nil
}

func nicName(i int) string { return fmt.Sprintf("eth%d", i) }

// Disks opens the disks.
func (b *body) Disks(context.Context) ([]agent.Disk, error) {
	var all []agent.Disk
	for _, bus := range []machine.BusKind{machine.NVMe, machine.Virtio} { // by name
		for _, d := range b.disks {
			if d.spec.Bus == bus {
				all = append(all, d)
			}
		}
	}
	return all, nil
}

// Neighbours returns what the NICs have heard; the lab's switch announces itself at link up.
func (b *body) Neighbours(context.Context) (map[string]*protocol.LLDP, error) {
	heard := make(map[string]*protocol.LLDP)
	for i, n := range b.nics {
		n.mu.Lock()
		if n.neighbour != nil {
			heard[nicName(i)] = &protocol.LLDP{Chassis: n.neighbour.Chassis, Port: n.neighbour.Port, System: n.neighbour.System}
		}
		n.mu.Unlock()
	}
	return heard, nil
}

// Restart starts the machine anew when the agent has returned.
func (b *body) Restart(context.Context) error {
	b.printf("reboot: restarting system at %s", time.Now().UTC().Format(time.RFC3339))
	b.outcome = outcome{why: "reset by its operating system or firmware", again: true}
	return nil
}

// PowerOff switches the machine off when the agent has returned.
func (b *body) PowerOff(context.Context) error {
	b.printf("reboot: power down")
	b.outcome = outcome{why: "powered off by its operating system"}
	return nil
}
