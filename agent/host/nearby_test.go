package host

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/agent/manifest"
	"github.com/hagane-cloud/hagane/agent/swarm"
	"github.com/hagane-cloud/hagane/fault"
)

const chunks = 48

// loopback is a store and a tracker for agents on 127.0.0.1.
type loopback struct {
	raw []byte
	*manifest.Manifest

	told chan int // the port of the first agent that was met

	mu   sync.Mutex
	at   map[int]bool
	sent [chunks]bool
}

func newLoopback(t *testing.T) *loopback {
	t.Helper()
	raw := make([]byte, chunks*manifest.Least)
	_, _ = rand.NewChaCha8([32]byte{4}).Read(raw) // which never fails
	m, err := manifest.Make(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return &loopback{raw: raw, Manifest: m, at: map[int]bool{}, told: make(chan int, 1)}
}

func (l *loopback) Meet(_ context.Context, port int) (others []netip.AddrPort, _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range l.at {
		if p != port {
			others = append(others, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(p)))
		}
	}
	if port > 0 {
		if len(l.at) == 0 {
			l.told <- port
		}
		l.at[port] = true
	}
	return others, nil
}

// Chunk sends each chunk once.
func (l *loopback) Chunk(_ context.Context, want []byte, _ bool, accept func(i int) []byte) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range chunks {
		if want[i/8]>>(i%8)&1 == 0 || l.sent[i] {
			continue
		}
		room := accept(i)
		at, _ := l.Span(i)
		l.sent[i] = room != nil
		copy(room, l.raw[at:])
		return true, nil
	}
	return false, nil
}

// noStore is a cloud of which nothing but the peers is to be had.
type noStore struct{ *loopback }

func (noStore) Chunk(context.Context, []byte, bool, func(int) []byte) (bool, error) {
	return false, fault.Errorf(fault.Unavailable, "there is no store")
}

// peer joins the swarm of the image on real sockets, with a disk in memory.
func peer(t *testing.T, cloud swarm.Cloud, l *loopback) (s *swarm.Swarm, disk []byte) {
	t.Helper()
	disk = make([]byte, len(l.raw))
	var mu sync.Mutex
	s, err := swarm.New(t.Context(), swarm.Options{
		Manifest: l.Manifest, Key: bytes.Repeat([]byte{1}, swarm.KeyBytes), Network: Nearby{API: "http://127.0.0.1/agent/v1"}, Cloud: cloud, Patience: time.Minute,
		Place: func(chunk []byte, at int64) error {
			mu.Lock()
			defer mu.Unlock()
			copy(disk[at:], chunk)
			return nil
		},
		Read: func(b []byte, at int64) error {
			mu.Lock()
			defer mu.Unlock()
			copy(b, disk[at:])
			return nil
		},
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, disk
}

// TestNearby has two agents exchange the chunks of an image over TLS and TCP on the loopback, and a third take all of it from them,
// who has no store.
func TestNearby(t *testing.T) {
	l := newLoopback(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var fetching sync.WaitGroup
	var fromStore, fromPeers int64
	var all [2]*swarm.Swarm
	var disks [2][]byte
	for i := range all {
		all[i], disks[i] = peer(t, l, l)
	}
	for i := range all {
		fetching.Go(func() {
			if err := all[i].Fetch(ctx); err != nil || !bytes.Equal(disks[i], l.raw) {
				t.Errorf("agent %d has something else than the image: %v", i, err)
			}
		})
	}
	fetching.Wait()
	for _, s := range all {
		fromStore, fromPeers = fromStore+s.Counts().Store, fromPeers+s.Counts().Peers
	}
	if size := int64(len(l.raw)); fromStore != size || fromPeers != size {
		t.Errorf("%d bytes came from the store and %d from peers, want %d each", fromStore, fromPeers, size)
	}
	third, disk := peer(t, noStore{l}, l)
	if err := third.Fetch(ctx); err != nil || !bytes.Equal(disk, l.raw) {
		t.Errorf("who has no store has something else than the image: %v", err)
	}
	if c := third.Counts(); c.Store != 0 || c.Peers != int64(len(l.raw)) {
		t.Errorf("%+v", c)
	}
}

// TestNearbyStranger listens on the address that the cloud is called from alone, and talks to nobody who does not hold the wave's key.
func TestNearbyStranger(t *testing.T) {
	l := newLoopback(t)
	peer(t, l, l)
	port := <-l.told
	conn, err := Nearby{}.DialContext(t.Context(), "tcp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)).String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	stranger := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}) // who takes anybody
	if n, err := stranger.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error("a stranger was told something")
	} else if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		t.Error("a stranger was not turned away")
	}
	if other, err := net.DialTimeout("tcp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), uint16(port)).String(), 10*time.Second); err == nil {
		_ = other.Close()
		t.Error("the agent listens on other addresses as well")
	}
}
