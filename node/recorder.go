package node

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// How consoles are recorded.
const (
	lookForConsoles  = 5 * time.Second // between two looks for consoles to record
	lookWhetherStill = 2 * time.Second // between two looks of each for whether it still is to be
	keepEvery        = time.Second     // what came within it is written at once
	mostConsoles     = 512             // of one process: each is a session that is kept open
	firstPause       = time.Second     // before a console that broke off is opened again; doubled
	longestPause     = 5 * time.Minute // up to this
	steadyAfter      = time.Minute     // a recording that lasted so long begins again with the first pause
)

// recorder records consoles in one process: one goroutine each. The lease of a console, which is not the node's, keeps
// two processes from recording the same.
type recorder struct {
	*Service
	holder workflow.Holder

	mu      sync.Mutex
	running map[ID]bool
	wait    sync.WaitGroup
}

func (r *recorder) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer r.wait.Wait()
	defer cancel()
	for {
		ids, err := r.toRecord(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for _, id := range ids {
			r.begin(ctx, id)
		}
		if !sleep(ctx, lookForConsoles) {
			return nil
		}
	}
}

// sleep waits for d, and reports false when ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// begin records a console, unless that is being done or there are too many.
func (r *recorder) begin(ctx context.Context, id ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running[id] || len(r.running) >= mostConsoles {
		return
	}
	r.running[id] = true
	r.wait.Go(func() {
		defer func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			delete(r.running, id)
		}()
		r.keepOn(ctx, id)
	})
}

// keepOn records a console until it is not to be recorded any more, and opens it again after it broke off.
func (r *recorder) keepOn(ctx context.Context, id ID) {
	pause := firstPause
	for r.stillRecorded(ctx, id) == nil {
		began := time.Now()
		ours, err := r.Engine.WithLease(ctx, "console/"+string(id), r.holder, func(ctx context.Context) error { return r.record(ctx, id) })
		switch {
		case ctx.Err() != nil || errors.Is(err, errGiveWay) || fault.Is(err, fault.NotFound):
			return
		case err == nil && !ours:
			sleep(ctx, workflow.LeaseTime) // another process records it
			return
		}
		r.Log.Debug("a console is not recorded", "node", id, "error", err)
		if err := r.consoleTrouble(ctx, id, err); err != nil && ctx.Err() == nil {
			r.Log.Warn("why a console is not recorded could not be kept", "node", id, "error", err)
		}
		if time.Since(began) > steadyAfter {
			pause = firstPause
		}
		if !sleep(ctx, pause) {
			return
		}
		pause = min(2*pause, longestPause)
	}
}

// record records a console until it breaks off or is not to be recorded any more.
func (r *recorder) record(ctx context.Context, id ID) error {
	n, err := get(ctx, r.DB.Read(), id)
	if err != nil {
		return err
	}
	paths, err := r.paths(n)
	if err != nil {
		return err
	}
	r.kept(n)
	d := r.pool.Apart(string(id), paths)
	defer func() { _ = d.Close(context.WithoutCancel(ctx)) }() // a session that can not be closed ends by itself
	console, err := d.Console(ctx)
	if err != nil {
		return fault.Wrap("opening the console", err)
	}
	l := listen(console)
	defer l.close()
	if err := r.consoleTrouble(ctx, id, nil); err != nil {
		return err
	}
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for looked := time.Now(); ; {
		var over error
		select {
		case <-ctx.Done():
			over = ctx.Err()
		case <-l.ended:
			over = l.why()
		case <-tick.C:
		}
		if more := l.take(); len(more) > 0 {
			if err := r.keepConsole(context.WithoutCancel(ctx), id, more); err != nil {
				return err
			}
		}
		if over == nil && time.Since(looked) > lookWhetherStill {
			over, looked = r.stillRecorded(ctx, id), time.Now()
		}
		if over != nil {
			return over
		}
	}
}

// listener reads a console into memory, the newest maxConsole bytes, until it ends.
type listener struct {
	from  io.ReadCloser
	ended chan struct{} // closed when nothing comes any more

	mu   sync.Mutex
	text []byte
	err  error
}

func listen(from io.ReadCloser) *listener {
	l := &listener{from: from, ended: make(chan struct{})}
	go func() { // close waits for it
		defer close(l.ended)
		buffer := make([]byte, 4<<10)
		for {
			n, err := from.Read(buffer)
			l.mu.Lock()
			l.text = append(l.text, buffer[:n]...)
			l.text = l.text[max(0, len(l.text)-maxConsole):]
			l.err = err
			l.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return l
}

// take returns what came since the last time.
func (l *listener) take() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.text
	l.text = nil
	return text
}

// why returns why nothing comes any more.
func (l *listener) why() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bmc.Fail(bmc.Failure{Class: bmc.Unreachable, Err: l.err}, "the serial console broke off; it is opened again")
}

func (l *listener) close() {
	_ = l.from.Close() // a BMC that can not be told ends it by itself
	<-l.ended
}
