package netboot_test

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hagane-cloud/hagane/agent"
	"github.com/hagane-cloud/hagane/agent/manifest"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/agent/swarm"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
	"github.com/hagane-cloud/hagane/netboot"
)

const store = "198.18.0.1"

// machine is what an agent runs on: one disk in memory. Of the image only what differs from the image is kept.
type machine struct {
	image []byte // what is expected

	mu      sync.Mutex
	info    agent.DiskInfo
	written map[int64]bool // parts of the image that are on the disk
	other   map[int64][]byte
}

const partBytes = 64 << 10

func newMachine(img []byte) *machine {
	return &machine{image: img, written: map[int64]bool{}, other: map[int64][]byte{}, info: agent.DiskInfo{SectorBytes: 512, Disk: protocol.Disk{Name: "/dev/sim", Bytes: int64(len(img)) + 8<<20}}}
}

func (m *machine) Inventory(context.Context) (protocol.Inventory, error) {
	return protocol.Inventory{}, nil
}
func (m *machine) Disks(context.Context) ([]agent.Disk, error) { return []agent.Disk{m}, nil }
func (m *machine) Restart(context.Context) error               { return nil }
func (m *machine) PowerOff(context.Context) error              { return nil }
func (m *machine) Info() agent.DiskInfo                        { return m.info }
func (m *machine) Sync(context.Context) error                  { return nil }
func (m *machine) Reread(context.Context) error                { return nil }
func (m *machine) Close() error                                { return nil }

// each calls fn for the parts of the disk that a transfer touches.
func each(b []byte, at int64, fn func(part int64, from int, b []byte)) {
	for len(b) > 0 {
		part, from := at/partBytes, int(at%partBytes)
		n := min(len(b), partBytes-from)
		fn(part, from, b[:n])
		at, b = at+int64(n), b[n:]
	}
}

// expected is a part of the image; zeros where there is none.
func (m *machine) expected(part int64) []byte {
	at := part * partBytes
	if at+partBytes <= int64(len(m.image)) {
		return m.image[at : at+partBytes]
	}
	b := make([]byte, partBytes)
	if at < int64(len(m.image)) {
		copy(b, m.image[at:])
	}
	return b
}

func (m *machine) content(part int64) []byte {
	switch {
	case m.other[part] != nil:
		return m.other[part]
	case m.written[part]:
		return m.expected(part)
	}
	return nil
}

func (m *machine) ReadAt(b []byte, at int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	each(b, at, func(part int64, from int, b []byte) {
		if have := m.content(part); have != nil {
			copy(b, have[from:])
		} else {
			clear(b)
		}
	})
	return len(b), nil
}

func (m *machine) WriteAt(b []byte, at int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	each(b, at, func(part int64, from int, b []byte) {
		whole := b
		if len(b) < partBytes {
			whole = make([]byte, partBytes)
			copy(whole, m.content(part))
			copy(whole[from:], b)
		}
		delete(m.other, part)
		if m.written[part] = bytes.Equal(whole, m.expected(part)); !m.written[part] {
			m.other[part] = bytes.Clone(whole)
		}
	})
	return len(b), nil
}

// holds reports whether the image is on the disk.
func (m *machine) holds() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for part := range int64((len(m.image) + partBytes - 1) / partBytes) {
		if !m.written[part] {
			return false
		}
	}
	return true
}

// orders are the nodes of a wave: all agents are told at the same moment to write the image.
type orders struct {
	netboot.Nodes
	order protocol.Order
	begin chan struct{}

	mu    sync.Mutex
	ready map[string]bool
	ended map[string]protocol.Beat
	all   int
	ok    chan struct{} // closed when all have ended
}

func (o *orders) Claim(_ context.Context, c protocol.Claim) (protocol.Claimed, error) {
	return protocol.Claimed{Token: c.Secret, BeatSeconds: 2, HoldSeconds: 30, GiveUpSeconds: 3600}, nil
}

func (o *orders) Await(ctx context.Context, token string, b protocol.Beat) (*protocol.Order, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case b.Order == "last":
	case b.Done:
		if o.ended[token] = b; len(o.ended) == o.all {
			close(o.ok)
		}
		return &protocol.Order{ID: "last", Shutdown: &protocol.Shutdown{}}, nil
	case b.Order == "":
		o.ready[token] = true
		o.mu.Unlock()
		defer o.mu.Lock()
		select {
		case <-o.begin:
			return &o.order, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, nil
}

func (o *orders) KeepLog(context.Context, string, string) error { return nil }

func (o *orders) MayRead(ctx context.Context, token, _ string) error {
	_, err := o.Writes(ctx, token)
	return err
}

func (o *orders) Writes(_ context.Context, token string) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ready[token] {
		return "", fault.Errorf(fault.Unauthentic, "no such agent")
	}
	return o.order.Write.SHA512, nil
}

// nearby is a host as an agent's peers reach it.
type nearby struct{ *station }

func (n nearby) Listen() (net.Listener, error) { return n.station.Listen(0) }

// wave is what came of many machines that write an image at the same moment.
type wave struct {
	took         time.Duration
	store, peers int64 // bytes
}

