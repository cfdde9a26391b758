package ipmi

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/bougou/go-ipmi/pkg/client"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/hagane-cloud/hagane/bmc"
)

// Serial over LAN as a payload (IPMI 2.0, tables 13-16 and 24-2).
const (
	solPayload    = 1
	solInstance   = 1
	solEncrypted  = 1 << 7
	solSigned     = 1 << 6
	alreadyActive = 0x80
	goodbye       = 5 * time.Second // for taking leave of the BMC
	solPoll       = 50 * time.Millisecond
)

// console is an open serial console. Its session is its own.
type console struct {
	io.Reader
	io.Writer
	cancel context.CancelFunc
	shut   func() error
	once   sync.Once
	err    error
}

// Close ends the console at the BMC.
func (c *console) Close() error {
	c.once.Do(func() {
		c.cancel()
		c.err = c.shut()
	})
	return c.err
}

// Console opens the serial console over LAN in a session of its own, which lives until it is closed. A connection that
// our own user left open is taken over; somebody else's is not.
func (d *driver) Console(ctx context.Context) (io.ReadWriteCloser, error) {
	c, _, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.activate(ctx, c); err != nil {
		drop(ctx, c)
		return nil, err
	}
	fromUser, input := io.Pipe()
	output, toUser := io.Pipe()
	live, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := c.SOLStream(live, fromUser, toUser, &client.SOLStreamOptions{PollInterval: solPoll})
		if err == nil || live.Err() != nil {
			err = io.EOF
		} else {
			err = bmc.Fail(bmc.Failure{Class: bmc.Unreachable, Err: err}, "the serial console broke off; open it again")
		}
		_ = toUser.CloseWithError(err) // closing a pipe does not fail
		_ = fromUser.CloseWithError(err)
	}()
	shut := func() error {
		_ = toUser.CloseWithError(io.EOF)
		_ = fromUser.CloseWithError(io.ErrClosedPipe)
		<-ended
		over, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
		defer cancel()
		_, err := raw(over, c, types.CommandDeactivatePayload, solPayload, solInstance, 0, 0, 0, 0)
		closed := c.Close(over)
		if err != nil && !silent(err) {
			return explain("ending the serial console", false, err)
		}
		if closed != nil && !silent(closed) {
			return explain("closing the console's session", false, closed)
		}
		return nil
	}
	return &console{Reader: output, Writer: input, cancel: cancel, shut: shut}, nil
}

func raw(ctx context.Context, c *client.Client, cmd types.Command, data ...byte) ([]byte, error) {
	res, err := c.RawCommand(ctx, cmd.NetFn, cmd.ID, data, cmd.Name)
	if err != nil {
		return nil, err
	}
	return res.Response, nil
}

// activate activates the payload, after the end of a stale one of ours where there is one. Two who do so at once are kept apart by chance.
func (d *driver) activate(ctx context.Context, c *client.Client) error {
	const tries = 3
	for try := 1; ; try++ {
		_, err := raw(ctx, c, types.CommandActivatePayload, solPayload, solInstance, solEncrypted|solSigned, 0, 0, 0)
		if err == nil {
			return nil
		}
		if codeOf(err) != alreadyActive {
			return explain("opening the serial console", false, err)
		}
		if !d.ours(ctx, c) || try == tries {
			return bmc.Fail(bmc.Failure{Class: bmc.Busy, Code: "0x80", Err: err}, "somebody else has the serial console open; it has room for one")
		}
		if _, err := raw(ctx, c, types.CommandDeactivatePayload, solPayload, solInstance, 0, 0, 0, 0); err != nil && silent(err) {
			return explain("ending a stale serial console", false, err)
		}
		if err := wait(ctx, d.pace.Look/2+rand.N(d.pace.Look+1)); err != nil {
			return err
		}
	}
}

// ours reports whether the payload that is active belongs to our own user. A BMC that does not tell is taken to say so, since the
// account is ours alone.
func (d *driver) ours(ctx context.Context, c *client.Client) bool {
	owner, err := raw(ctx, c, types.CommandGetPayloadInstanceInfo, solPayload, solInstance)
	if err != nil || len(owner) < 4 {
		return true
	}
	const byID, current = 0xff, 0x00
	theirs, err := raw(ctx, c, types.CommandGetSessionInfo, append([]byte{byID}, owner[:4]...)...)
	mine, own := raw(ctx, c, types.CommandGetSessionInfo, current)
	const user = 3
	if errors.Join(err, own) != nil || len(theirs) <= user || len(mine) <= user {
		return true
	}
	return theirs[user]&0x3f == mine[user]&0x3f
}
