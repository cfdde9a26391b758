package sim

import (
	"context"
	"net"
	"net/netip"
	"strings"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/netstack"
)

// CommandLine is the file in the root directory of an ISO image that tells simulated machines that the image
// holds the agent's ramdisk: it has the kernel's command line.
const CommandLine = "hagane.cmdline"

const maxCommandLine = 4 << 10

// bootMedium boots from the image in the CD drive. One that has the file CommandLine starts the agent with the words in
// it; any other that has a volume descriptor is somebody's own system, which runs until the power goes off.
func (g *guest) bootMedium(ctx context.Context) (o outcome, booted bool) {
	url := g.Status().Medium
	if url == "" {
		g.printf("the CD drive is empty")
		return outcome{}, false
	}
	medium, err := machine.OpenMedium(ctx, url)
	if err != nil {
		g.failed("read the CD", err)
		return outcome{}, false
	}
	line, err := machine.ReadISO(medium, CommandLine, maxCommandLine)
	_ = medium.Close()
	switch {
	case fault.Is(err, fault.NotFound):
		g.printf("booting from CD: a foreign system of %s", url)
		select {
		case <-ctx.Done():
			return outcome{}, true
		case <-g.button:
			return outcome{why: "powered off by its operating system"}, true
		}
	case err != nil:
		g.failed("boot from CD", err)
		return outcome{}, false
	}
	g.printf("booting from CD: the agent of %s", url)
	words := strings.Fields(string(line))
	host, down, err := g.connect(ctx, words)
	if err != nil {
		g.failed("start the network", err)
		<-ctx.Done()
		return outcome{}, true
	}
	defer down()
	return g.runAgent(ctx, host, words), true
}

// connect brings a NIC up for the agent: with the address that hagane.ip=ADDRESS/BITS[,GATEWAY] gives, on the NIC
// that hagane.mac names; or by DHCP, on the first NIC that has an answer.
func (g *guest) connect(ctx context.Context, words []string) (host *netstack.Host, down func(), err error) {
	said := map[string]string{}
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		said[name] = value
	}
	config := netstack.Config{}
	if said["hagane.ip"] != "" {
		addr, gateway, _ := strings.Cut(said["hagane.ip"], ",")
		if config.Addr, err = netip.ParsePrefix(addr); err != nil {
			return nil, nil, fault.E(fault.Invalid, "read hagane.ip", err)
		}
		if config.Gateway, err = netip.ParseAddr(gateway); gateway != "" && err != nil {
			return nil, nil, fault.E(fault.Invalid, "read hagane.ip", err)
		}
	}
	err = fault.Errorf(fault.NotFound, "no NIC is named %q", said["hagane.mac"])
	for _, n := range g.nics {
		if mac, bad := net.ParseMAC(said["hagane.mac"]); bad == nil && mac.String() != n.spec.MAC.String() {
			continue
		}
		if host, err = n.up(config); err != nil {
			continue
		}
		if config.Addr.IsValid() {
			g.printf("%s has the address %s", n.spec.MAC, config.Addr)
		} else if _, err = g.askDHCP(ctx, n, host); err != nil {
			n.down()
			continue
		}
		return host, n.down, nil
	}
	return nil, nil, err
}
