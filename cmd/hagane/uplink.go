package main

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"maps"
	"net"
	"slices"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/netstack"
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

// sockets returns where the agent plugs itself in: NICs, or else switches.
func (a *dhcpAgent) sockets(ctx context.Context) ([]string, error) {
	if len(a.trunks) > 0 {
		return slices.Sorted(maps.Keys(a.trunks)), nil
	}
	switches, err := a.networks.Switches(ctx)
	var names []string
	for _, sw := range switches {
		names = append(names, sw.Name)
	}
	return names, err
}

// plug plugs a host into a network; nil when the switch takes no cable.
func (a *dhcpAgent) plug(ctx context.Context, p place) (*netstack.Host, error) {
	if t := a.trunks[p.at]; t != nil {
		cable, err := t.Uplink(ctx, p.vlan)
		if err != nil {
			return nil, err
		}
		return netstack.New(cable, netstack.Config{MAC: t.MAC(p.network), Addr: p.address, Verify: true})
	}
	d, err := a.networks.Driver(ctx, p.at)
	if err != nil {
		return nil, err
	}
	up, ok := d.(fabric.Uplinker)
	if !ok {
		return nil, nil
	}
	cable, err := up.Uplink(ctx, p.vlan)
	if err != nil {
		return nil, err
	}
	return netstack.New(cable, netstack.Config{MAC: ownMAC(p.at, p.network), Addr: p.address})
}

// closeTrunks ends what was opened on NICs.
func (a *dhcpAgent) closeTrunks() {
	for _, t := range a.trunks {
		_ = t.Close() // nothing is served over it any more
	}
}

// ownMAC is our address on a network of a switch: always the same, so that neighbours' tables stay true.
func ownMAC(sw, network string) net.HardwareAddr {
	sum := sha256.Sum256([]byte(sw + "/" + network))
	return net.HardwareAddr{0x02, 'H', sum[0], sum[1], sum[2], sum[3]}
}
