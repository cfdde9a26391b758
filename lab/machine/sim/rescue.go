package sim

import (
	"context"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hagane-cloud/hagane/lab/netstack"
)

// Rescue takes addresses of the networks that the machine is plugged into from now on, and serves SSH there until the
// machine goes off.
func (b *body) Rescue(ctx context.Context, login *ssh.ServerConfig, cloud string) error {
	b.printf("the rescue system has begun")
	for _, n := range b.nics {
		n.down() // what the firmware set up is over
	}
	inside, cancel := context.WithCancel(ctx)
	o := &system{guest: b.guest, settings: settings{hostname: "rescue"}, booted: time.Now(), ended: make(chan outcome, 1), cancel: cancel}
	defer o.shut()
	for _, n := range b.nics {
		o.wait.Go(func() { o.move(inside, n, login, cloud) })
	}
	select {
	case <-ctx.Done():
	case <-b.button:
		b.outcome = outcome{why: "powered off by its operating system"}
	case b.outcome = <-o.ended:
	}
	return nil
}

// movePause is the time between two looks of a NIC that has no address on its new network yet.
const movePause = 200 * time.Millisecond

// move gives a NIC an address of any DHCP server but the one that is left, and serves SSH there.
func (o *system) move(ctx context.Context, n *nic, login *ssh.ServerConfig, left string) {
	for ctx.Err() == nil {
		host, err := n.up(netstack.Config{})
		if err != nil {
			o.failed("start the network", err)
			return
		}
		if l, err := o.askDHCP(ctx, n, host); err == nil && l.by != left {
			o.printf("%s has %s; the rescue system is ready", n.spec.MAC, l.addr)
			if err := o.serve(ctx, host, login); err != nil {
				o.failed("serve SSH", err)
			}
			return
		}
		n.down()
		select {
		case <-ctx.Done():
		case <-time.After(movePause):
		}
	}
}
