package dhcp

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
)

// movePause is the time between two looks of a NIC that has no address on its new network yet.
const movePause = 2 * time.Second

// Move gives up all addresses and takes new ones, on every NIC that gets one, until ctx ends: the machine is being
// plugged into other networks. Offers of the server with the address left are those of the network that it leaves, and
// are not taken.
func Move(ctx context.Context, left net.IP, log *slog.Logger) {
	links, err := NICs()
	if err != nil {
		log.Error("no new addresses", "error", err)
		return
	}
	var nics sync.WaitGroup
	defer nics.Wait()
	for _, link := range links {
		nics.Go(func() { move(ctx, link, left, log.With("nic", link.Attrs().Name)) })
	}
}

func move(ctx context.Context, link netlink.Link, left net.IP, log *slog.Logger) {
	if err := release(link); err != nil {
		log.Warn("giving up an address", "error", err)
	}
	for ctx.Err() == nil {
		got, err := ask(ctx, link, left)
		if err == nil {
			err = got.apply()
		}
		if err == nil {
			log.Info("the NIC has a leased address", "address", got.Address)
			got.Renew(ctx, log)
			return
		}
		log.Debug("no address yet", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(movePause):
		}
	}
}

// release takes all addresses off a NIC, and brings it up.
func release(link netlink.Link) error {
	have, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, a := range have {
		if err := netlink.AddrDel(link, &a); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(link)
}
