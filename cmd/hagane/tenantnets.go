package main

import (
	"context"
	"net/netip"
	"sync"

	"github.com/hagane-cloud/hagane/netboot"
	"github.com/hagane-cloud/hagane/server"
)

// tenantNetworks serves DHCP and metadata on the networks of tenants that have servers on them.
type tenantNetworks struct {
	*dhcpAgent
	wait    sync.WaitGroup
	serving map[place]context.CancelFunc
}

// follow begins to serve networks that have got servers, and ends what has none any more.
func (t *tenantNetworks) follow(ctx context.Context, sockets []string) error {
	nets, err := t.networks.Inhabited(ctx)
	if err != nil {
		return err
	}
	wanted := map[place]bool{}
	for _, at := range sockets {
		for _, n := range nets {
			wanted[place{at, n.ID, n.VLAN, netboot.MetadataAddress}] = true
		}
	}
	for p, stop := range t.serving {
		if !wanted[p] {
			stop()
			delete(t.serving, p)
		}
	}
	for p := range wanted {
		if t.serving[p] != nil {
			continue
		}
		on, stop := context.WithCancel(ctx)
		t.serving[p] = stop
		s := &netboot.Tenant{Network: p.network, Lease: t.networks.Lease, Metadata: t.metadata, Log: t.log}
		t.wait.Go(func() {
			defer stop()
			t.keepServing(on, p, s)
		})
	}
	return nil
}

// metadata returns the files of the server with an address on a network.
func (t *tenantNetworks) metadata(ctx context.Context, network string, a netip.Addr) (map[string][]byte, error) {
	p, err := t.networks.ServersPortAt(ctx, network, a)
	if err != nil {
		return nil, err
	}
	return t.servers.Metadata(ctx, server.ID(p.DeviceID), p.ID)
}
