package agent

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

func TestClaimInspectAndRestart(t *testing.T) {
	s := newStage(t, &protocol.Order{ID: "1", Inspect: &protocol.Inspect{}}, shutdown())
	s.repeat["1"] = 2
	m := newMachine(newDisk("/dev/vda", 1<<20))
	if err := s.run(m); err != nil {
		t.Fatal(err)
	}
	if how := m.end(t); how != "restarted" {
		t.Errorf("the machine is %s", how)
	}
	if len(s.claims) != 2 || s.claims[0].Nonce == "" || s.claims[0].Nonce != s.claims[1].Nonce || s.claims[1].MACs[0] != "02:00:00:00:00:01" {
		t.Errorf("claims: %+v", s.claims)
	}
	got := s.end("1").Result.Inventory
	if got == nil || got.Serial != "M1" || got.NICs[0].LLDP == nil || got.NICs[0].LLDP.Port != "r1p01" {
		t.Errorf("inventory: %+v", got)
	}
}

func TestPowerOffOrder(t *testing.T) {
	s := newStage(t, &protocol.Order{ID: "last", Shutdown: &protocol.Shutdown{}})
	m := newMachine()
	if err := s.run(m); err != nil || m.end(t) != "off" {
		t.Errorf("%v", err)
	}
}

func TestClaimRefused(t *testing.T) {
	for status, kind := range map[int]fault.Kind{401: fault.Unauthentic, 409: fault.Conflict} {
		s := newStage(t)
		s.refuse = status
		m := newMachine()
		err := s.run(m)
		if !fault.Is(err, kind) || m.end(t) != "off" || len(s.claims) != 1 {
			t.Errorf("%d: %v after %d claims", status, err, len(s.claims))
		}
	}
}

// TestOrderRunsOnce has an order handed out again after its end: it is reported again, not done again.
func TestOrderRunsOnce(t *testing.T) {
	d := newDisk("/dev/vda", 8<<20)
	s := newStage(t, &protocol.Order{ID: "1", Erase: &protocol.Erase{}}, shutdown())
	s.repeat["1"] = 3
	if err := s.run(newMachine(d)); err != nil {
		t.Fatal(err)
	}
	if d.written != 8<<20+markBytes {
		t.Errorf("%d bytes were written to a disk of %d", d.written, 8<<20)
	}
	done := 0
	for _, b := range s.beats {
		if b.Done && b.Order == "1" {
			done++
		}
	}
	if done != 4 {
		t.Errorf("reported %d times, want 4", done)
	}
}

func TestUnknownOrderFailsAndTheLogComesHome(t *testing.T) {
	s := newStage(t, &protocol.Order{ID: "1"}, shutdown())
	if err := s.run(newMachine()); err != nil {
		t.Fatal(err)
	}
	if got := s.end("1").Error; !strings.Contains(got, "does not know") {
		t.Errorf("error %q", got)
	}
	if !strings.Contains(s.log, "claimed the run") || !strings.Contains(s.log, "kernel words") {
		t.Errorf("log %q", s.log)
	}
}

// panicky has a defect.
type panicky struct{ *machine }

func (panicky) Disks(context.Context) ([]Disk, error) { panic("a hole in the floor") }

func TestPanicIsAFailedOrder(t *testing.T) {
	s := newStage(t, &protocol.Order{ID: "1", Erase: &protocol.Erase{}}, shutdown())
	if err := s.run(panicky{newMachine()}); err != nil {
		t.Fatal(err)
	}
	if got := s.end("1").Error; !strings.Contains(got, "a hole in the floor") || !strings.Contains(s.log, "machine_test") && !strings.Contains(s.log, "agent_test") {
		t.Errorf("error %q, log %q", got, s.log)
	}
}

func TestGivesUpOnSilence(t *testing.T) {
	s := newStage(t)
	s.down = true
	m := newMachine()
	began := time.Now()
	err := s.run(m)
	if !fault.Is(err, fault.Unavailable) || m.end(t) != "off" {
		t.Errorf("%v", err)
	}
	if time.Since(began) < time.Second {
		t.Error("gave up too early")
	}
}

// TestWithdrawnDuringWrite has the cloud refuse the agent while it writes: the disk is wiped and the machine goes off.
func TestWithdrawnDuringWrite(t *testing.T) {
	d := newDisk("/dev/vda", 16<<20).dirty()
	s := newStage(t, &protocol.Order{ID: "1"})
	o := s.serve("x", make([]byte, 8<<20), "")
	s.orders[0].Write = o
	s.images["x"] = func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(make([]byte, 1<<20))
		_ = http.NewResponseController(w).Flush()
		s.mu.Lock()
		s.revoke = "1"
		s.mu.Unlock()
		<-r.Context().Done()
	}
	m := newMachine(d)
	err := Run(t.Context(), Config{API: s.URL + "/agent/v1", Secret: "S", HTTP: s.Client(), Machine: m, Pause: time.Millisecond})
	if !fault.Is(err, fault.Unauthentic) || m.end(t) != "off" {
		t.Errorf("%v", err)
	}
	if !zeros(d.data[:endBytes]) || !zeros(d.data[len(d.data)-endBytes:]) {
		t.Error("the ends of the disk were not wiped")
	}
}

func TestContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := newStage(t, &protocol.Order{ID: "1"})
	s.orders[0].Write = s.serve("x", make([]byte, 8<<20), "")
	s.images["x"] = func(w http.ResponseWriter, r *http.Request) {
		cancel()
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	m := newMachine(newDisk("/dev/vda", 16<<20))
	if err := s.runWith(ctx, m); !errors.Is(err, context.Canceled) || m.end(t) != "running" {
		t.Errorf("%v", err)
	}
}
