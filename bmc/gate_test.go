package bmc

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Fact: ZT Systems' BMCs fail requests that come at once, and others slow down: one change and two reads are in flight, whoever asks.
func TestGateBoundsWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate()
		var now, most [2]atomic.Int32
		for i := range 12 {
			go func() {
				change := i%2 == 0
				leave, err := g.Enter(t.Context(), change)
				if err != nil {
					t.Error(err)
					return
				}
				defer leave()
				n := &now[i%2]
				if in := n.Add(1); in > most[i%2].Load() {
					most[i%2].Store(in)
				}
				time.Sleep(time.Second) // of the bubble
				n.Add(-1)
			}()
		}
		synctest.Wait()
		time.Sleep(time.Minute)
		if most[0].Load() != 1 || most[1].Load() != 2 {
			t.Errorf("%d changes and %d reads at once", most[0].Load(), most[1].Load())
		}
	})
}

func TestGateLetsGoOfWhoGivesUp(t *testing.T) {
	g := NewGate()
	leave, err := g.Enter(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	end()
	if _, err := g.Enter(ctx, true); ClassOf(err) != Unreachable {
		t.Error(err)
	}
	leave()
	if _, err := g.Enter(t.Context(), true); err != nil {
		t.Error(err)
	}
	var nobody *Gate
	if leave, err := nobody.Enter(t.Context(), true); err != nil {
		t.Error(err)
	} else {
		leave()
	}
}

// Fact: a BMC that hangs is not helped by more requests: after three failures one may pass in 30 s, then less often up to every 5 min.
func TestBreakerOpensAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, broken := &Breaker{}, errors.New("no answer")
		for range 3 {
			if err := b.Allow(); err != nil {
				t.Fatal(err)
			}
			b.Report(broken)
		}
		for _, pause := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
			if err := b.Allow(); ClassOf(err) != Unreachable || !b.Open() {
				t.Fatalf("open %v: %v", b.Open(), err)
			}
			time.Sleep(pause - time.Second)
			if b.Allow() == nil {
				t.Fatalf("one passes before %s", pause)
			}
			time.Sleep(time.Second)
			if err := b.Allow(); err != nil {
				t.Fatalf("none passes after %s: %v", pause, err)
			}
			if b.Allow() == nil {
				t.Fatal("two pass")
			}
			b.Report(broken)
		}
		b.Reset()
		if b.Open() || b.Allow() != nil {
			t.Error("still open after a reset")
		}
		b.Report(broken)
		b.Report(nil)
		b.Report(broken)
		b.Report(broken)
		if b.Open() {
			t.Error("opened by failures that are not in a row")
		}
	})
}

func TestMemoryIsKept(t *testing.T) {
	m := &Memory{}
	m.Set("redfish boot", "SD")
	m.Set("gone", "x")
	m.Set("gone", "")
	if !m.Taken() || m.Taken() {
		t.Error("a change is told once")
	}
	m.Set("redfish boot", "SD")
	if m.Taken() {
		t.Error("the same again is no change")
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	again := &Memory{}
	if err := json.Unmarshal(text, again); err != nil || again.Get("redfish boot") != "SD" || len(again.Facts()) != 1 {
		t.Errorf("%s became %v, %v", text, again.Facts(), err)
	}
	again.Forget()
	if again.Get("redfish boot") != "" || !again.Taken() {
		t.Error("not forgotten")
	}
	var none *Memory
	none.Set("a", "b")
	if none.Get("a") != "" || none.Taken() || none.Facts() != nil {
		t.Error("the nil memory keeps something")
	}
}

func TestJournalCounts(t *testing.T) {
	j := &Journal{}
	for range 3 {
		j.Note("the slot %d", 1)
	}
	j.Note("other")
	if got := j.Take(); len(got) != 2 || got[0] != "the slot 1 (3 times)" || got[1] != "other" || len(j.Take()) > 0 {
		t.Errorf("%q", got)
	}
	for i := range 2 * mostNotes {
		j.Note("note %d", i)
	}
	if got := j.Take(); len(got) != mostNotes {
		t.Errorf("%d notes", len(got))
	}
}
