package lab_test

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
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/agent/manifest"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/agent/swarm"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
	"github.com/hagane-cloud/hagane/lab/ether"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/machine/sim"
	"github.com/hagane-cloud/hagane/lab/netstack"
	"github.com/hagane-cloud/hagane/lab/vswitch"
	"github.com/hagane-cloud/hagane/netboot"
	"github.com/hagane-cloud/hagane/node"
)

// provisioningVLAN is where a wave's machines and the cloud meet.
const provisioningVLAN = 4001

// shelf is an image registry with one image, which waves deploy.
type shelf struct {
	db     *db.DB
	images *image.Service
	write  protocol.Write
	swarm  protocol.Swarm
}

// newShelf takes in an image of random bytes, which neither have holes nor can be packed.
func newShelf(t testing.TB, size int64) *shelf {
	t.Helper()
	s := &shelf{db: dbtest.SQLite(t)}
	var err error
	if s.images, err = image.NewService(image.Options{DB: s.db, Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	i, err := s.images.Create(t.Context(), "", image.Image{Name: "wave", Owner: "00000000000000000000000000000001", DiskFormat: "raw", ContainerFormat: "bare", Visibility: image.Private})
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(raw)
	if err := s.images.Upload(t.Context(), "", i.ID, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(raw)
	s.write = protocol.Write{URL: "http://198.18.0.1/agent/v1/images/" + i.ID, SHA512: hex.EncodeToString(sum[:]), Size: size}
	encoded, err := s.images.Manifest(s.write.SHA512)
	if err != nil {
		t.Fatal(err)
	}
	s.swarm = protocol.Swarm{Manifest: manifest.Digest(encoded), Key: bytes.Repeat([]byte{1}, swarm.KeyBytes)}
	return s
}

// starter is the nodes of a wave: all are booted, and ordered to write at the same moment.
type starter struct {
	order protocol.Order
	begin chan struct{} // closed when the wave begins

	mu    sync.Mutex
	ready map[string]bool // tokens of agents that wait
	ended map[string]protocol.Beat
	news  chan struct{} // closed at the next change
}

func (s *starter) change(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn()
	close(s.news)
	s.news = make(chan struct{})
}

func (s *starter) Known(context.Context, string) (bool, error) { return true, nil }

func (s *starter) BootFor(_ context.Context, mac string) (node.Boot, error) {
	return node.Boot{Node: node.ID(mac), Secret: mac}, nil
}

func (s *starter) Claim(_ context.Context, c protocol.Claim) (protocol.Claimed, error) {
	return protocol.Claimed{Token: c.Secret, Node: c.Secret, BeatSeconds: 2, HoldSeconds: 30, GiveUpSeconds: 600}, nil
}

func (s *starter) Await(ctx context.Context, token string, b protocol.Beat) (*protocol.Order, error) {
	switch {
	case b.Order == "last":
		return nil, nil
	case b.Done:
		s.change(func() { s.ended[token] = b })
		return &protocol.Order{ID: "last", Shutdown: &protocol.Shutdown{}}, nil
	case b.Order == "":
		s.change(func() { s.ready[token] = true })
		select {
		case <-s.begin:
			return &s.order, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(25 * time.Second): // as long as the agent was told that its question may be held
			return nil, nil
		}
	}
	return nil, nil
}

func (s *starter) KeepLog(context.Context, string, string) error { return nil }

func (s *starter) MayRead(_ context.Context, token, _ string) error {
	_, err := s.Writes(context.Background(), token)
	return err
}

func (s *starter) Writes(_ context.Context, token string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ready[token] {
		return "", fault.Errorf(fault.Unauthentic, "no such agent")
	}
	return s.order.Write.SHA512, nil
}

// until waits for what s holds to be so; false when ctx ended before.
func (s *starter) until(ctx context.Context, so func() bool) bool {
	for {
		s.mu.Lock()
		ok, news := so(), s.news
		s.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-news:
		case <-ctx.Done():
			return false
		}
	}
}

// waved is what came of a wave.
type waved struct {
	all          bool          // machines were written
	took         time.Duration // from the orders to the last report
	store, peers int64         // bytes
}

// wave has machines on a switch whose ports have a rate write the image, all from the same moment. It gives up after most.
func (s *shelf) wave(t testing.TB, machines, mbps int, peers bool, most time.Duration) waved {
	t.Helper()
	order := s.write
	if peers {
		order.Swarm = &s.swarm
	}
	st := &starter{order: protocol.Order{ID: "write", Write: &order}, begin: make(chan struct{}), ready: map[string]bool{}, ended: map[string]protocol.Beat{}, news: make(chan struct{})}
	sw := vswitch.New("lab", ether.MAC{2, 0xff})
	sw.SetRate(int64(mbps) * 1_000_000)
	stop := s.cloud(t, sw, st)
	defer stop()
	for _, m := range s.rack(t, sw, machines) {
		defer func() {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}()
		if err := errors.Join(m.SetBoot(t.Context(), machine.Boot{Device: machine.Network}), m.Power(t.Context(), machine.PowerOn)); err != nil {
			t.Fatal(err)
		}
	}
	booting, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if !st.until(booting, func() bool { return len(st.ready) == machines }) {
		t.Fatalf("only %d of %d machines booted", len(st.ready), machines)
	}
	began := time.Now()
	close(st.begin)
	writing, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	out := waved{all: st.until(writing, func() bool { return len(st.ended) == machines }), took: time.Since(began)}
	st.mu.Lock()
	defer st.mu.Unlock()
	for who, b := range st.ended {
		if b.Error != "" || b.Result.Written == nil {
			t.Fatalf("%s: %s", who, b.Error)
		}
		out.store, out.peers = out.store+b.Result.Written.FromStore, out.peers+b.Result.Written.FromPeers
	}
	return out
}

// cloud serves the provisioning network until stop is called.
func (s *shelf) cloud(t testing.TB, sw *vswitch.Switch, nodes netboot.Nodes) (stop func()) {
	t.Helper()
	port, err := sw.AddUplink(provisioningVLAN)
	if err != nil {
		t.Fatal(err)
	}
	address := netip.MustParsePrefix("198.18.0.1/16")
	host, err := netstack.NewOn(port, netstack.Config{MAC: net.HardwareAddr{2, 1, 0, 0, 0, 1}, Addr: address})
	if err != nil {
		t.Fatal(err)
	}
	port.Plug(host)
	boot := filepath.Join(t.TempDir(), "boot")
	if err := os.WriteFile(boot, make([]byte, 1024), 0o600); err != nil {
		t.Fatal(err)
	}
	server := netboot.New(netboot.Options{
		Network: "provisioning", Address: address, DB: s.db, Nodes: nodes, Images: s.images, Log: slog.New(slog.DiscardHandler),
		Files: netboot.Files{Kernel: boot, Initramfs: boot, BIOS: boot, UEFI: boot},
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, host) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		port.Unplug()
		_ = host.Close()
	}
}

// rack makes machines whose disks fit the image.
func (s *shelf) rack(t testing.TB, sw *vswitch.Switch, machines int) []*sim.Machine {
	t.Helper()
	var all []*sim.Machine
	pool := sim.NewPool()
	dir := t.TempDir()
	for i := range machines {
		name := fmt.Sprintf("n%03d", i)
		port, err := sw.AddPort(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := port.SetConfig(vswitch.Config{Access: provisioningVLAN}); err != nil {
			t.Fatal(err)
		}
		m, err := sim.New(machine.Spec{
			Name: name, Serial: name, UUID: fmt.Sprintf("00000000-0000-4000-8000-%012d", i), Mode: machine.UEFI, CPUs: 1, MemoryMB: 1024,
			Disks: []machine.DiskSpec{{Bus: machine.Virtio, Bytes: s.write.Size + 8<<20, Serial: name}},
			NICs:  []machine.NICSpec{{MAC: net.HardwareAddr{2, 2, 0, 0, byte(i >> 8), byte(i)}, Port: name}},
		}, filepath.Join(dir, name), []*vswitch.Port{port}, sim.Options{Log: slog.New(slog.DiscardHandler), Pool: pool})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// TestWave deploys one image to eight machines at once, over their TCP and a switch with slow ports: in less than half of the
// time that the cloud's port would need to send each of them the image. What a wave takes when nothing but the ports limits it is measured
// in package netboot.
func TestWave(t *testing.T) {
	const machines, size, mbps = 8, 1 << 20, 1
	s := newShelf(t, size)
	together := s.wave(t, machines, mbps, true, 2*time.Minute)
	apart := time.Duration(machines * size * 8 / mbps * int64(time.Microsecond))
	t.Logf("%d machines took %s, with %.2f images from the store, which could have sent all in %s", machines, together.took, float64(together.store)/size, apart)
	if !together.all || together.took > apart/2 {
		t.Errorf("%d machines took %s, all: %v", machines, together.took, together.all)
	}
	if together.store > 2*size || together.store+together.peers != machines*size {
		t.Errorf("%d bytes came from the store and %d from peers", together.store, together.peers)
	}
}