// runWave has machines write an image over a fabric with a rate, in the time of a bubble.
func runWave(t testing.TB, machines int, img []byte, bits int64, peers bool) wave {
	t.Helper()
	images, err := image.NewService(image.Options{DB: dbtest.SQLite(t), Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	i, err := images.Create(t.Context(), "", image.Image{Name: "wave", Owner: "00000000000000000000000000000001", DiskFormat: "raw", ContainerFormat: "bare", Visibility: image.Private})
	if err == nil {
		err = images.Upload(t.Context(), "", i.ID, bytes.NewReader(img))
	}
	if err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(img)
	order := &protocol.Write{URL: "http://" + store + "/agent/v1/images/" + i.ID, SHA512: hex.EncodeToString(sum[:]), Size: int64(len(img))}
	if peers {
		encoded, err := images.Manifest(order.SHA512)
		if err != nil {
			t.Fatal(err)
		}
		order.Swarm = &protocol.Swarm{Manifest: manifest.Digest(encoded), Key: bytes.Repeat([]byte{1}, swarm.KeyBytes)}
	}
	o := &orders{order: protocol.Order{ID: "write", Write: order}, begin: make(chan struct{}), ready: map[string]bool{}, ended: map[string]protocol.Beat{}, all: machines, ok: make(chan struct{})}
	f := newFabric(bits)
	server := netboot.New(netboot.Options{Network: "provisioning", Address: netip.MustParsePrefix(store + "/16"), Nodes: o, Images: images, Silent: true, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	defer time.Sleep(time.Minute) // of the bubble's time: for the server's last answers, which nobody waits for
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() {
		if err := server.Serve(ctx, f.host(store)); err != nil {
			t.Error(err)
		}
	})
	all := make([]*machine, machines)
	for n := range all {
		all[n] = newMachine(img)
		h := f.host(fmt.Sprintf("198.18.%d.%d", 1+n/200, 1+n%200))
		client := &http.Client{Transport: &http.Transport{DialContext: h.DialContext}}
		running.Go(func() {
			defer client.CloseIdleConnections()
			err := agent.Run(ctx, agent.Config{API: "http://" + store + "/agent/v1", Secret: fmt.Sprint("agent ", n), HTTP: client, Machine: all[n], Peers: nearby{h}})
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	time.Sleep(10 * time.Second) // of the bubble's time: all agents wait for their orders
	began := time.Now()
	close(o.begin)
	<-o.ok
	out := wave{took: time.Since(began)}
	for who, b := range o.ended {
		if b.Error != "" {
			t.Fatalf("%s: %s", who, b.Error)
		}
		out.store, out.peers = out.store+b.Result.Written.FromStore, out.peers+b.Result.Written.FromPeers
	}
	for n, m := range all {
		if !m.holds() {
			t.Errorf("the disk of machine %d holds something else than the image", n)
		}
	}
	return out
}

// randomImage is an image without holes.
func randomImage(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}

// TestWave writes one image to 16 machines at the same moment. Image and rate are scaled down by 256 from 1 GiB and
// 1 Gbit/s. By what the machines give each other it takes at most half as long again as one machine alone needs for the stream; without
// that, four machines take four times as long.
func TestWave(t *testing.T) {
	const machines, few, scale = 16, 4, 256
	img := randomImage(1 << 30 / scale)
	measure := func(machines int, peers bool) (w wave) {
		synctest.Test(t, func(t *testing.T) { w = runWave(t, machines, img, 1_000_000_000/scale, peers) })
		return w
	}
	alone, together, apart := measure(1, false), measure(machines, true), measure(few, false)
	ratio := together.took.Seconds() / alone.took.Seconds()
	t.Logf("one machine %s; %d machines %s, %.2f times as long, with %.2f images from the store; %d from the store alone %s", alone.took, machines, together.took,
		ratio, float64(together.store)/float64(len(img)), few, apart.took)
	if ratio > 1.5 {
		t.Errorf("%d machines took %.2f times as long as one", machines, ratio)
	}
	if together.store > int64(len(img))*3/2 || together.store+together.peers != int64(machines*len(img)) {
		t.Errorf("%d bytes came from the store and %d from peers", together.store, together.peers)
	}
	if apart.took < alone.took*(few-1) {
		t.Errorf("%d machines took %s from the store alone: the ports are not what limits them", few, apart.took)
	}
}

// BenchmarkWave measures a wave by the number of machines, with 1 GiB and 1 Gbit/s scaled down by 16: 64 MiB and 62.5 Mbit/s. The times are the
// network's, whatever the processors can do.
func BenchmarkWave(b *testing.B) {
	const scale = 16
	img := randomImage(1 << 30 / scale)
	for _, c := range []struct {
		machines int
		peers    bool
	}{{1, false}, {1, true}, {16, true}, {64, true}, {4, false}} {
		b.Run(fmt.Sprintf("machines=%d,peers=%v", c.machines, c.peers), func(b *testing.B) {
			for b.Loop() {
				var w wave
				if ok := testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: b.Name(), F: func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { w = runWave(t, c.machines, img, 1_000_000_000/scale, c.peers) })
				}}}); !ok {
					b.Fatal("the wave failed")
				}
				b.ReportMetric(w.took.Seconds(), "s/wave")
				b.ReportMetric(float64(w.store)/float64(len(img)), "images-of-the-store")
			}
		})
	}
}
