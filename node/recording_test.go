package node_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/workflow"
)

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("waited too long for ", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// TestConsolesAreRecordedByOne has two conductors record: one console is open at a time, while the node is lent. It gives way
// to a tenant at the BMC's own console.
func TestConsolesAreRecordedByOne(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		n, err := w.Create(t.Context(), node.Node{Name: "n1", Driver: "fake"}, "secret")
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			verb string
			want node.State
		}{{"manage", node.Manageable}, {"provide", node.Available}} {
			if err := w.Do(t.Context(), n.ID, step.verb); err != nil {
				t.Fatal(err)
			}
			w.until(t, n.ID, step.want)
		}
		open := func() int { return w.rack.Consoles(string(n.ID)) }
		w.lend(t, n.ID)
		w.until(t, n.ID, node.Active)
		stops := map[workflow.Holder]context.CancelFunc{}
		ended := make(chan error, 2)
		for _, h := range []workflow.Holder{"a", "b"} {
			ctx, stop := context.WithCancel(t.Context())
			stops[h] = stop
			go func() { ended <- w.Record(ctx, h) }()
			go renewing(ctx, w.engine, h)
			defer stop()
		}
		eventually(t, "the console to be recorded", func() bool {
			text, _, err := w.ConsoleText(t.Context(), n.ID, "server-1")
			if err != nil {
				t.Fatal(err)
			}
			return strings.Contains(text, "which is on\n")
		})
		if open() != 1 {
			t.Errorf("%d consoles are open", open())
		}
		if text, _, err := w.ConsoleText(t.Context(), n.ID, "server-2"); err != nil || text != "" {
			t.Errorf("another server reads %q, %v", text, err)
		}
		if _, err := w.ConsoleFor(t.Context(), n.ID); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the recording to give way", func() bool { return open() == 0 })
		if err := w.SetConsole(t.Context(), n.ID, false); err != nil {
			t.Fatal(err)
		}
		now, err := w.Get(t.Context(), string(n.ID))
		if err != nil {
			t.Fatal(err)
		}
		if on, why := now.Recorded(); on || !strings.Contains(why, "switched") {
			t.Errorf("%v, %s", on, why)
		}
		if err := w.Do(t.Context(), n.ID, "undeploy"); err != nil {
			t.Fatal(err)
		}
		w.until(t, n.ID, node.Available)
		if text, _, err := w.ConsoleText(t.Context(), n.ID, "server-1"); err != nil || text != "" {
			t.Errorf("what is left of the tenant's console: %q, %v", text, err)
		}
		for _, stop := range stops {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
}

// renewing renews a holder's leases until ctx ends, as its conductor would.
func renewing(ctx context.Context, e *workflow.Engine, h workflow.Holder) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = e.Renew(ctx, h) // the next one is soon
		}
	}
}

// TestConsoleTrouble tells why a console is not recorded.
func TestConsoleTrouble(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		w.rack.Fail = func(_, call string) error {
			if call == "console" {
				return fault.E(fault.Unavailable, "somebody else has it open", errors.New("0x80"))
			}
			return nil
		}
		n, err := w.Create(t.Context(), node.Node{Name: "n1", Driver: "fake"}, "secret")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Do(t.Context(), n.ID, "manage"); err != nil {
			t.Fatal(err)
		}
		w.until(t, n.ID, node.Manageable)
		if err := w.SetConsole(t.Context(), n.ID, true); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Record(ctx, "a") }()
		eventually(t, "the trouble to be told", func() bool {
			_, trouble, err := w.ConsoleText(t.Context(), n.ID, "")
			return err == nil && strings.Contains(trouble, "somebody else")
		})
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
