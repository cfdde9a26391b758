package sim

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/agent"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/netstack"
)

const (
	maxScript    = 64 << 10
	maxChains    = 8
	fetchTimeout = 30 * time.Second
	sampleBytes  = 64 << 10 // of a kernel or initramfs; reading all of it would prove no more
)

// netboot boots over a NIC. booted is false when the firmware is to go on with the next device.
func (g *guest) netboot(ctx context.Context, n *nic) (o outcome, booted bool) {
	g.printf("iPXE on %s (%s)", n.spec.MAC, n.spec.Port)
	host, err := n.up(netstack.Config{})
	if err != nil {
		g.failed("start the network", err)
		return outcome{}, false
	}
	defer n.down()
	l, err := g.askDHCP(ctx, n, host)
	if err != nil {
		g.failed("DHCP", err)
		return outcome{}, false
	}
	g.printf("DHCP gave %s, boot file %s", l.addr, l.file)
	if l.file == "" {
		return outcome{}, false
	}
	client := &http.Client{Transport: &http.Transport{DialContext: host.DialContext}}
	defer client.CloseIdleConnections()
	kernel, err := g.runScripts(ctx, client, n, l)
	if err != nil {
		g.failed("boot script", err)
		return outcome{}, false
	}
	switch kernel.end {
	case endExit:
		return outcome{}, false
	case endReboot:
		return outcome{why: "reset by its boot script", again: true}, true
	case endPowerOff:
		return outcome{why: "powered off by its boot script"}, true
	case endBoot:
	}
	return g.runAgent(ctx, host, kernel.args), true
}

// runScripts fetches the boot script and those that it chains to, and follows them.
func (g *guest) runScripts(ctx context.Context, client *http.Client, n *nic, l lease) (scriptEnd, error) {
	variables := g.variables(n, l)
	url := l.file
	for range maxChains {
		text, err := fetch(ctx, client, url, maxScript)
		if err != nil {
			return scriptEnd{}, err
		}
		end, err := runScript(string(text), variables, func(file string) error {
			g.printf("fetching %s", file)
			_, err := fetch(ctx, client, file, sampleBytes)
			return err
		}, func(line string) { g.printf("%s", line) })
		if err != nil || end.chain == "" {
			return end, err
		}
		url = end.chain
	}
	return scriptEnd{}, fault.Errorf(fault.Invalid, "the boot scripts chain in a circle")
}

func (g *guest) variables(n *nic, l lease) map[string]string {
	mac := n.spec.MAC.String()
	platform := "pcbios"
	if g.mode == "uefi" {
		platform = "efi"
	}
	v := map[string]string{
		"platform": platform, "buildarch": "x86_64", "uuid": g.spec.UUID, "serial": g.spec.Serial,
		"manufacturer": g.spec.Manufacturer, "product": g.spec.Product,
		"next-server": l.server.String(), "filename": l.file,
	}
	for _, name := range []string{"", "net0/", "netX/"} {
		v[name+"mac"], v[name+"mac:hexhyp"] = mac, strings.ReplaceAll(mac, ":", "-")
		v[name+"ip"] = l.addr.Addr().String()
	}
	return v
}

// fetch reads at most limit bytes of a file; more are left on the server.
func fetch(ctx context.Context, client *http.Client, url string, limit int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	if !strings.HasPrefix(url, "http://") {
		return nil, fault.Errorf(fault.Invalid, "%q: simulated machines fetch http:// only", url)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fault.E(fault.Invalid, "fetch "+url, err)
	}
	req.Header.Set("User-Agent", "iPXE/1.21.1 (Hagane lab)")
	res, err := client.Do(req)
	if err != nil {
		return nil, fault.E(fault.Unavailable, "fetch "+url, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fault.Errorf(fault.Unavailable, "fetch %s: %s", url, res.Status)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, limit))
	if err != nil {
		return nil, fault.E(fault.Unavailable, "fetch "+url, err)
	}
	return text, nil
}

// runAgent plays the kernel and initramfs: the agent's own code on this machine.
func (g *guest) runAgent(ctx context.Context, host *netstack.Host, args []string) outcome {
	client := &http.Client{Transport: &http.Transport{DialContext: host.DialContext}}
	defer client.CloseIdleConnections()
	words := make(map[string]string)
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		words[name] = value
	}
	if words["hagane.api"] == "" || words["hagane.claim"] == "" {
		g.printf("the kernel's command line names no hagane.api and hagane.claim: kernel panic")
		<-ctx.Done()
		return outcome{}
	}
	b := newBody(g)
	err := agent.Run(ctx, agent.Config{
		API: words["hagane.api"], Secret: words["hagane.claim"], HTTP: client, Machine: b, Log: g.say, Version: "sim", Peers: nearby{host},
	})
	if err != nil {
		g.failed("agent", err)
	}
	return b.outcome
}

// nearby is the network that a machine was booted over, as its agent's peers use it.
type nearby struct{ *netstack.Host }

// Listen accepts connections at a free port of the host's only address.
func (n nearby) Listen() (net.Listener, error) { return n.Host.Listen(0) }
