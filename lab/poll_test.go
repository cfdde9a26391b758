package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/ipmi"
	"github.com/hagane-cloud/hagane/bmc/redfish"
	"github.com/hagane-cloud/hagane/lab/bmcsim"
	redfishsim "github.com/hagane-cloud/hagane/lab/bmcsim/redfish"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/machine/sim"
)

// polled is how many BMCs the benchmark polls: the power of all must be read within the rhythm of 120 s.
const polled = 5000

// BenchmarkPoll reads the power of 5,000 simulated BMCs as the conductor does, 64 at a time, in a process with the
// simulators: at first with a login each, then over the sessions that are kept.
func BenchmarkPoll(b *testing.B) {
	for name, kind := range map[string]string{"redfish": "generic", "ipmi": "ipmi"} {
		b.Run(name, func(b *testing.B) {
			before := heap()
			paths, stop := rackOf(b, kind)
			defer stop()
			simulators := heap() - before
			open := map[string]bmc.Opener{"redfish": redfish.Open, "ipmi": ipmi.Open}
			pool := bmc.NewPool(func(ctx context.Context, a bmc.Access) (bmc.Driver, error) { return open[a.Driver](ctx, a) }, nil)
			first, _ := poll(b, pool, paths)
			drivers := heap() - before - simulators
			var wall, cpu time.Duration
			for b.Loop() {
				w, c := poll(b, pool, paths)
				wall, cpu = wall+w, cpu+c
			}
			b.ReportMetric(first.Seconds(), "s/first-poll")
			b.ReportMetric(wall.Seconds()/float64(b.N), "s/poll")
			b.ReportMetric(float64(cpu.Microseconds())/1000/float64(b.N)/polled, "cpu-ms/BMC")
			b.ReportMetric(float64(simulators)/polled/1024, "kB-simulator/BMC")
			b.ReportMetric(float64(drivers)/polled/1024, "kB-driver/BMC")
			pool.CloseIdle(context.Background(), 0)
		})
	}
}

// rackOf starts BMCs of a kind with machines that are off.
func rackOf(b *testing.B, name string) (paths []bmc.Access, stop func()) {
	b.Helper()
	kind, err := KindNamed(name)
	if err != nil {
		b.Fatal(err)
	}
	address := netip.MustParseAddr("127.0.0.1")
	shared, err := redfishsim.SelfSigned("lab", "lab", address)
	if err != nil {
		b.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.Background())
	var serving errgroup.Group
	var machines []machine.Machine
	dir := b.TempDir()
	for i := range polled {
		n := fmt.Sprintf("p%d", i)
		m, err := sim.New(machine.Spec{Name: n, Manufacturer: "Hagane", Product: "R1", Serial: n, UUID: machine.Seed(1).UUID(n), Mode: machine.UEFI, CPUs: 1, MemoryMB: 512}, dir+"/"+n, nil, sim.Options{Log: log})
		if err != nil {
			b.Fatal(err)
		}
		machines = append(machines, m)
		s, err := kind.open(bmcsim.Config{Machine: m, Address: address, Username: "admin", Password: "s3cretpassword16", Log: log, Certificate: &shared})
		if err != nil {
			b.Fatal(err)
		}
		serving.Go(func() error { return s.Serve(ctx) })
		paths = append(paths, bmc.Access{Driver: kind.Driver, Address: s.Address(), Username: "admin", Password: "s3cretpassword16", Insecure: true})
	}
	return paths, func() {
		cancel()
		err := serving.Wait()
		for _, m := range machines {
			err = errors.Join(err, m.Close())
		}
		if err != nil {
			b.Error(err)
		}
	}
}

// poll reads the power of all once, and tells the time and the processor time that it took.
func poll(b *testing.B, pool *bmc.Pool, paths []bmc.Access) (wall, cpu time.Duration) {
	b.Helper()
	began, used := time.Now(), processor()
	var g errgroup.Group
	g.SetLimit(64)
	for i, a := range paths {
		g.Go(func() error {
			d, done, err := pool.Get(b.Context(), fmt.Sprint(i), []bmc.Access{a})
			if err != nil {
				return err
			}
			defer done()
			p, err := d.Power(b.Context())
			if err == nil && p != bmc.Off {
				err = fmt.Errorf("the power is %s", p)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	return time.Since(began), processor() - used
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
