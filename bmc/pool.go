package bmc

import (
	"context"
	"sync"
	"time"
)

// Pool keeps one open driver, and so one session, a BMC, because BMCs have few and leak them. Whoever
// uses a driver holds the node's lease, so a driver is never used twice at once.
type Pool struct {
	open Opener
	mu   sync.Mutex
	held map[string]*entry
}

type entry struct {
	driver Driver
	access Access
	busy   bool
	used   time.Time
}

// NewPool makes a pool of the drivers that open opens.
func NewPool(open Opener) *Pool { return &Pool{open: open, held: map[string]*entry{}} }

// Get returns the driver kept under key, or opens one when there is none or the access has changed.
// The returned function gives it back.
func (p *Pool) Get(ctx context.Context, key string, a Access) (Driver, func(), error) {
	p.mu.Lock()
	e := p.held[key]
	if e != nil && e.access == a && !e.busy {
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
	d, err := p.open(ctx, a)
	if err != nil {
		return nil, nil, err
	}
	e = &entry{driver: d, access: a, busy: true}
	p.mu.Lock()
	p.held[key] = e
	p.mu.Unlock()
	return d, func() { p.put(e) }, nil
}

func (p *Pool) put(e *entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.busy, e.used = false, time.Now()
}

// CloseIdle closes the drivers that nobody used for the given time; zero closes all that are not in use.
func (p *Pool) CloseIdle(ctx context.Context, idle time.Duration) {
	p.mu.Lock()
	var old []Driver
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
