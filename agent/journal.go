package agent

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
)

// journalBytes bounds the log that is sent home; the cloud takes at most 1 MiB.
const journalBytes = 768 << 10

// journal keeps the newest part of what is logged.
type journal struct {
	mu   sync.Mutex
	text []byte
}

// Write appends a line and forgets the oldest ones beyond the bound.
func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text = append(j.text, b...)
	if over := len(j.text) - journalBytes; over > 0 {
		if end := bytes.IndexByte(j.text[over:], '\n'); end >= 0 {
			over += end + 1
		}
		j.text = append(j.text[:0], j.text[over:]...)
	}
	return len(b), nil
}

// Text returns a copy of what is kept.
func (j *journal) Text() []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	return bytes.Clone(j.text)
}

// logger returns a logger that writes to both the given one, if any, and the journal.
func (j *journal) logger(to *slog.Logger) *slog.Logger {
	kept := slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug})
	if to == nil {
		to = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return slog.New(tee{to.Handler(), kept})
}

// tee is a log handler that hands each record to two.
type tee [2]slog.Handler

func (t tee) Enabled(ctx context.Context, level slog.Level) bool {
	return t[0].Enabled(ctx, level) || t[1].Enabled(ctx, level)
}

func (t tee) Handle(ctx context.Context, r slog.Record) error {
	var first error
	for _, h := range t {
		if h.Enabled(ctx, r.Level) {
			if err := h.Handle(ctx, r.Clone()); err != nil && first == nil {
				first = err
			}
		}
	}
	return first
}

func (t tee) WithAttrs(attrs []slog.Attr) slog.Handler {
	return tee{t[0].WithAttrs(attrs), t[1].WithAttrs(attrs)}
}

func (t tee) WithGroup(name string) slog.Handler {
	return tee{t[0].WithGroup(name), t[1].WithGroup(name)}
}
