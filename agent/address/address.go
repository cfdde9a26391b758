// Package address gives a NIC of the machine an address that it was told, in place of one by DHCP: for
// machines that boot the ramdisk from a medium that their BMC shows. The ramdisk's init uses it.
package address

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/hagane-cloud/hagane/agent/dhcp"
	"github.com/hagane-cloud/hagane/fault"
)

// connectWithin bounds the search for the NIC: drivers of some take tens of seconds to show it.
const connectWithin = time.Minute

// Fixed is an address for a NIC.
type Fixed struct {
	MAC     string // of the NIC, lower case with colons
	Address netip.Prefix
	Gateway netip.Addr // zero: everything that is needed is on the same network
}

// Connect finds the NIC and gives it the address. That its link comes up is waited for by those who then send: what they
// send until then is lost, and sent again. It returns a NotFound fault when there is no such NIC.
func (f Fixed) Connect(ctx context.Context, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	for {
		links, err := dhcp.NICs()
		if err != nil {
			return err
		}
		i := slices.IndexFunc(links, func(l netlink.Link) bool { return l.Attrs().HardwareAddr.String() == f.MAC })
		if i >= 0 {
			log.Info("the NIC has a fixed address", "nic", links[i].Attrs().Name, "mac", f.MAC, "address", f.Address)
			return f.apply(links[i])
		}
		select {
		case <-ctx.Done():
			return fault.Errorf(fault.NotFound, "the machine has no NIC with the address %s; correct the node's port", f.MAC)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// apply gives the address, and the way beyond the network, to a NIC.
func (f Fixed) apply(link netlink.Link) error {
	if err := netlink.LinkSetUp(link); err != nil {
		return fault.E(fault.Internal, "bringing the NIC up", err)
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: f.Address.Addr().AsSlice(), Mask: net.CIDRMask(f.Address.Bits(), f.Address.Addr().BitLen())}}
	if err := netlink.AddrReplace(link, addr); err != nil {
		return fault.E(fault.Internal, "setting the address", err)
	}
	if !f.Gateway.IsValid() {
		return nil
	}
	err := netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: f.Gateway.AsSlice()})
	if err != nil {
		return fault.E(fault.Internal, "setting the default route", err)
	}
	return nil
}
