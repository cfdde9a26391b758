package simulation

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"
)

// turnstile lets one goroutine of the simulated world go on at a time. Whatever can be seen from outside a process passes it: queries,
// commits, commands to BMCs and switches, calls of agents and tenants, and the passing of time between them. Who goes next is
// drawn from the seed, as how long everything takes is.
//
// It works inside a bubble of testing/synctest: between two passes it waits until every other goroutine has come to rest, so that
// the same seed meets the same passes again. Goroutines that a timer wakes at the same moment may run side by side up to their next
// pass; they share nothing on the way.
type turnstile struct {
	mu      sync.Mutex
	arrived []*pass
	bell    chan struct{} // rung when somebody arrives while nobody could go on

	waiting []*pass // in the order in which their times were drawn
	count   int
	over    bool
	current atomic.Pointer[process] // whose goroutine was let on last

	draw  *rand.Rand
	trace *trace
	each  func() // called between two passes
}

// pass is a goroutine that waits at the turnstile.
type pass struct {
	who         *process // nil is the world outside
	label       string
	subject     string        // the node whose lease it works under; "" is none
	least, most time.Duration // how long what it waits for takes
	ready       func() bool   // reports whether what it waits for is there; nil is always
	early       func() bool   // reports that it need not wait any longer; nil is never
	came        time.Time
	due         time.Time
	open        chan struct{}
}

func newTurnstile(seed uint64, t *trace) *turnstile {
	return &turnstile{bell: make(chan struct{}, 1), draw: rand.New(rand.NewPCG(seed, 0x5349)), trace: t}
}

// wait stands at the turnstile until it is let on.
func (t *turnstile) wait(p *pass) {
	p.open = make(chan struct{})
	t.mu.Lock()
	t.arrived = append(t.arrived, p)
	t.mu.Unlock()
	select {
	case t.bell <- struct{}{}:
	default:
	}
	<-p.open
}

// run lets one after the other on, until nobody is left.
func (t *turnstile) run() {
	for {
		synctest.Wait()
		t.admit()
		if t.each != nil {
			t.each()
		}
		next := t.next()
		if next == nil && t.over && len(t.waiting) == 0 {
			return
		}
		if next != nil && !next.when().After(time.Now()) {
			t.let(next)
			continue
		}
		t.rest(next)
	}
}

// admit draws how long those take who have arrived. They came in an order that says nothing: it is that of their labels.
func (t *turnstile) admit() {
	t.mu.Lock()
	fresh := t.arrived
	t.arrived = nil
	t.mu.Unlock()
	select {
	case <-t.bell:
	default:
	}
	t.trace.flush()
	slices.SortStableFunc(fresh, func(a, b *pass) int { return cmp.Compare(a.label, b.label) })
	for i, p := range fresh {
		if i > 0 && p.label == fresh[i-1].label {
			t.trace.note("ambiguous: two wait as %q", p.label)
			t.trace.ambiguous++
		}
		took := p.least
		if p.most > p.least {
			took += time.Duration(t.draw.Int64N(int64(p.most - p.least)))
		}
		p.came = time.Now()
		p.due = p.came.Add(took)
		t.waiting = append(t.waiting, p)
	}
}

// when is the earliest time at which a pass may be let on, if all else is well.
func (p *pass) when() time.Time {
	due := p.due
	if p.early != nil && p.early() {
		due = p.came
	}
	if p.who == nil {
		return due
	}
	if p.who.dead.Load() {
		return time.Time{}
	}
	if p.who.paused.After(due) {
		return p.who.paused
	}
	return due
}

// next finds who is the first that may go on; nil when nobody can.
func (t *turnstile) next() *pass {
	var best *pass
	for _, p := range t.waiting {
		if p.ready != nil && !p.ready() {
			continue
		}
		if best == nil || p.when().Before(best.when()) {
			best = p
		}
	}
	return best
}

func (t *turnstile) let(p *pass) {
	t.waiting = slices.DeleteFunc(t.waiting, func(q *pass) bool { return q == p })
	t.count++
	t.current.Store(p.who)
	t.trace.line("%s", p.label)
	close(p.open)
}

// rest lets time pass until somebody arrives, or until the time of next.
func (t *turnstile) rest(next *pass) {
	if next == nil {
		<-t.bell
		return
	}
	until := time.NewTimer(time.Until(next.when()))
	defer until.Stop()
	select {
	case <-t.bell:
	case <-until.C:
	}
}

// sleep lets an actor outside all processes wait between two times.
func (t *turnstile) sleep(actor string, least, most time.Duration) {
	t.wait(&pass{label: actor + " sleeps", least: least, most: most})
}

// chance reports whether something happens that does so one time in n.
func (t *turnstile) chance(n int) bool { return n > 0 && t.draw.IntN(n) == 0 }

// between draws a time.
func (t *turnstile) between(least, most time.Duration) time.Duration {
	return least + time.Duration(t.draw.Int64N(int64(most-least)+1))
}

// oneOf draws one of several.
func oneOf[T any](t *turnstile, all ...T) T { return all[t.draw.IntN(len(all))] }

// String tells who waits, for a world that stands still.
func (t *turnstile) String() string {
	text := ""
	for _, p := range t.waiting {
		text += fmt.Sprintf("%s at %s\n", p.label, p.when().Format(time.TimeOnly))
	}
	return text
}
