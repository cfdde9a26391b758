package main

import (
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/gateway"
	"github.com/hagane-cloud/hagane/lab/netstack"
	"github.com/hagane-cloud/hagane/netboot"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/network/fabric"
	"github.com/hagane-cloud/hagane/network/trunk"
)

// readTrunks reads which NICs are trunks.
func readTrunks(texts []string) ([]trunk.Spec, error) {
	var all []trunk.Spec
	for _, text := range texts {
		s, err := trunk.Parse(text)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(t trunk.Spec) bool { return t.NIC == s.NIC }) {
			return nil, fault.Field("trunk", "%s is named twice", s.NIC)
		}
		all = append(all, s)
	}
	return all, nil
}

// newTrunks makes the trunks of a process, which must have the right to use them.
func newTrunks(specs []trunk.Spec, log *slog.Logger) (map[string]*trunk.Trunk, error) {
	all := map[string]*trunk.Trunk{}
	for _, s := range specs {
		all[s.NIC] = trunk.New(s, log)
	}
	if len(all) == 0 {
		return nil, nil
	}
	return all, trunk.Rights()
}

// uplinks are where this process plugs itself in: NICs of this host that are trunks to the switches or, where it was given none, every
// switch that takes a cable.
type uplinks struct {
	trunks   map[string]*trunk.Trunk // by NIC
	networks *network.Service
}

// serveNetworks begins to serve networks and forward between them, as the roles say, and returns what is to be closed after that.
func (c *cloud) serveNetworks(ctx context.Context, g *errgroup.Group) (*uplinks, error) {
	trunks, err := newTrunks(c.o.trunks, c.log)
	if err != nil {
		return nil, err
	}
	up := &uplinks{trunks: trunks, networks: c.networks}
	if c.o.has("gateway") {
		a := gateway.NewAgent(gateway.Options{Routers: c.networks, Leases: c.engine, Plug: up.everywhere, Log: c.log})
		c.metrics.Routers(a.Figures)
		g.Go(func() error { return a.Run(ctx) })
	}
	if c.o.has("dhcp") {
		files := netboot.Files{Kernel: filepath.Join(c.o.ramdisk, "vmlinuz"), Initramfs: filepath.Join(c.o.ramdisk, "initramfs"),
			BIOS: filepath.Join(c.o.ipxe, "undionly.kpxe"), UEFI: filepath.Join(c.o.ipxe, "snponly.efi")}
		a := &dhcpAgent{uplinks: up, db: c.db, nodes: c.nodes, images: c.images, servers: c.servers, files: files, silent: c.o.noDHCP, log: c.log}
		g.Go(func() error { return a.run(ctx) })
	}
	return up, nil
}

// sockets returns where it plugs itself in: NICs, or else switches.
func (u *uplinks) sockets(ctx context.Context) ([]string, error) {
	if len(u.trunks) > 0 {
		return slices.Sorted(maps.Keys(u.trunks)), nil
	}
	switches, err := u.networks.Switches(ctx)
	var names []string
	for _, sw := range switches {
		names = append(names, sw.Name)
	}
	return names, err
}

// plug plugs a host into a network; nil when the switch takes no cable.
func (a *dhcpAgent) plug(ctx context.Context, p place) (*netstack.Host, error) {
	cable, err := a.cable(ctx, p.at, p.vlan)
	if err != nil || cable == nil {
		return nil, err
	}
	if t := a.trunks[p.at]; t != nil {
		return netstack.New(cable, netstack.Config{MAC: t.MAC(p.network), Addr: p.address, Verify: true})
	}
	return netstack.New(cable, netstack.Config{MAC: ownMAC(p.at, p.network), Addr: p.address})
}

// cable plugs into a VLAN at one place; nil when the switch takes no cable.
func (u *uplinks) cable(ctx context.Context, at string, vlan int) (io.ReadWriteCloser, error) {
	if t := u.trunks[at]; t != nil {
		return t.Uplink(ctx, vlan)
	}
	d, err := u.networks.Driver(ctx, at)
	if err != nil {
		return nil, err
	}
	up, ok := d.(fabric.Uplinker)
	if !ok {
		return nil, nil
	}
	return up.Uplink(ctx, vlan)
}

// everywhere plugs into a VLAN at every place, as routers do: who is on one may be at any of them.
func (u *uplinks) everywhere(ctx context.Context, vlan int) ([]io.ReadWriteCloser, error) {
	sockets, err := u.sockets(ctx)
	if err != nil {
		return nil, err
	}
	var cables []io.ReadWriteCloser
	for _, at := range sockets {
		cable, err := u.cable(ctx, at, vlan)
		if err != nil {
			for _, c := range cables {
				_ = c.Close()
			}
			return nil, err
		}
		if cable != nil {
			cables = append(cables, cable)
		}
	}
	if len(cables) == 0 {
		return nil, fault.Errorf(fault.Unavailable, "no switch takes a cable of ours: give --trunk a NIC that leads to them")
	}
	return cables, nil
}

// close ends what was opened on NICs.
func (u *uplinks) close() {
	for _, t := range u.trunks {
		_ = t.Close() // nothing is served over it any more
	}
}

// ownMAC is our address on a network of a switch: always the same, so that neighbours' tables stay true.
func ownMAC(sw, network string) net.HardwareAddr {
	sum := sha256.Sum256([]byte(sw + "/" + network))
	return net.HardwareAddr{0x02, 'H', sum[0], sum[1], sum[2], sum[3]}
}
