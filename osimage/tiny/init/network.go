package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"

	"github.com/hagane-cloud/hagane/agent/dhcp"
	"github.com/hagane-cloud/hagane/osimage/instance"
)

// nicWithin is how long a NIC that the config drive names may take to appear.
const nicWithin = 10 * time.Second

// network sets up what the config drive says, or asks for an address on some NIC when it says nothing.
func network(ctx context.Context, group *errgroup.Group, self instance.Instance, log *slog.Logger) error {
	if lo, err := netlink.LinkByName("lo"); err == nil {
		if err := netlink.LinkSetUp(lo); err != nil {
			log.Warn("bringing lo up", "error", err)
		}
	}
	if self.NICs == nil {
		// In the background: a machine without DHCP is not to wait for it.
		group.Go(func() error { return obtain(ctx, "", log) })
		return nil
	}
	var errs []error
	for _, nic := range self.NICs {
		if err := setUp(ctx, group, nic, log); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", nic.MAC, err))
		}
	}
	var resolv strings.Builder
	for _, server := range self.Nameserver {
		fmt.Fprintln(&resolv, "nameserver", server)
	}
	if err := os.WriteFile("/etc/resolv.conf", []byte(resolv.String()), 0o644); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// obtain gets an address over DHCP and keeps it.
func obtain(ctx context.Context, mac string, log *slog.Logger) error {
	lease, err := dhcp.Connect(ctx, mac, log)
	if err != nil {
		log.Warn("no address over DHCP", "error", err)
		return nil
	}
	log.Info("got an address", "nic", lease.NIC, "address", lease.Address)
	lease.Renew(ctx, log)
	return nil
}

func setUp(ctx context.Context, group *errgroup.Group, nic instance.NIC, log *slog.Logger) error {
	link, err := find(ctx, nic.MAC)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	if nic.VLAN != 0 {
		if link, err = tagged(link, nic.VLAN); err != nil {
			return err
		}
	}
	if nic.MTU != 0 {
		if err := netlink.LinkSetMTU(link, nic.MTU); err != nil {
			return err
		}
	}
	for _, a := range nic.Addresses {
		address := &net.IPNet{IP: a.Addr().AsSlice(), Mask: net.CIDRMask(a.Bits(), a.Addr().BitLen())}
		if err := netlink.AddrReplace(link, &netlink.Addr{IPNet: address}); err != nil {
			return fmt.Errorf("setting %s: %w", a, err)
		}
		log.Info("set an address", "nic", link.Attrs().Name, "address", a)
	}
	for _, r := range nic.Routes {
		to := &net.IPNet{IP: r.To.Addr().AsSlice(), Mask: net.CIDRMask(r.To.Bits(), r.To.Addr().BitLen())}
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: to, Gw: r.Via.AsSlice()}
		if err := netlink.RouteReplace(route); err != nil {
			return fmt.Errorf("setting the route to %s: %w", r.To, err)
		}
	}
	if nic.DHCP {
		group.Go(func() error { return obtain(ctx, nic.MAC, log) })
	}
	return nil
}

// find waits for the NIC with an address.
func find(ctx context.Context, mac string) (netlink.Link, error) {
	for deadline := time.Now().Add(nicWithin); ; {
		links, err := dhcp.NICs()
		if err != nil {
			return nil, err
		}
		for _, l := range links {
			if l.Attrs().HardwareAddr.String() == mac {
				return l, nil
			}
		}
		if time.Now().After(deadline) {
			return nil, errors.New("there is no such NIC")
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// tagged adds a VLAN on top of a NIC.
func tagged(parent netlink.Link, id int) (netlink.Link, error) {
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.ParentIndex = fmt.Sprintf("%s.%d", parent.Attrs().Name, id), parent.Attrs().Index
	vlan := &netlink.Vlan{LinkAttrs: attributes, VlanId: id}
	if err := netlink.LinkAdd(vlan); err != nil {
		return nil, fmt.Errorf("adding VLAN %d: %w", id, err)
	}
	return vlan, netlink.LinkSetUp(vlan)
}
