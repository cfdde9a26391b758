package simulation

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// traceLines is how much of the trace is kept for people: the end of it.
const traceLines = 300

// trace is what happened, in its order. All of it goes into a fingerprint, the end of it is kept.
type trace struct {
	began     time.Time
	sum       hash.Hash
	lines     []string
	notes     []string // what people want to see of the whole
	ambiguous int

	mu     sync.Mutex
	asides []string  // said by goroutines that may run side by side, since the last pass
	all    io.Writer // nil keeps the end only
}

func newTrace(all io.Writer) *trace { return &trace{began: time.Now(), sum: sha256.New(), all: all} }

// line keeps something that happened.
func (t *trace) line(format string, args ...any) {
	text := fmt.Sprintf("%s %s", t.at(), fmt.Sprintf(format, args...))
	_, _ = io.WriteString(t.sum, text+"\n") // a hash takes everything
	if t.all != nil {
		_, _ = io.WriteString(t.all, text+"\n") // for people, who see that the disk is full
	}
	if t.lines = append(t.lines, text); len(t.lines) > 2*traceLines {
		t.lines = append(t.lines[:0:0], t.lines[traceLines:]...)
	}
}

// note is line for what is worth telling of a whole day.
func (t *trace) note(format string, args ...any) {
	t.line(format, args...)
	t.notes = append(t.notes, t.lines[len(t.lines)-1])
}

// at is how long the world has existed.
func (t *trace) at() string { return fmt.Sprintf("%12.6f", time.Since(t.began).Seconds()) }

// aside is line for what is said between two passes, by goroutines that may run side by side.
func (t *trace) aside(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asides = append(t.asides, fmt.Sprintf(format, args...))
}

// flush takes down what was said aside.
func (t *trace) flush() {
	t.mu.Lock()
	said := t.asides
	t.asides = nil
	t.mu.Unlock()
	slices.Sort(said)
	for _, text := range said {
		t.line("%s", text)
	}
}

// fingerprint is the same for the same history.
func (t *trace) fingerprint() string { return hex.EncodeToString(t.sum.Sum(nil)[:16]) }

// tail is the end of the trace.
func (t *trace) tail() string { return strings.Join(t.lines[max(0, len(t.lines)-traceLines):], "\n") }
