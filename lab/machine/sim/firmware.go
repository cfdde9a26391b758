package sim

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/ether"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/netstack"
	"github.com/hagane-cloud/hagane/lab/vswitch"
)

// guest is a machine from power on to power off, as seen from inside.
type guest struct {
	*Machine
	mode   machine.Mode
	button <-chan struct{}
	nics   []*nic
	out    *os.File // the console
	say    *slog.Logger
}

// nic is a plugged-in network interface; its network stack exists while something uses it.
type nic struct {
	spec machine.NICSpec
	port *vswitch.Port

	mu        sync.Mutex
	neighbour *ether.Neighbour
	host      *netstack.Host
}

// Deliver takes a frame from the switch.
func (n *nic) Deliver(frame []byte) bool {
	if heard, ok := ether.ParseLLDP(frame); ok {
		n.mu.Lock()
		n.neighbour = &heard
		n.mu.Unlock()
		return true
	}
	n.mu.Lock()
	host := n.host
	n.mu.Unlock()
	return host == nil || host.Deliver(frame)
}

// up starts a network stack on the NIC; the caller calls down.
func (n *nic) up(c netstack.Config) (*netstack.Host, error) {
	c.MAC = n.spec.MAC
	host, err := netstack.NewOn(n.port, c)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	n.host = host
	n.mu.Unlock()
	return host, nil
}

func (n *nic) down() {
	n.mu.Lock()
	host := n.host
	n.host = nil
	n.mu.Unlock()
	if host != nil {
		_ = host.Close()
	}
}

// live runs the machine until it ends by itself or ctx does.
func (m *Machine) live(ctx context.Context, l *life, boot machine.Boot, mode machine.Mode) outcome {
	out, err := os.OpenFile(m.console(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		m.log.Error("no console", "err", err)
		return outcome{why: "its console could not be written"}
	}
	defer func() { _ = out.Close() }()
	g := &guest{Machine: m, mode: mode, button: l.button, out: out, say: slog.New(slog.NewTextHandler(out, nil))}
	for i, spec := range m.spec.NICs {
		n := &nic{spec: spec, port: m.ports[i]}
		n.port.Plug(n)
		defer n.port.Unplug()
		g.nics = append(g.nics, n)
	}
	g.printf("%s firmware of %s, boot device %s", mode, m.spec.Name, boot.Device)
	for _, device := range boot.Order() {
		if o, booted := g.try(ctx, device); booted {
			return o
		}
		if ctx.Err() != nil {
			return outcome{}
		}
	}
	g.printf("no bootable device")
	<-ctx.Done() // firmware ignores the power button here, as real ones do
	return outcome{}
}

// try boots from a device; booted is false when there is nothing to boot from.
func (g *guest) try(ctx context.Context, device machine.Device) (o outcome, booted bool) {
	if device == machine.Network {
		for _, n := range g.nics {
			if o, booted = g.netboot(ctx, n); booted || ctx.Err() != nil {
				return o, booted
			}
		}
		return outcome{}, false
	}
	if device == machine.CDROM {
		return g.bootMedium(ctx)
	}
	for _, d := range g.disks {
		if d.bootable() {
			g.printf("booting from %s", d.name)
			return g.system(ctx, d), true
		}
	}
	return outcome{}, false
}

func (g *guest) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(g.out, format+"\n", args...)
}

// failed says on the console why something did not work.
func (g *guest) failed(doing string, err error) {
	g.printf("%v", fault.Wrap(doing, err))
}
