package db

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/hagane-cloud/hagane/fault"
)

// guestsAbreast is how many transactions of guests are under way at a time, and guestAbreast how many of one guest: the rest of the connections
// is left to the cloud's own work, and what one guest asks for waits for itself alone.
const (
	guestsAbreast = 10
	guestAbreast  = 4
)

type guestKey struct{}

// Guest marks what is asked under ctx as asked by somebody outside, such as a project; "" is somebody who is not known yet. Transactions of the same guest
// take turns: whoever asks for a great deal, and waits for locks that it holds itself, does so without holding the connections that others
// need. When the database falls silent a guest is told so after a while: Unavailable.
func Guest(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, guestKey{}, name)
}

// guests are those from outside who are in, or wait to be.
type guests struct {
	all *semaphore.Weighted

	mu   sync.Mutex
	each map[string]*guest
}

// guest is one of them.
type guest struct {
	places *semaphore.Weighted
	users  int // who are in or wait
}

func newGuests() *guests {
	return &guests{all: semaphore.NewWeighted(guestsAbreast), each: map[string]*guest{}}
}

// enter waits for the turn of the guest that ctx belongs to, if it does; leave ends it.
func (g *guests) enter(ctx context.Context) (leave func(), err error) {
	name, ok := ctx.Value(guestKey{}).(string)
	if !ok || name == "" {
		return func() {}, nil
	}
	own := g.arrive(name)
	leave = func() { g.depart(name) }
	for _, places := range []*semaphore.Weighted{own.places, g.all} {
		if err := places.Acquire(ctx, 1); err != nil {
			leave()
			return nil, fault.E(fault.Unavailable, "too much is being asked of the database at once; try again", err)
		}
		before := leave
		leave = func() { places.Release(1); before() }
	}
	return leave, nil
}

func (g *guests) arrive(name string) *guest {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.each[name] == nil {
		g.each[name] = &guest{places: semaphore.NewWeighted(guestAbreast)}
	}
	g.each[name].users++
	return g.each[name]
}

func (g *guests) depart(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.each[name].users--; g.each[name].users == 0 {
		delete(g.each, name)
	}
}
