package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

// windowLimit bounds the memory that a zstd stream may claim.
const windowLimit = 256 << 20

// stream fetches and decodes an image and hands it over in blocks, which are used again afterwards.
// Fetching the next block goes on while one is being handled. An Unavailable fault means that the
// stream broke.
func (a *agent) stream(ctx context.Context, o *protocol.Write, each func(block []byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body, err := patiently(ctx, a, "the image", func() (io.ReadCloser, error) { return a.cloud.image(ctx, o.URL) })
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // read to its end, or given up
	source := &watched{from: body, stall: a.Stall, cancel: cancel}
	decoded, err := decode(source, o.Encoding)
	if err != nil {
		return source.explain(err)
	}
	defer func() { _ = decoded.Close() }() // only frees memory

	free, full := make(chan []byte, 3), make(chan piece)
	for range cap(free) {
		free <- aligned(blockBytes)
	}
	var fetching sync.WaitGroup
	fetching.Go(func() {
		defer close(full)
		for buffer := range free {
			n, err := fill(decoded, buffer)
			select {
			case full <- piece{buffer[:n], err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	})
	defer fetching.Wait() // before the body is closed
	defer close(free)
	defer cancel()
	for p := range full {
		if len(p.block) > 0 {
			if err := each(p.block); err != nil {
				return err
			}
		}
		if p.err == io.EOF {
			return nil
		}
		if p.err != nil {
			return source.explain(p.err)
		}
		free <- p.block[:blockBytes]
	}
	return fault.E(fault.Unavailable, "the image's stream broke", context.Cause(ctx))
}

// errOutOfOrder says that there is no use in asking the cloud for the same again.
var errOutOfOrder = errors.New("the cloud was out of order for too long")

// patiently asks the cloud for something that a write begins with until it has it: whoever gave up on a cloud that is out of
// order for minutes would fail a server for nothing. Heartbeats find out meanwhile whether the cloud is gone or wants no more.
func patiently[T any](ctx context.Context, a *agent, what string, ask func() (T, error)) (T, error) {
	deadline := time.Now().Add(a.patience())
	for try := 0; ; try++ {
		got, err := ask()
		if !fault.Is(err, fault.Unavailable) || ctx.Err() != nil {
			return got, err
		}
		if time.Now().After(deadline) {
			return got, fmt.Errorf("%w: %w", errOutOfOrder, err)
		}
		a.log.Warn("the cloud does not give "+what+", asking again", "try", try+1, "error", err)
		if err := pause(ctx, a.Pause, try, nil); err != nil {
			return got, err
		}
	}
}

// piece is a block of the image, and the error that ended the stream behind it.
type piece struct {
	block []byte
	err   error
}

// fill reads until the buffer is full or the stream ends. Unlike io.ReadFull it leaves the error as it
// is, so that a cut stream can be told from a complete one.
func fill(from io.Reader, buffer []byte) (int, error) {
	n := 0
	for n < len(buffer) {
		m, err := from.Read(buffer[n:])
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// decode undoes the transfer's encoding.
func decode(from io.Reader, encoding string) (io.ReadCloser, error) {
	switch encoding {
	case "":
		return io.NopCloser(from), nil
	case "gzip":
		return gzip.NewReader(from)
	case "zstd":
		d, err := zstd.NewReader(from, zstd.WithDecoderMaxWindow(windowLimit))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return nil, fault.Errorf(fault.Invalid, "this agent can not decode %q: use raw, gzip or zstd", encoding)
}

// watched is the stream as it comes from the network. It remembers its own error, which tells a broken
// stream from a damaged image, and ends the request when nothing comes for too long.
type watched struct {
	from   io.Reader
	stall  time.Duration
	cancel context.CancelFunc

	mu      sync.Mutex
	err     error
	stalled bool
}

func (w *watched) Read(b []byte) (int, error) {
	timer := time.AfterFunc(w.stall, func() {
		w.mu.Lock()
		w.stalled = true
		w.mu.Unlock()
		w.cancel()
	})
	n, err := w.from.Read(b)
	timer.Stop()
	if err != nil && err != io.EOF {
		w.mu.Lock()
		w.err = err
		w.mu.Unlock()
	}
	return n, err
}

// explain says what an error of the decoded stream means.
func (w *watched) explain(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.stalled:
		return fault.E(fault.Unavailable, "the image's stream was silent for "+w.stall.String(), err)
	case w.err != nil:
		return fault.E(fault.Unavailable, "the image's stream broke", w.err)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fault.E(fault.Unavailable, "the image's stream ended early", err)
	case fault.Is(err, fault.Invalid):
		return err
	}
	return fault.E(fault.Invalid, "the image can not be decoded", err)
}
