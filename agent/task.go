package agent

import (
	"context"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

// task is an order in hand.
type task struct {
	order  *protocol.Order
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when end is set
	end    protocol.Beat

	mu       sync.Mutex
	progress protocol.Progress
}

// Progress returns how far the order has come.
func (t *task) Progress() protocol.Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.progress
}

// doing says what is being done now, and how many bytes it is about (0 when unknown).
func (t *task) doing(what string, total int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.progress = protocol.Progress{Doing: what, Total: total}
}

// describe changes the words and leaves the count.
func (t *task) describe(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.progress.Doing = what
}

// add counts bytes that are done.
func (t *task) add(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.progress.Bytes += n
}

// start carries out an order in a goroutine of its own, which serve waits for.
func (a *agent) start(ctx context.Context, o *protocol.Order) *task {
	ctx, cancel := context.WithCancelCause(ctx)
	t := &task{order: o, cancel: cancel, done: make(chan struct{})}
	a.log.Info("taking an order", "order", o.ID)
	a.tasks.Go(func() {
		defer cancel(nil)
		defer close(t.done)
		result, err := a.guarded(ctx, t)
		t.end = protocol.Beat{Order: o.ID, Done: true, Progress: t.Progress(), Result: result}
		if err != nil {
			t.end.Error = err.Error()
		}
	})
	return t
}

// guarded turns a defect of ours into a failed order, so that its log still goes home.
func (a *agent) guarded(ctx context.Context, t *task) (result protocol.Result, err error) {
	defer func() {
		if v := recover(); v != nil {
			a.log.Error("panic", "value", v, "stack", string(debug.Stack()))
			err = fault.Errorf(fault.Internal, "the agent has a defect: %v", v)
		}
	}()
	return a.do(ctx, t)
}

func (a *agent) do(ctx context.Context, t *task) (protocol.Result, error) {
	var result protocol.Result
	var err error
	switch o := t.order; {
	case o.Inspect != nil:
		result.Inventory, err = a.inspect(ctx, o.Inspect, t)
	case o.Erase != nil:
		a.leaveSwarm(ctx, 0)
		result.Erased, err = a.erase(ctx, o.Erase, t)
	case o.Write != nil:
		result.Written, err = a.write(ctx, o.Write, t)
	case o.LayOut != nil:
		result.LaidOut, err = a.layOut(ctx, o.LayOut, t)
	case o.ConfigDrive != nil:
		err = a.configDrive(ctx, o.ConfigDrive, t)
	case o.Rescue != nil:
		result.Rescued, err = a.prepareRescue(o.Rescue)
	default:
		err = fault.Errorf(fault.Invalid, "this agent (%s) does not know the order: build the ramdisk anew", a.Version)
	}
	return result, err
}

// inspect reads the machine and hears its neighbours.
func (a *agent) inspect(ctx context.Context, o *protocol.Inspect, t *task) (*protocol.Inventory, error) {
	t.doing("reading the inventory", 0)
	inventory, err := a.Machine.Inventory(ctx)
	if err != nil {
		return nil, err
	}
	n, ok := a.Machine.(Neighbourly)
	if !ok {
		return &inventory, nil
	}
	t.describe("listening for neighbours")
	if o.ListenSeconds > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(o.ListenSeconds)*time.Second)
		defer cancel()
	}
	neighbours, err := n.Neighbours(ctx)
	if err != nil {
		a.log.Warn("could not listen for neighbours", "error", err)
	}
	for i, nic := range inventory.NICs {
		if heard := neighbours[nic.Name]; heard != nil {
			inventory.NICs[i].LLDP = heard
		}
	}
	return &inventory, nil
}
