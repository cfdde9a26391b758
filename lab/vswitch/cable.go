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

// Cable is plugged into a port at one end; Carry connects the other end to a byte stream.
type Cable struct {
	port *Port
	out  *ether.Writer
}

// Connect plugs a cable into the port. Frames wait in the cable until Carry.
func (p *Port) Connect() *Cable {
	c := &Cable{port: p, out: ether.NewWriter(queueDepth)}
	p.Plug(c.out)
	return c
}

// Carry plugs a byte stream into the port: Connect and Cable.Carry in one.
func (p *Port) Carry(ctx context.Context, stream io.ReadWriteCloser) error {
	return p.Connect().Carry(ctx, stream)
}

// Carry forwards between the port and a byte stream in QEMU's framing until the stream ends or ctx
// does; then it unplugs the cable and closes the stream. A clean end is no error.
func (c *Cable) Carry(ctx context.Context, stream io.ReadWriteCloser) error {
	written := make(chan error, 1)
	go func() {
		written <- c.out.Run(stream)
		_ = stream.Close() // a broken stream must wake the reader too
	}()
	stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
	defer stop()
	err := c.port.pump(stream)
	c.port.unplugIf(c.out)
	c.out.Close()
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
