package vswitch

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/hagane-cloud/hagane/lab/ether"
)

// queueDepth is how many frames wait for a slow receiver on a byte stream.
const queueDepth = 512

// Carry plugs a byte stream in QEMU's framing into the port and forwards until the stream ends or ctx
// does; then it unplugs the port and closes the stream. A clean end is no error.
func (p *Port) Carry(ctx context.Context, stream io.ReadWriteCloser) error {
	out := ether.NewWriter(queueDepth)
	written := make(chan error, 1)
	go func() {
		written <- out.Run(stream)
		_ = stream.Close() // a broken stream must wake the reader too
	}()
	stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
	defer stop()
	p.Plug(out)
	err := p.pump(stream)
	p.unplugIf(out)
	out.Close()
	_ = stream.Close()
	if werr := <-written; err == nil {
		err = werr
	}
	if ctx.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (p *Port) pump(stream io.Reader) error {
	in := ether.NewReader(stream)
	for {
		frame, err := in.Next()
		if err != nil {
			return err
		}
		p.Input(frame)
	}
}

// unplugIf unplugs the port unless another cable has taken it in the meantime.
func (p *Port) unplugIf(sink ether.Sink) {
	p.owner.mu.RLock()
	mine := p.sink == sink
	p.owner.mu.RUnlock()
	if mine {
		p.Unplug()
	}
}
