package netboottest

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

// Wave is the nodes of a cloud that are all booted, and ordered to write one image at the same moment.
type Wave struct {
	order    *protocol.Order
	machines int
	begin    chan struct{} // closed when the orders are given

	mu    sync.Mutex
	ready map[string]bool          // agents that wait for their order, by token
	ended map[string]protocol.Beat // their reports
	news  chan struct{}            // closed at the next change
}

// NewWave is so many machines with the order to write that all are given.
func NewWave(machines int, order *protocol.Order) *Wave {
	return &Wave{order: order, machines: machines, begin: make(chan struct{}), ready: map[string]bool{}, ended: map[string]protocol.Beat{}, news: make(chan struct{})}
}

// Outcome is what came of a wave.
type Outcome struct {
	Took         time.Duration // from the orders to the last report
	Store, Peers int64         // bytes by whom the machines took them from
}

// Run gives the orders as soon as all machines wait for them, and waits until all have written the image. It is Unavailable when
// they have not before ctx ends, and Internal when one could not.
func (w *Wave) Run(ctx context.Context) (Outcome, error) {
	if n := w.until(ctx, func() int { return len(w.ready) }); n < w.machines {
		return Outcome{}, fault.Errorf(fault.Unavailable, "only %d of %d machines were booted", n, w.machines)
	}
	began := time.Now()
	close(w.begin)
	if n := w.until(ctx, func() int { return len(w.ended) }); n < w.machines {
		return Outcome{}, fault.Errorf(fault.Unavailable, "only %d of %d machines have written the image after %s", n, w.machines, time.Since(began))
	}
	out := Outcome{Took: time.Since(began)}
	w.mu.Lock()
	defer w.mu.Unlock()
	for who, b := range w.ended {
		if b.Error != "" || b.Result.Written == nil {
			return Outcome{}, fault.Errorf(fault.Internal, "%s: %s", who, b.Error)
		}
		out.Store, out.Peers = out.Store+b.Result.Written.FromStore, out.Peers+b.Result.Written.FromPeers
	}
	return out, nil
}

// until waits until there are as many as machines, or ctx ends, and returns how many there are.
func (w *Wave) until(ctx context.Context, count func() int) int {
	for {
		w.mu.Lock()
		n, news := count(), w.news
		w.mu.Unlock()
		if n >= w.machines {
			return n
		}
		select {
		case <-news:
		case <-ctx.Done():
			return n
		}
	}
}

func (w *Wave) change(fn func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fn()
	close(w.news)
	w.news = make(chan struct{})
}

// Known takes every machine for one of the wave.
func (w *Wave) Known(context.Context, string) (bool, error) { return true, nil }

// BootFor has a machine boot the agent, with its MAC address as the secret.
func (w *Wave) BootFor(_ context.Context, mac string) (node.Boot, error) {
	return node.Boot{Node: node.ID(mac), Secret: mac}, nil
}

// Claim makes an agent's secret its token.
func (w *Wave) Claim(_ context.Context, c protocol.Claim) (protocol.Claimed, error) {
	return protocol.Claimed{Token: c.Secret, Node: c.Secret, BeatSeconds: 2, HoldSeconds: 30, GiveUpSeconds: 3600}, nil
}

// Await holds an idle agent's question back until the wave begins, and has one that has written power off.
func (w *Wave) Await(ctx context.Context, token string, b protocol.Beat) (*protocol.Order, error) {
	switch {
	case b.Order == "" && !b.Done:
	case b.Done && b.Order == w.order.ID:
		w.change(func() { w.ended[token] = b })
		return &protocol.Order{ID: "last", Shutdown: &protocol.Shutdown{}}, nil
	default:
		return nil, nil
	}
	w.change(func() { w.ready[token] = true })
	held := time.NewTimer(25 * time.Second) // less than the agent was told that it may be
	defer held.Stop()
	select {
	case <-w.begin:
		return w.order, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-held.C:
		return nil, nil
	}
}

// KeepLog drops it.
func (w *Wave) KeepLog(context.Context, string, string) error { return nil }

// MayRead lets the agents of the wave read its image.
func (w *Wave) MayRead(ctx context.Context, token, image string) error {
	_, err := w.Writes(ctx, token)
	if err == nil && !strings.HasSuffix(w.order.Write.URL, "/"+image) {
		return fault.Errorf(fault.Denied, "the agent has no order to write this image")
	}
	return err
}

// Writes is the wave's image.
func (w *Wave) Writes(_ context.Context, token string) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ready[token] {
		return "", fault.Errorf(fault.Unauthentic, "no such agent")
	}
	return w.order.Write.SHA512, nil
}
