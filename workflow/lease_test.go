package workflow

import (
	"errors"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/fence"
)

// TestLeaseByOwnClock says what a process knows of its leases without asking the database, as when it was paused.
func TestLeaseByOwnClock(t *testing.T) {
	e := &Engine{}
	l := &Lease{Subject: "s", Owner: "a"}
	check := func() error { return fence.Check(e.under(t.Context(), l)) }
	if err := check(); !errors.Is(err, ErrLost) {
		t.Errorf("a lease that was never granted: %v", err)
	}
	e.held.keep(l, time.Now())
	if err := check(); err != nil {
		t.Errorf("a fresh lease: %v", err)
	}
	e.held.keep(l, time.Now().Add(-LeaseTime-time.Millisecond))
	if err := check(); !errors.Is(err, ErrLost) {
		t.Errorf("a lease that ran out: %v", err)
	}
	e.held.renewed("a", time.Now())
	if err := check(); !errors.Is(err, ErrLost) {
		t.Errorf("a renewal of all leases revived one that had run out: %v", err)
	}
	fresh := &Lease{Subject: "s", Owner: "a"}
	l = fresh
	e.held.keep(l, time.Now().Add(time.Millisecond-LeaseTime))
	l.got = time.Now().Add(-time.Second)
	e.held.renewed("b", time.Now())
	for check() == nil { // it ends within the millisecond
	}
	e.held.keep(l, time.Now().Add(time.Second-LeaseTime))
	before := l.until
	e.held.renewed("a", time.Now())
	if !l.until.After(before) || check() != nil {
		t.Errorf("a renewal in time: until %s, was %s", l.until, before)
	}
	e.held.drop(l)
	if err := check(); !errors.Is(err, ErrLost) {
		t.Errorf("a lease that was given back: %v", err)
	}
}

// TestPastByWallClock pauses a virtual machine: its monotonic clock stood still, its wall clock was set right.
func TestPastByWallClock(t *testing.T) {
	if soon := time.Now().Add(time.Minute); past(soon) || !past(soon.Round(0).Add(-2*time.Minute)) {
		t.Error("a wall clock that jumped is not believed")
	}
}
