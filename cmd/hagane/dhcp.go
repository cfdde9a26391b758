package main

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
	"github.com/hagane-cloud/hagane/netboot"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/server"
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

// dhcpAgent serves every own network, and tenants' networks with servers: over the NICs of this host that are trunks to the switches or,
// where it was given none, on every switch that it can plug itself into.
type dhcpAgent struct {
	*uplinks
	db      *db.DB
	nodes   *node.Service
	images  *image.Service
	servers *server.Service
	files   netboot.Files
	silent  bool
	log     *slog.Logger
}

// place is a network where we plug in, a NIC or a switch, and our address there.
type place struct {
	at, network string
	vlan        int
	address     netip.Prefix
}

// served is what answers on a network.
type served interface {
	Serve(ctx context.Context, w netboot.Wire) error
}

// lookForSwitches is how soon a new switch is served.
const lookForSwitches = time.Second

// run looks for where to serve, and serves there until ctx ends.
func (a *dhcpAgent) run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	known := map[string]bool{}
	tenants := &tenantNetworks{dhcpAgent: a, serving: map[place]context.CancelFunc{}}
	defer tenants.wait.Wait()
	t := time.NewTicker(lookForSwitches)
	defer t.Stop()
	for {
		sockets, err := a.sockets(ctx)
		if err == nil {
			err = tenants.follow(ctx, sockets)
		}
		if err != nil && ctx.Err() == nil {
			a.log.Warn("looking for networks to serve", "error", err)
		}
		for _, at := range sockets {
			if known[at] {
				continue
			}
			known[at] = true
			for _, n := range ownNetworks {
				s := netboot.New(netboot.Options{Network: n.name, Address: n.address, DB: a.db, Nodes: a.nodes, Images: a.images, Files: a.files, Silent: a.silent, Log: a.log})
				wg.Go(func() {
					a.keepServing(ctx, place{at, n.name, n.vlan, n.address}, s)
				})
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// keepServing serves one network in one place, again and again when the cable is cut.
func (a *dhcpAgent) keepServing(ctx context.Context, p place, s served) {
	const soonest, latest = 500 * time.Millisecond, 10 * time.Second
	wait := soonest
	for ctx.Err() == nil {
		begun := time.Now()
		err := a.serve(ctx, p, s)
		if ctx.Err() != nil {
			return
		}
		if time.Since(begun) > latest {
			wait = soonest
		}
		a.log.Debug("a network is not served for now", "at", p.at, "network", p.network, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, latest)
	}
}

func (a *dhcpAgent) serve(ctx context.Context, p place, s served) error {
	host, err := a.plug(ctx, p)
	if err != nil {
		return err
	}
	if host == nil {
		a.log.Info("a network is not served by this process: the switch takes no cable of ours; give --trunk a NIC that leads to it", "switch", p.at, "network", p.network, "vlan", p.vlan)
		<-ctx.Done()
		return nil
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
	a.log.Info("serving machines", "at", p.at, "network", p.network, "vlan", p.vlan, "address", p.address)
	return s.Serve(ctx, host)
}
