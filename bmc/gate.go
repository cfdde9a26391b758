package bmc

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/fence"
)

// Pace is how patient a driver is with its BMC. The zero value stands for DefaultPace.
type Pace struct {
	// Tries is how often a read is sent whose connection broke, with full jitter between Least and Most.
	Tries       int
	Least, Most time.Duration
	// Again is how often a request is sent again that the BMC refused for now without having begun it, and Every the time between.
	Again int
	Every time.Duration
	// Settle is how long a change may take to show when it is read back, and Look the time between looks.
	Settle, Look time.Duration
	// Rest is how long a BMC is left alone at first that did not answer several times in a row.
	Rest time.Duration
}

// DefaultPace is the pace for real BMCs. Reads: 3 tries, 1-8 s apart, as weak BMCs drop connections but
// recover at once. Refused for now: 6 times 10 s, which covers a power-on self test's short locks and a Dell Lifecycle
// Controller that is just starting; longer waits belong to the step that called.
var DefaultPace = Pace{Tries: 3, Least: time.Second, Most: 8 * time.Second, Again: 6, Every: 10 * time.Second, Settle: 20 * time.Second, Look: time.Second, Rest: 30 * time.Second}

// LabPace is the pace for simulated BMCs, which recover within moments.
var LabPace = Pace{Tries: 4, Least: 20 * time.Millisecond, Most: 200 * time.Millisecond, Again: 40, Every: 250 * time.Millisecond, Settle: 5 * time.Second, Look: 100 * time.Millisecond, Rest: 2 * time.Second}

// OrDefault returns the pace, or the default for the zero value.
func (p Pace) OrDefault() Pace {
	if p == (Pace{}) {
		return DefaultPace
	}
	return p
}

// Gate bounds what is in flight at one BMC, whoever asks: one change and two reads. A BMC of several
// servers has one gate. The nil Gate lets everything pass.
type Gate struct {
	write, read chan struct{}
}

// NewGate makes a gate.
func NewGate() *Gate { return &Gate{write: make(chan struct{}, 1), read: make(chan struct{}, 2)} }

// Enter waits for a place and returns the function that gives it back. A change whose right was lost meanwhile does not pass.
func (g *Gate) Enter(ctx context.Context, change bool) (leave func(), err error) {
	if leave, err = g.wait(ctx, change); err != nil || !change {
		return leave, err
	}
	if err := fence.Check(ctx); err != nil {
		leave()
		return nil, fault.Wrap("changing something at the BMC", err)
	}
	return leave, nil
}

func (g *Gate) wait(ctx context.Context, change bool) (leave func(), err error) {
	if g == nil {
		return func() {}, nil
	}
	places := g.read
	if change {
		places = g.write
	}
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-ctx.Done():
		return nil, Fail(Failure{Class: Unreachable, Err: ctx.Err()}, "waiting for other requests to the BMC to end")
	}
}

// When a breaker opens, and how long it keeps off at most.
const (
	tolerated = 3
	longest   = 5 * time.Minute
)

// Breaker keeps off a BMC that does not answer: after three failures in a row it lets one request pass after
// the pace's rest, then less and less often up to every 5 min, until one succeeds. The nil Breaker never opens.
type Breaker struct {
	mu     sync.Mutex
	rest   time.Duration
	failed int
	until  time.Time
	pause  time.Duration
	why    string
}

// keep sets the pace.
func (b *Breaker) keep(p Pace) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rest = p.OrDefault().Rest
}

// Allow returns a fault of class Unreachable while the breaker is open.
func (b *Breaker) Allow() error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if left := time.Until(b.until); left > 0 {
		return Fail(Failure{Class: Unreachable, Code: "kept off"}, "the BMC did not answer %d times in a row (%s); it is left alone for another %s",
			b.failed, b.why, left.Round(time.Second))
	}
	if b.failed >= tolerated {
		b.until = time.Now().Add(b.pause) // one may pass; the others wait for what it finds
	}
	return nil
}

// Report tells how a request went: err is nil when the BMC answered, whatever it said.
func (b *Breaker) Report(err error) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.failed, b.pause, b.until, b.why = 0, 0, time.Time{}, ""
		return
	}
	b.failed++
	b.why = fmt.Sprint(err)
	if b.failed >= tolerated {
		b.pause = min(max(cmp.Or(b.rest, DefaultPace.Rest), 2*b.pause), longest)
		b.until = time.Now().Add(b.pause)
	}
}

// Reset closes the breaker, as when an operator knows that the BMC is back.
func (b *Breaker) Reset() { b.Report(nil) }

// Open reports whether the breaker keeps off just now.
func (b *Breaker) Open() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Now().Before(b.until)
}
