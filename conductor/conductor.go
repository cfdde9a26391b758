// Package conductor is the process side of durable work: it takes jobs off the queue and ticks their
// runs, keeps its leases alive, adopts the runs of dead conductors, and runs the reconcilers
// that keep observed facts fresh. Only a conductor touches hardware.
package conductor

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// Options say how a conductor works.
type Options struct {
	ID      workflow.Holder // unique to this process start
	Roles   string          // of the process, for people
	Group   string          // whose nodes it works on; "" is those that are in no group
	Version string          // of the program
	// Alone says that no other process uses the database: leases left by a dead predecessor end at once.
	Alone bool
	Log   *slog.Logger
	// Beat, if set, is called before each beat of a loop, by the loop's name. Tests stop the world here.
	Beat func(loop string)
}

// Conductor drives runs and reconcilers until its context ends.
type Conductor struct {
	db      *db.DB
	engine  *workflow.Engine
	o       Options
	loops   []loop
	renewed atomic.Int64 // nanoseconds from begin to the last good renewal
	tried   atomic.Int64 // nanoseconds from begin to the last one that was tried
	working atomic.Bool
	begin   time.Time
	turns   atomic.Pointer[scope]
}

// scope is what all turns in hand live in.
type scope struct {
	context.Context
	end context.CancelCauseFunc
}

func newScope() *scope {
	ctx, end := context.WithCancelCause(context.Background())
	return &scope{ctx, end}
}

type loop struct {
	name  string
	every time.Duration
	once  func(ctx context.Context) error
}

// New makes a conductor for the engine's runs.
func New(d *db.DB, e *workflow.Engine, o Options) *Conductor {
	c := &Conductor{db: d, engine: e, o: o, begin: time.Now()}
	c.turns.Store(newScope())
	return c
}

// Every adds a reconciler: a function without input that may run at any time and any number of times.
func (c *Conductor) Every(name string, d time.Duration, once func(ctx context.Context) error) {
	c.loops = append(c.loops, loop{name, d, once})
}

// Look ticks one run; it is what the queue calls.
func (c *Conductor) Look(ctx context.Context, id workflow.RunID) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// A turn ends with the leases of this process, whatever it is doing.
	turns := c.turns.Load()
	stop := context.AfterFunc(turns, func() { cancel(context.Cause(turns)) })
	defer stop()
	err := c.engine.Tick(ctx, id, c.o.ID)
	if err != nil && !errors.Is(err, workflow.ErrBusy) {
		c.o.Log.Warn("a turn broke off; it is tried again", "run", id, "error", err)
	}
	return err
}

