package bmc

import (
	"context"
	"encoding/json"
	"maps"
	"sync"
)

// Memory is what was learnt about one device by working with it: which form of ETag it takes, which
// cipher suite, which resource sets the boot device. It is kept with the node, and is safe for use by
// several goroutines. The nil Memory forgets everything.
type Memory struct {
	mu    sync.Mutex
	facts map[string]string
	dirty bool
	save  func(ctx context.Context) // nil records when the turn ends
}

// Get returns a fact; "" when it is not known.
func (m *Memory) Get(name string) string {
	if m == nil {
		return ""
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.facts[name]
}

// Set keeps a fact; "" forgets it.
func (m *Memory) Set(name, value string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.facts[name] == value {
		return
	}
	if m.facts == nil {
		m.facts = map[string]string{}
	}
	m.dirty = true
	if value == "" {
		delete(m.facts, name)
		return
	}
	m.facts[name] = value
}

// Load replaces all facts by those that were recorded: another process may have learnt since.
func (m *Memory) Load(facts map[string]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.facts, m.dirty = maps.Clone(facts), false
}

// SaveBy says how what is known is recorded at once.
func (m *Memory) SaveBy(save func(ctx context.Context)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.save = save
}

// Save records what is known at once, where it can: what must be known to whoever takes over.
func (m *Memory) Save(ctx context.Context) {
	if m == nil {
		return
	}
	m.mu.Lock()
	save := m.save
	m.mu.Unlock()
	if save != nil {
		save(ctx)
	}
}

// Facts returns a copy of all that is known.
func (m *Memory) Facts() map[string]string {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.facts)
}

// Forget drops everything, as after new firmware.
func (m *Memory) Forget() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dirty = m.dirty || len(m.facts) > 0
	m.facts = nil
}

// Taken reports whether something was learnt since the last call.
func (m *Memory) Taken() bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.dirty
	m.dirty = false
	return was
}

// MarshalJSON writes the facts as an object.
func (m *Memory) MarshalJSON() ([]byte, error) { return json.Marshal(m.Facts()) }

// UnmarshalJSON reads the facts.
func (m *Memory) UnmarshalJSON(text []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.facts = nil
	return json.Unmarshal(text, &m.facts)
}
