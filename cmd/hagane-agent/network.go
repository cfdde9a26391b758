package main

import (
	"context"
	"log/slog"

	"github.com/hagane-cloud/hagane/agent/dhcp"
)

// connect brings the network up: with the address that stands on the command line of a boot medium, otherwise by DHCP.
// down ends what keeps it up.
func connect(ctx context.Context, w words, log *slog.Logger) (down func(), err error) {
	if w.ip != "" {
		fixed, err := w.fixed()
		if err != nil {
			return nil, err
		}
		return func() {}, fixed.Connect(ctx, log)
	}
	lease, err := dhcp.Connect(ctx, w.mac, log)
	if err != nil {
		return nil, err
	}
	log.Info("the NIC has a leased address", "nic", lease.NIC, "address", lease.Address)
	renewing, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		lease.Renew(renewing, log)
	}()
	return func() {
		stop()
		<-done
	}, nil
}
