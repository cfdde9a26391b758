package bmc

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/bmc/profile"
	"github.com/hagane-cloud/hagane/bmc/record"
)

// Pool keeps one open driver, and so one session, a BMC, because BMCs have few and leak them. Whoever
// uses a driver holds the node's lease, so a driver is never used twice at once. What is known of a BMC,
// its recorder and its breaker outlive the driver.
type Pool struct {
	// Observe, if set, is told of every call to a BMC. It is set before the first one.
	Observe func(Call)

	open  Opener
	mu    sync.Mutex
	held  map[string]*entry
	book  *profile.Book
	kept  map[string]*Kept
	gates map[string]*Gate // by host: several servers may share a BMC
}

// Kept is what outlives the drivers of one BMC.
type Kept struct {
	Memory   *Memory
	Recorder *record.Recorder
	Journal  *Journal

	breakers map[string]*Breaker // by protocol: one may fail while another works
}

// Rested closes the breakers: the next request goes through, as when an operator knows that the BMC is back.
func (k *Kept) Rested() {
	for _, b := range k.breakers {
		b.Reset()
	}
}

type entry struct {
	driver *Composed
	paths  []Access
	busy   bool
	used   time.Time
}

// NewPool makes a pool of the drivers that open opens. book may be nil.
func NewPool(open Opener, book *profile.Book) *Pool {
	return &Pool{open: open, book: book, held: map[string]*entry{}, kept: map[string]*Kept{}, gates: map[string]*Gate{}}
}

// Kept returns what is kept of the BMC under key. fill, if not nil, is called once with the new memory, to
// load what an earlier process learnt.
func (p *Pool) Kept(key string, fill func(m *Memory)) *Kept {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.kept[key]
	if k == nil {
		k = &Kept{Memory: &Memory{}, Recorder: record.New(), Journal: &Journal{}, breakers: map[string]*Breaker{}}
		for _, name := range Protocols {
			k.breakers[name] = &Breaker{}
		}
		if fill != nil {
			fill(k.Memory)
			k.Memory.Taken()
		}
		p.kept[key] = k
	}
	return k
}

// Forget drops all that is kept under key, as when its node is deleted.
func (p *Pool) Forget(ctx context.Context, key string) {
	p.mu.Lock()
	e := p.held[key]
	delete(p.kept, key)
	if e != nil && !e.busy {
		delete(p.held, key)
	}
	p.mu.Unlock()
	if e != nil && !e.busy {
		_ = e.driver.Close(ctx)
	}
}

// gate returns the gate of an address's host.
func (p *Pool) gate(address string) *Gate {
	host := address
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		host = u.Host
	}
	host, _, _ = strings.Cut(host, "/")
	if p.gates[host] == nil {
		p.gates[host] = NewGate()
	}
	return p.gates[host]
}

// prepare gives paths what is kept of the BMC under key. The lock is held.
func (p *Pool) prepare(kept *Kept, paths []Access) []Access {
	known := p.book.Named(kept.Memory.Get(profileFact))
	paths = slices.Clone(paths)
	for i := range paths {
		a := &paths[i]
		a.Memory, a.Recorder, a.Journal, a.Breaker, a.Gate = kept.Memory, kept.Recorder, kept.Journal, kept.breakers[a.Driver], p.gate(a.Address)
		a.Breaker.keep(a.Pace)
		if a.Profile == nil {
			a.Profile = known
		}
	}
	return paths
}

// Apart composes a driver of the paths beside the one under key, for one who stays connected, as to a console, while others
// work. It shares what is kept of the BMC but the recorder, and whoever asked for it closes it.
func (p *Pool) Apart(key string, paths []Access) *Composed {
	kept := p.Kept(key, nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	paths = p.prepare(kept, paths)
	for i := range paths {
		paths[i].Recorder, paths[i].Journal = nil, nil
	}
	d := Compose(p.open, paths)
	d.book = p.book
	return d
}

// Get returns the driver kept under key, or composes one of the paths when there is none or they have changed.
// The returned function gives it back.
func (p *Pool) Get(ctx context.Context, key string, paths []Access) (*Composed, func(), error) {
	kept := p.Kept(key, nil)
	p.mu.Lock()
	paths = p.prepare(kept, paths)
	e := p.held[key]
	if e != nil && slices.Equal(e.paths, paths) && !e.busy {
		e.busy = true
		p.mu.Unlock()
		return e.driver, func() { p.put(e) }, nil
	}
	if e != nil && !e.busy {
		delete(p.held, key)
	}
	p.mu.Unlock()
	if e != nil && !e.busy {
		_ = e.driver.Close(ctx) // the old credentials may not even work any more
	}
	d := Compose(p.open, paths)
	d.book, d.observe = p.book, p.Observe
	fresh := &entry{driver: d, paths: paths, busy: true}
	p.mu.Lock()
	p.held[key] = fresh
	p.mu.Unlock()
	return d, func() { p.put(fresh) }, nil
}

func (p *Pool) put(e *entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.busy, e.used = false, time.Now()
}

// CloseIdle closes the drivers that nobody used for the given time; zero closes all that are not in use.
func (p *Pool) CloseIdle(ctx context.Context, idle time.Duration) {
	p.mu.Lock()
	var old []*Composed
	for key, e := range p.held {
		if !e.busy && time.Since(e.used) >= idle {
			old = append(old, e.driver)
			delete(p.held, key)
		}
	}
	p.mu.Unlock()
	for _, d := range old {
		_ = d.Close(ctx) // a session that can not be closed ends by itself
	}
}
