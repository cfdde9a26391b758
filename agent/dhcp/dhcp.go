// Package dhcp gets the machine an address: it brings the NICs up, asks on those with a link, sets
// what it is given and keeps the lease. The inits of the ramdisk and of the tiny test system use it.
package dhcp

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/vishvananda/netlink"

	"github.com/hagane-cloud/hagane/fault"
)

const (
	// connectWithin bounds the search for an address: ports of real switches may take a minute (spanning tree) to pass traffic.
	connectWithin = 10 * time.Minute
	linkWithin    = 20 * time.Second // for the links to come up, before NICs other than the boot NIC are tried
	tryWithin     = 3 * time.Second  // of one exchange
)

// Lease is an address that was obtained, and its NIC.
type Lease struct {
	NIC     string
	Address *net.IPNet

	link netlink.Link
	dhcp *nclient4.Lease
}

// Connect brings all NICs up and gets an address: over the NIC that the machine was booted from when
// it is known and has a link, otherwise over the first that gets an answer.
func Connect(ctx context.Context, mac string, log *slog.Logger) (*Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	for began := time.Now(); ; {
		links, err := NICs()
		if err != nil {
			return nil, err
		}
		for _, link := range links {
			if err := netlink.LinkSetUp(link); err != nil {
				log.Warn("bringing a NIC up", "nic", link.Attrs().Name, "error", err)
			}
		}
		ready := slices.DeleteFunc(links, func(l netlink.Link) bool { return !carrier(l) })
		boot := slices.IndexFunc(ready, func(l netlink.Link) bool { return l.Attrs().HardwareAddr.String() == mac })
		switch {
		case boot >= 0 && time.Since(began) < connectWithin/2:
			ready = ready[boot : boot+1]
		case mac != "" && boot < 0 && time.Since(began) < linkWithin:
			ready = nil // its link may still come up
		}
		got, err := first(ctx, ready, log)
		if err == nil {
			return got, got.apply()
		}
		select {
		case <-ctx.Done():
			return nil, fault.E(fault.Unavailable, "no DHCP server answered on any NIC with a link", err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// NICs lists the NICs that are hardware.
func NICs() ([]netlink.Link, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fault.E(fault.Internal, "listing the NICs", err)
	}
	return slices.DeleteFunc(links, func(l netlink.Link) bool {
		_, err := os.Stat(filepath.Join("/sys/class/net", l.Attrs().Name, "device"))
		return err != nil || len(l.Attrs().HardwareAddr) != 6
	}), nil
}

func carrier(l netlink.Link) bool {
	b, err := os.ReadFile(filepath.Join("/sys/class/net", l.Attrs().Name, "carrier"))
	return err == nil && len(b) > 0 && b[0] == '1' // reading it fails while the NIC is down
}

// first asks on all given NICs at once and returns the first lease.
func first(ctx context.Context, links []netlink.Link, log *slog.Logger) (*Lease, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var won *Lease
	errs := []error{errors.New("no NIC has a link")}
	var asking sync.WaitGroup
	for _, link := range links {
		asking.Go(func() {
			got, err := ask(ctx, link, nil)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				errs = append(errs, err)
				log.Debug("no address yet", "nic", link.Attrs().Name, "error", err)
			case won == nil:
				won = got
				cancel()
			}
		})
	}
	asking.Wait()
	if won == nil {
		return nil, errors.Join(errs...)
	}
	return won, nil
}

// ask gets a lease over a NIC, of any server but the one with the address not.
func ask(ctx context.Context, link netlink.Link, not net.IP) (*Lease, error) {
	client, err := nclient4.New(link.Attrs().Name, nclient4.WithTimeout(tryWithin), nclient4.WithRetry(2))
	if err != nil {
		return nil, fault.E(fault.Unavailable, "opening the NIC for DHCP", err)
	}
	defer func() { _ = client.Close() }() // nothing is left to send
	we := dhcpv4.WithOption(dhcpv4.OptClassIdentifier("hagane-agent"))
	offer, err := client.DiscoverOffer(ctx, we)
	if err != nil {
		return nil, fault.E(fault.Unavailable, "asking for an address", err)
	}
	if not != nil && offer.ServerIdentifier().Equal(not) {
		return nil, fault.Errorf(fault.Unavailable, "the NIC is still on the network of %s", not)
	}
	got, err := client.RequestFromOffer(ctx, offer, we)
	if err != nil {
		return nil, fault.E(fault.Unavailable, "asking for an address", err)
	}
	mask := got.ACK.SubnetMask()
	if mask == nil {
		mask = got.ACK.YourIPAddr.DefaultMask()
	}
	return &Lease{
		NIC: link.Attrs().Name, link: link, dhcp: got,
		Address: &net.IPNet{IP: got.ACK.YourIPAddr, Mask: mask},
	}, nil
}

// apply gives the NIC its address and the default route.
func (l *Lease) apply() error {
	if mtu, err := dhcpv4.GetUint16(dhcpv4.OptionInterfaceMTU, l.dhcp.ACK.Options); err == nil && mtu >= 576 {
		if err := netlink.LinkSetMTU(l.link, int(mtu)); err != nil {
			return fault.E(fault.Internal, "setting the MTU", err)
		}
	}
	if err := netlink.AddrReplace(l.link, &netlink.Addr{IPNet: l.Address}); err != nil {
		return fault.E(fault.Internal, "setting the address", err)
	}
	for _, router := range l.dhcp.ACK.Router() {
		route := &netlink.Route{LinkIndex: l.link.Attrs().Index, Gw: router}
		if err := netlink.RouteReplace(route); err != nil {
			return fault.E(fault.Internal, "setting the default route", err)
		}
		break
	}
	return nil
}

// Renew keeps the lease until ctx ends. When the server does not answer, the address is kept as well: losing the
// way to the cloud in the middle of a write helps nobody.
func (l *Lease) Renew(ctx context.Context, log *slog.Logger) {
	for {
		half := l.dhcp.ACK.IPAddressLeaseTime(time.Hour) / 2
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(half, 10*time.Second)):
		}
		client, err := nclient4.New(l.NIC, nclient4.WithTimeout(tryWithin))
		if err != nil {
			log.Warn("renewing the lease", "error", err)
			continue
		}
		renewed, err := client.Renew(ctx, l.dhcp)
		if err := errors.Join(err, client.Close()); err != nil {
			log.Warn("renewing the lease", "error", err)
			continue
		}
		l.dhcp = renewed
	}
}
