package ipmi

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"time"

	"github.com/bougou/go-ipmi/pkg/client"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/record"
)

// do runs an exchange that may run twice: when a session that was kept has gone silent, as after a restart of the
// BMC, it runs again in a new one.
func (d *driver) do(ctx context.Context, doing string, fn func(c *client.Client) error) error {
	kept := d.session != nil
	err := d.once(ctx, doing, false, fn)
	if err != nil && kept && d.session == nil && ctx.Err() == nil {
		return d.once(ctx, doing, false, fn)
	}
	return err
}

// once runs an exchange, and again where the BMC said that it did not begin it. A session that went silent is dropped, so
// that the next call opens another.
func (d *driver) once(ctx context.Context, doing string, change bool, fn func(c *client.Client) error) error {
	leave, err := d.access.Gate.Enter(ctx, change)
	if err != nil {
		return err
	}
	defer leave()
	if err := d.access.Breaker.Allow(); err != nil {
		return err
	}
	c, err := d.connect(ctx)
	for try := 1; err == nil; try++ {
		if err = d.space(ctx); err != nil {
			break
		}
		d.line.strict(change)
		err = fn(c)
		d.line.strict(false)
		if !again(codeOf(err), change) || try >= d.pace.Tries {
			break
		}
		if waited := wait(ctx, d.pace.Least+rand.N(d.pace.Most-d.pace.Least+1)); waited != nil {
			break
		}
		err = nil
	}
	if err != nil && d.session != nil && silent(err) && bmc.ClassOf(err) == "" {
		d.session = nil
		drop(ctx, c)
	}
	err = explain(doing, change, err)
	d.report(ctx, err)
	return err
}

// report tells the breaker how it went. Who gives up early says nothing about the BMC.
func (d *driver) report(ctx context.Context, err error) {
	switch bmc.ClassOf(err) {
	case bmc.Unreachable, bmc.Uncertain:
		if ctx.Err() == nil {
			d.access.Breaker.Report(err)
		}
	default:
		d.access.Breaker.Report(nil)
	}
}

// space keeps the time between two commands that weak BMCs need.
func (d *driver) space(ctx context.Context) error {
	if p := d.access.Profile; p != nil && p.IPMI.Between > 0 && !d.last.IsZero() {
		if err := wait(ctx, p.IPMI.Between-time.Since(d.last)); err != nil {
			return err
		}
	}
	d.last = time.Now()
	return nil
}

func wait(ctx context.Context, long time.Duration) error { return bmc.Await(ctx, "the BMC", long) }

// command is an IPMI command that is sent as bytes.
type command struct {
	types.Command
	change bool
	secret bool // its bytes are not taken down
}

// ask sends a command and returns the bytes of its answer, behind the completion code. One that changes something is
// not sent twice.
func (d *driver) ask(ctx context.Context, cmd command, data ...byte) ([]byte, error) {
	var out []byte
	fn := func(c *client.Client) error {
		began := time.Now()
		res, err := c.RawCommand(ctx, cmd.NetFn, cmd.ID, data, cmd.Name)
		if err == nil {
			out = res.Response
		}
		d.take(cmd, data, out, began, err)
		return err
	}
	if cmd.change {
		return out, d.once(ctx, cmd.Name, true, fn)
	}
	return out, d.do(ctx, cmd.Name, fn)
}

// take takes a command down.
func (d *driver) take(cmd command, data, out []byte, began time.Time, err error) {
	if d.access.Recorder == nil {
		return
	}
	x := record.Exchange{At: began, Took: time.Since(began), Protocol: "ipmi", Method: "command", Path: cmd.Name, Status: int(codeOf(err)), Response: hex.EncodeToString(out)}
	if !cmd.secret {
		x.Request = hex.EncodeToString(data)
	}
	if err != nil && silent(err) {
		x.Error = err.Error()
	}
	d.access.Recorder.Add(x)
}

// settle looks until ok, as changes take moments to show, and reports class Untrue when they never do.
func (d *driver) settle(ctx context.Context, what string, ok func() (bool, error)) error {
	return d.pace.Settled(ctx, "the BMC", what, ok)
}
