package redfish

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"testing"

	"github.com/hagane-cloud/hagane/lab/bmcsim"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/machine/sim"
)

// BenchmarkBMC makes BMCs that share a certificate, and tells the memory of each with its machine.
func BenchmarkBMC(b *testing.B) {
	address := netip.MustParseAddr("127.0.0.1")
	shared, err := SelfSigned("lab", "lab", address)
	if err != nil {
		b.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var all []*BMC
	for i := range b.N {
		name := fmt.Sprintf("n%d", i)
		m, err := sim.New(machine.Spec{Name: name, Serial: name, UUID: machine.Seed(1).UUID(name)}, b.TempDir(), nil, sim.Options{Log: log})
		if err != nil {
			b.Fatal(err)
		}
		one, err := Listen(bmcsim.Config{Machine: m, Address: address, Username: "admin", Password: password, Log: log, Certificate: &shared}, Personalities[i%len(Personalities)])
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, one)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(b.N), "B/BMC")
	for _, one := range all {
		_ = one.Close()
	}
}

// BenchmarkSystem reads the document that a poll of the power reads, without the network.
func BenchmarkSystem(b *testing.B) {
	m, err := sim.New(machine.Spec{Name: "n", Serial: "n", UUID: machine.Seed(1).UUID("n")}, b.TempDir(), nil, sim.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	one, err := Listen(bmcsim.Config{Machine: m, Address: netip.MustParseAddr("127.0.0.1"), Username: "admin", Password: password, Log: slog.New(slog.DiscardHandler)}, Personalities[0])
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = one.Close() }()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodGet, one.SystemPath(), nil)
		r.SetBasicAuth("admin", password)
		w := httptest.NewRecorder()
		if one.serve(w, r); w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	}
}
