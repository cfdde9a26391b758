package main

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
	"github.com/hagane-cloud/hagane/lab/netstack"
	"github.com/hagane-cloud/hagane/netboot"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/network/fabric"
	"github.com/hagane-cloud/hagane/node"
)

// ownNetworks are the cloud's own networks: VLANs above the tenants' range, and addresses from the
// block that RFC 2544 sets aside for tests between devices, which meets no real network.
var ownNetworks = []struct {
	name    string
	vlan    int
	address netip.Prefix
}{
	{node.Provisioning, 4001, netip.MustParsePrefix("198.18.0.1/16")},
	{node.CleaningNet, 4002, netip.MustParsePrefix("198.19.0.1/16")},
}

func systemNetworks() []network.System {
	var out []network.System
	for _, n := range ownNetworks {
		out = append(out, network.System{Name: n.name, VLAN: n.vlan})
	}
	return out
}

// agentAPI is where agents call on one of the own networks.
func agentAPI(name string) string {
	for _, n := range ownNetworks {
		if n.name == name {
			return netboot.AgentAPI(n.address)
		}
	}
	return ""
}

// agentAddress lends an agent an address on one of the own networks, for use without DHCP.
func agentAddress(d *db.DB) func(ctx context.Context, network, mac string) (netip.Prefix, error) {
	return func(ctx context.Context, network, mac string) (netip.Prefix, error) {
		for _, n := range ownNetworks {
			if n.name == network {
				return netboot.Leases{Network: n.name, Address: n.address, DB: d}.Static(ctx, mac)
			}
		}
		return netip.Prefix{}, fault.Errorf(fault.Internal, "there is no network %q of our own", network)
	}
}

// dhcpAgent serves every own network on every switch that it can plug itself into.
type dhcpAgent struct {
	db       *db.DB
	nodes    *node.Service
	images   *image.Service
	networks *network.Service
	files    netboot.Files
	silent   bool
	log      *slog.Logger
}

// lookForSwitches is how soon a new switch is served.
const lookForSwitches = time.Second

// run looks for switches and serves them until ctx ends.
func (a *dhcpAgent) run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	served := map[string]bool{}
	t := time.NewTicker(lookForSwitches)
	defer t.Stop()
	for {
		switches, err := a.networks.Switches(ctx)
		if err != nil && ctx.Err() == nil {
			a.log.Warn("looking for switches", "error", err)
		}
		for _, sw := range switches {
			if served[sw.Name] {
				continue
			}
			served[sw.Name] = true
			for _, n := range ownNetworks {
				s := netboot.New(netboot.Options{Network: n.name, Address: n.address, DB: a.db, Nodes: a.nodes, Images: a.images, Files: a.files, Silent: a.silent, Log: a.log})
				wg.Go(func() { a.keepServing(ctx, s, sw.Name, n.vlan) })
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// keepServing serves one network on one switch, again and again when the cable is cut.
func (a *dhcpAgent) keepServing(ctx context.Context, s *netboot.Server, sw string, vlan int) {
	const soonest, latest = 500 * time.Millisecond, 10 * time.Second
	wait := soonest
	for ctx.Err() == nil {
		begun := time.Now()
		err := a.serve(ctx, s, sw, vlan)
		if ctx.Err() != nil {
			return
		}
		if time.Since(begun) > latest {
			wait = soonest
		}
		a.log.Debug("a network is not served for now", "switch", sw, "network", s.Network, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, latest)
	}
}

func (a *dhcpAgent) serve(ctx context.Context, s *netboot.Server, sw string, vlan int) error {
	d, err := a.networks.Driver(ctx, sw)
	if err != nil {
		return err
	}
	up, ok := d.(fabric.Uplinker)
	if !ok {
		<-ctx.Done() // a real switch: its own networks reach us by the operating system
		return nil
	}
	cable, err := up.Uplink(ctx, vlan)
	if err != nil {
		return err
	}
	host, err := netstack.New(cable, netstack.Config{MAC: ownMAC(sw, s.Network), Addr: s.Address})
	if err != nil {
		return err
	}
	defer func() { _ = host.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-host.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	a.log.Info("serving machines", "switch", sw, "network", s.Network, "vlan", vlan, "address", s.Address)
	return s.Serve(ctx, host)
}

// ownMAC is our address on a network: always the same, so that neighbours' tables stay true.
func ownMAC(sw, network string) net.HardwareAddr {
	sum := sha256.Sum256([]byte(sw + "/" + network))
	return net.HardwareAddr{0x02, 'H', sum[0], sum[1], sum[2], sum[3]}
}
