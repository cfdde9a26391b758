package ipmi

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/bougou/go-ipmi/pkg/hal"

	"github.com/hagane-cloud/hagane/fault"
)

// serial shows a machine's serial console: what it writes from now on. The lab's machines do not read theirs, so that what is typed is lost.
type serial struct {
	path func() string
	mu   sync.Mutex
	open bool
}

// Open attaches to the console, to which one may attach at a time.
func (s *serial) Open(context.Context) (hal.ConsoleConn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open {
		return nil, fault.Errorf(fault.Conflict, "the serial console is taken")
	}
	s.open = true
	line := &serialLine{of: s}
	if st, err := os.Stat(s.path()); err == nil {
		line.at = st.Size()
	}
	return line, nil
}

// serialLine is an attachment.
type serialLine struct {
	of   *serial
	once sync.Once
	mu   sync.Mutex
	at   int64
}

// ReadAvailable reads what was written since the last time.
func (l *serialLine) ReadAvailable(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := os.Open(l.of.path())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	n, err := f.ReadAt(p, l.at)
	l.at += int64(n)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// Write takes what is typed.
func (l *serialLine) Write(p []byte) (int, error) { return len(p), nil }

// SendBreak does nothing.
func (l *serialLine) SendBreak(context.Context) error { return nil }

// Close detaches.
func (l *serialLine) Close() error {
	l.once.Do(func() {
		l.of.mu.Lock()
		defer l.of.mu.Unlock()
		l.of.open = false
	})
	return nil
}