// Run works until ctx ends, then lets the turns in hand finish their step for up to grace.
func (c *Conductor) Run(ctx context.Context, q workflow.Queue, grace time.Duration) error {
	if err := c.signOn(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // told to stop before it had begun
		}
		return err
	}
	if err := q.Start(context.WithoutCancel(ctx)); err != nil {
		return fault.E(fault.Unavailable, "starting the job queue", err)
	}
	c.working.Store(true)
	defer c.working.Store(false)
	g, gctx := errgroup.WithContext(ctx)
	// Leases are kept alive until the last turn has ended, not only until we are told to stop.
	renewing, stopRenewing := context.WithCancel(context.WithoutCancel(ctx))
	var renewal errgroup.Group
	renewal.Go(func() error { c.renew(renewing); return nil })
	g.Go(func() error { return c.repeat(gctx, loop{"adopt runs", time.Second, c.adopt}) })
	g.Go(func() error { return c.repeat(gctx, loop{"hand runs on", time.Second, c.handOn}) })
	g.Go(func() error { return c.repeat(gctx, loop{"let in who waits in line", 10 * time.Second, c.engine.Deal}) })
	for _, l := range c.loops {
		g.Go(func() error { return c.repeat(gctx, l) })
	}
	err := g.Wait()
	if offErr := c.engine.SignOff(context.WithoutCancel(ctx), c.o.ID); offErr != nil {
		c.o.Log.Warn("the others hear of the stop only when the leases have run out", "error", offErr)
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	defer context.AfterFunc(stop, func() { c.turns.Load().end(errors.New("the conductor stops")) })()
	if stopErr := q.Stop(stop); stopErr != nil {
		c.o.Log.Warn("turns were broken off; they continue at the next start", "error", stopErr)
	}
	stopRenewing()
	_ = renewal.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// signOn makes the conductor known; where there can be no other process, a dead predecessor's leases end at once.
func (c *Conductor) signOn(ctx context.Context) error {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	m := workflow.Member{ID: c.o.ID, Host: host, Roles: c.o.Roles, Group: c.o.Group, Version: c.o.Version}
	if err := c.engine.SignOn(ctx, m, c.o.Alone); err != nil {
		return err
	}
	c.o.Log.Info("the conductor is at work", "id", m.ID, "name", m.Name(), "group", m.Group)
	return nil
}

// renew keeps the leases alive; when two renewals in a row fail, the turns are broken off, before the
// leases run out and somebody else is at work.
func (c *Conductor) renew(ctx context.Context) {
	t := time.NewTicker(workflow.Renewal)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		if ctx.Err() != nil {
			return
		}
		c.beat("renew the leases")
		c.tried.Store(int64(time.Since(c.begin)))
		try, cancel := context.WithTimeout(ctx, workflow.Renewal)
		err := c.engine.Renew(try, c.o.ID)
		cancel()
		if err == nil {
			c.renewed.Store(int64(time.Since(c.begin)))
			continue
		}
		c.o.Log.Warn("renewing the leases", "error", err)
		if c.since(&c.renewed) > workflow.LeaseTime/2 {
			c.turns.Swap(newScope()).end(workflow.ErrLost)
		}
	}
}

// since returns how long ago something was that is noted from begin on.
func (c *Conductor) since(noted *atomic.Int64) time.Duration {
	return time.Since(c.begin) - time.Duration(noted.Load())
}

// Ready reports why the conductor carries no runs on: it has not begun or is stopping, or it can not renew its leases.
func (c *Conductor) Ready() error {
	switch {
	case !c.working.Load():
		return fault.Errorf(fault.Unavailable, "the conductor has not begun to work, or is stopping")
	case c.since(&c.renewed) > workflow.LeaseTime:
		return fault.Errorf(fault.Unavailable, "the leases were not renewed for %s: the database does not answer", c.since(&c.renewed).Round(time.Second))
	}
	return nil
}

// Alive reports that the process hangs: it has not even tried to renew its leases for long.
func (c *Conductor) Alive() error {
	const long = 6 * workflow.LeaseTime
	if c.working.Load() && c.since(&c.tried) > long {
		return fault.Errorf(fault.Internal, "the conductor hangs: no renewal of the leases was tried for %s", c.since(&c.tried).Round(time.Second))
	}
	return nil
}

func (c *Conductor) adopt(ctx context.Context) error {
	n, err := c.engine.Adopt(ctx, c.o.ID)
	if n > 0 {
		c.o.Log.Info("took over runs that nobody was at work on", "runs", n)
	}
	return err
}

func (c *Conductor) handOn(ctx context.Context) error {
	n, err := c.engine.HandOn(ctx)
	if n > 0 {
		c.o.Log.Info("runs changed hands, as conductors came or went", "runs", n)
	}
	return err
}

func (c *Conductor) beat(loop string) {
	if c.o.Beat != nil {
		c.o.Beat(loop)
	}
}

// repeat runs a loop until ctx ends, and begins no beat after that. A failure is logged and tried again at the next beat.
func (c *Conductor) repeat(ctx context.Context, l loop) error {
	t := time.NewTicker(l.every)
	defer t.Stop()
	for ctx.Err() == nil {
		c.beat(l.name)
		if err := l.once(ctx); err != nil && ctx.Err() == nil {
			c.o.Log.Warn(l.name, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
	return nil
}
