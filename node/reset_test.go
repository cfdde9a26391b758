package node_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/node"
)

// TestResetIsPressedUntilTaken has a BMC not answer the first reset: a reboot that was asked for is not done before it was taken.
func TestResetIsPressedUntilTaken(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		n, err := w.Create(t.Context(), node.Node{Name: "n1", Driver: "fake"}, "secret")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Do(t.Context(), n.ID, "manage"); err != nil {
			t.Fatal(err)
		}
		w.until(t, n.ID, node.Manageable)
		w.power(t, n.ID, bmc.PowerOn)
		var pressed atomic.Int64
		w.rack.Fail = func(_, call string) error {
			if call == string(bmc.Reset) && pressed.Add(1) == 1 {
				return bmc.Fail(bmc.Failure{Class: bmc.Uncertain}, "no answer came")
			}
			return nil
		}
		w.power(t, n.ID, bmc.Reset)
		if times := pressed.Load(); times != 2 {
			t.Errorf("reset was pressed %d times, and taken only the second time", times)
		}
	})
}

// power asks for a change of power and waits for its end.
func (w *world) power(t *testing.T, id node.ID, a bmc.Action) {
	t.Helper()
	if err := w.AskPower(t.Context(), id, a); err != nil {
		t.Fatal(err)
	}
	for late := time.Now().Add(30 * time.Second); ; {
		live, err := w.engine.Live(t.Context(), w.DB.Read(), string(id))
		if err != nil {
			t.Fatal(err)
		}
		if live == nil {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("%s does not end: %+v", a, live)
		}
		<-time.After(10 * time.Millisecond)
	}
}
