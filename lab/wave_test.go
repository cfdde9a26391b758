package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/lab/ether"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/machine/sim"
	"github.com/hagane-cloud/hagane/lab/netstack"
	"github.com/hagane-cloud/hagane/lab/vswitch"
	"github.com/hagane-cloud/hagane/netboot"
	"github.com/hagane-cloud/hagane/netboot/netboottest"
)

// provisioningVLAN is where a wave's machines and the cloud meet.
const provisioningVLAN = 4001

// waved is what came of a wave over the lab's switch.
type waved struct {
	netboottest.Outcome
	cpu        time.Duration // of this process, which plays all of it
	used, idle float64       // processors, on the average: by this process, and by nobody
}

// runWave has machines on a switch whose ports have a rate (bits a second) write the image, all from the same moment.
func runWave(t testing.TB, s *netboottest.Shelf, machines int, bits int64, peers bool) waved {
	t.Helper()
	nodes := netboottest.NewWave(machines, s.Order(peers))
	sw := vswitch.New("lab", ether.MAC{2, 0xff})
	sw.SetRate(bits)
	stop := serveShelf(t, s, sw, nodes)
	defer stop()
	for _, m := range machinesFor(t, int64(len(s.Raw)), sw, machines) {
		defer func() {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}()
		if err := errors.Join(m.SetBoot(t.Context(), machine.Boot{Device: machine.Network}), m.Power(t.Context(), machine.PowerOn)); err != nil {
			t.Fatal(err)
		}
	}
	fastest := time.Duration(float64(len(s.Raw)) * 8 / float64(bits) * float64(time.Second))
	ctx, cancel := context.WithTimeout(t.Context(), 4*fastest+2*time.Minute)
	defer cancel()
	began, used, idle := time.Now(), processor(), idleProcessors(t)
	out, err := nodes.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cpu, took := processor()-used, time.Since(began).Seconds()
	return waved{out, cpu, cpu.Seconds() / took, (idleProcessors(t) - idle).Seconds() / took}
}

// serveShelf serves the provisioning network until stop is called.
func serveShelf(t testing.TB, s *netboottest.Shelf, sw *vswitch.Switch, nodes netboot.Nodes) (stop func()) {
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
		Network: "provisioning", Address: address, DB: s.DB, Nodes: nodes, Images: s.Images, Log: slog.New(slog.DiscardHandler),
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

// machinesFor makes machines whose disks an image of so many bytes fits on.
func machinesFor(t testing.TB, size int64, sw *vswitch.Switch, machines int) []*sim.Machine {
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
			Disks: []machine.DiskSpec{{Bus: machine.Virtio, Bytes: size + 8<<20, Serial: name}},
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
// time that the cloud's port would need to send each of them the image. What a wave takes when nothing but the ports limits it is
// measured in package netboot.
func TestWave(t *testing.T) {
	const machines, size, bits = 8, 1 << 20, 1_000_000
	together := runWave(t, netboottest.NewShelf(t, size), machines, bits, true)
	apart := time.Duration(machines*size*8) * time.Second / bits
	t.Logf("%d machines took %s, with %.2f images from the store, which could have sent all in %s", machines, together.Took, float64(together.Store)/size, apart)
	if together.Took > apart/2 {
		t.Errorf("%d machines took %s", machines, together.Took)
	}
	if together.Store > 2*size || together.Store+together.Peers != machines*size {
		t.Errorf("%d bytes came from the store and %d from peers", together.Store, together.Peers)
	}
}

// BenchmarkWaveLab measures a wave of HAGANE_WAVE_MACHINES (64) machines over their TCP and the lab's switch, and one machine
// that takes the stream, which it is compared with. The image of HAGANE_WAVE_MIB (64) and 62.5 Mbit/s are 1 GiB
// and 1 Gbit/s divided by 16; ports are slower yet by HAGANE_WAVE_SLOWER (16), so that the processors are not the limit: cores-idle says whether they were.
func BenchmarkWaveLab(b *testing.B) {
	const bits = 1_000_000_000 / 16
	size, machines, slower := setting(b, "HAGANE_WAVE_MIB", 64)<<20, setting(b, "HAGANE_WAVE_MACHINES", 64), setting(b, "HAGANE_WAVE_SLOWER", 16)
	s := netboottest.NewShelf(b, size)
	for b.Loop() {
		alone := runWave(b, s, 1, int64(bits/slower), false)
		together := runWave(b, s, machines, int64(bits/slower), true)
		b.ReportMetric(alone.Took.Seconds(), "s/machine")
		b.ReportMetric(together.Took.Seconds(), "s/wave")
		b.ReportMetric(together.Took.Seconds()/alone.Took.Seconds(), "times-as-long")
		b.ReportMetric(float64(together.Store)/float64(size), "images-of-the-store")
		b.ReportMetric(together.cpu.Seconds(), "cpu-s/wave")
		b.ReportMetric(together.used, "cores-used")
		b.ReportMetric(together.idle, "cores-idle")
	}
}

// idleProcessors is the time in which the processors of the computer had nothing to do, whoever used them otherwise (proc(5), /proc/stat: the
// fourth number, in hundredths of a second).
func idleProcessors(t testing.TB) time.Duration {
	t.Helper()
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	var user, nice, system, idle int64
	if _, err := fmt.Sscanf(string(text), "cpu %d %d %d %d", &user, &nice, &system, &idle); err != nil {
		t.Fatal(err)
	}
	return time.Duration(idle) * 10 * time.Millisecond
}

// setting is a number from the environment, or what it is without.
func setting(b *testing.B, name string, otherwise int) int {
	b.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("%s=%s is no number of something", name, text)
	}
	return n
}
