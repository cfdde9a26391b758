// Package ramdisktest has what the end-to-end tests of the ramdisk and of the test systems share: a
// cloud that hands one agent its orders, and a QEMU machine without any lab around it.
package ramdisktest

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/agent/protocol"
)

// Cloud hands out its orders one after the other and keeps what the agent tells.
type Cloud struct {
	Port int

	t      *testing.T
	mu     sync.Mutex
	claim  *protocol.Claim
	orders []*protocol.Order
	ends   map[string]protocol.Beat
	times  map[string]time.Time
	log    string
	done   chan struct{}
}

// NewCloud starts a cloud on loopback; a QEMU guest with user networking reaches it at 10.0.2.2. files
// are the images that GET /image/NAME answers with.
func NewCloud(t *testing.T, files map[string]string, orders ...*protocol.Order) *Cloud {
	t.Helper()
	c := &Cloud{t: t, orders: orders, ends: map[string]protocol.Beat{}, times: map[string]time.Time{}, done: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /agent/v1"+protocol.PathClaim, c.serveClaim)
	mux.HandleFunc("POST /agent/v1"+protocol.PathHeartbeat, c.serveHeartbeat)
	mux.HandleFunc("POST /agent/v1"+protocol.PathLog, func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		t.Logf("the agent's log:\n%s", b)
	})
	mux.HandleFunc("GET /image/{name}", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, files[r.PathValue("name")])
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.Port = listener.Addr().(*net.TCPAddr).Port
	server := &http.Server{Handler: mux}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
	})
	return c
}

// Change changes orders that the cloud has not given yet.
func (c *Cloud) Change(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

func (c *Cloud) serveClaim(w http.ResponseWriter, r *http.Request) {
	var claim protocol.Claim
	if err := json.NewDecoder(r.Body).Decode(&claim); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if claim.Secret != "S" || c.claim != nil && c.claim.Nonce != claim.Nonce {
		http.Error(w, "used", http.StatusConflict)
		return
	}
	c.claim = &claim
	c.times["claim"] = time.Now()
	_ = json.NewEncoder(w).Encode(protocol.Claimed{Token: "T", Node: "n1", BeatSeconds: 2, HoldSeconds: 5, GiveUpSeconds: 60})
}

func (c *Cloud) serveHeartbeat(w http.ResponseWriter, r *http.Request) {
	var beat protocol.Beat
	if err := json.NewDecoder(r.Body).Decode(&beat); err != nil || r.Header.Get("Authorization") != "Bearer T" {
		http.Error(w, "no", http.StatusUnauthorized)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if beat.Progress.Doing != "" {
		c.t.Logf("order %s: %s, %d of %d bytes", beat.Order, beat.Progress.Doing, beat.Progress.Bytes, beat.Progress.Total)
	}
	if beat.Done && len(c.orders) > 0 && c.orders[0].ID == beat.Order {
		c.ends[beat.Order], c.times[beat.Order] = beat, time.Now()
		c.orders = c.orders[1:]
		if len(c.orders) == 0 {
			close(c.done)
		}
	}
	var answer protocol.Orders
	if len(c.orders) > 0 {
		answer.Order = c.orders[0]
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// Wait waits until all orders have been reported.
func (c *Cloud) Wait(ctx context.Context, m *Machine) {
	c.t.Helper()
	select {
	case <-c.done:
	case <-m.ended:
		select {
		case <-c.done: // the last order was to end
		default:
			c.t.Fatal("the machine ended before the agent had carried out its orders")
		}
	case <-ctx.Done():
		c.t.Fatal("the agent did not carry out its orders in time")
	}
}

// Claim returns the agent's claim.
func (c *Cloud) Claim() protocol.Claim {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.claim == nil {
		return protocol.Claim{}
	}
	return *c.claim
}

// End returns how an order ended, and when; "claim" has a time only.
func (c *Cloud) End(order string) (protocol.Beat, time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ends[order], c.times[order]
}
