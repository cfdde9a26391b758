package identity

import (
	"context"
	"sync"
	"time"
)

// A caller is remembered for a moment, because clients make many requests with one token. A change of
// rights by this process clears the memory at once; one by another process is seen after the moment.
const (
	remember     = time.Second
	mostRemember = 10_000
)

// cache remembers callers by the fingerprint of their token.
type cache struct {
	mu    sync.Mutex
	byKey map[string]seen
	gen   int64 // grows with every clearing
}

type seen struct {
	caller Caller
	until  time.Time
}

func (c *cache) get(key string) (Caller, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[key]
	return e.caller, ok && time.Now().Before(e.until)
}

// generation is to be read before a caller is looked up, and given to put after.
func (c *cache) generation() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gen
}

// put remembers a caller, unless rights were changed since it was looked up.
func (c *cache) put(key string, caller Caller, generation int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gen != generation {
		return
	}
	if c.byKey == nil || len(c.byKey) >= mostRemember {
		c.byKey = map[string]seen{}
	}
	c.byKey[key] = seen{caller, time.Now().Add(remember)}
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byKey = nil
	c.gen++
}

// moment remembers one thing that every token needs and that seldom changes, in the same way.
type moment[T any] struct {
	mu    sync.Mutex
	value T
	until time.Time
}

// get returns what is remembered, or loads it. Others wait for the load, so that one that began before a clearing
// is not kept beyond it.
func (m *moment[T]) get(ctx context.Context, load func(context.Context) (T, error)) (T, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Now().Before(m.until) {
		return m.value, nil
	}
	v, err := load(ctx)
	if err == nil {
		m.value, m.until = v, time.Now().Add(remember)
	}
	return v, err
}

func (m *moment[T]) clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.until = time.Time{}
}
