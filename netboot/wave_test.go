package netboot_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hagane-cloud/hagane/agent"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/netboot"
	"github.com/hagane-cloud/hagane/netboot/netboottest"
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

// nearby is a host as an agent's peers reach it.
type nearby struct{ *station }

func (n nearby) Listen() (net.Listener, error) { return n.station.Listen(0) }

// plan is a wave that is to be measured.
type plan struct {
	machines int
	peers    bool    // machines take the image from each other
	faster   float64 // the store's port than the machines'
}

// runWave has machines write an image of so many bytes over a fabric with a rate (bits a second), in the time of a bubble.
func runWave(t testing.TB, p plan, size int, bits int64) netboottest.Outcome {
	t.Helper()
	shelf := netboottest.NewShelf(t, size)
	nodes := netboottest.NewWave(p.machines, shelf.Order(p.peers))
	f := newFabric(bits)
	at := f.host(store)
	at.rate *= p.faster
	server := netboot.New(netboot.Options{Network: "provisioning", Address: netip.MustParsePrefix(store + "/16"), Nodes: nodes, Images: shelf.Images, Silent: true, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	defer time.Sleep(time.Minute) // of the bubble's time: for the server's last answers, which nobody waits for
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() {
		if err := server.Serve(ctx, at); err != nil {
			t.Error(err)
		}
	})
	all := make([]*machine, p.machines)
	for n := range all {
		all[n] = newMachine(shelf.Raw)
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
	most, cancelMost := context.WithTimeout(ctx, time.Hour) // of the bubble's time
	defer cancelMost()
	out, err := nodes.Run(most)
	if err != nil {
		t.Fatal(err)
	}
	for n, m := range all {
		if !m.holds() {
			t.Errorf("the disk of machine %d holds something else than the image", n)
		}
	}
	return out
}

// TestWave writes one image to 16 machines at the same moment. Image and rate are scaled down by 256 from 1 GiB and
// 1 Gbit/s. By what the machines give each other it takes at most half as long again as one machine alone needs for the stream; without
// that, four machines take four times as long.
func TestWave(t *testing.T) {
	const machines, few, scale = 16, 4, 256
	const size = 1 << 30 / scale
	measure := func(machines int, peers bool) (w netboottest.Outcome) {
		synctest.Test(t, func(t *testing.T) { w = runWave(t, plan{machines, peers, 1}, size, 1_000_000_000/scale) })
		return w
	}
	alone, together, apart := measure(1, false), measure(machines, true), measure(few, false)
	ratio := together.Took.Seconds() / alone.Took.Seconds()
	t.Logf("one machine %s; %d machines %s, %.2f times as long, with %.2f images from the store; %d from the store alone %s", alone.Took, machines, together.Took,
		ratio, float64(together.Store)/size, few, apart.Took)
	if ratio > 1.5 {
		t.Errorf("%d machines took %.2f times as long as one", machines, ratio)
	}
	if together.Store > int64(size)*3/2 || together.Store+together.Peers != int64(machines*size) {
		t.Errorf("%d bytes came from the store and %d from peers", together.Store, together.Peers)
	}
	if apart.Took < alone.Took*(few-1) {
		t.Errorf("%d machines took %s from the store alone: the ports are not what limits them", few, apart.Took)
	}
}

// BenchmarkWave measures a wave by the number of machines, with 1 GiB and 1 Gbit/s scaled down by 16: 64 MiB and 62.5 Mbit/s. The times are the
// network's, whatever the processors can do. A store whose port is ten times as fast, and no peers, is what a cache of the site would be.
func BenchmarkWave(b *testing.B) {
	const scale = 16
	const size = 1 << 30 / scale
	for _, p := range []plan{{1, false, 1}, {1, true, 1}, {16, true, 1}, {64, true, 1}, {4, false, 1}, {64, false, 10}} {
		b.Run(fmt.Sprintf("machines=%d,peers=%v,store=%vx", p.machines, p.peers, p.faster), func(b *testing.B) {
			for b.Loop() {
				var w netboottest.Outcome
				if ok := testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: b.Name(), F: func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { w = runWave(t, p, size, 1_000_000_000/scale) })
				}}}); !ok {
					b.Fatal("the wave failed")
				}
				b.ReportMetric(w.Took.Seconds(), "s/wave")
				b.ReportMetric(float64(w.Store)/size, "images-of-the-store")
			}
		})
	}
}
