package node_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/workflow"
)

// panel is a switch that does what it is told: the VLAN of each of its ports.
type panel struct {
	mu    sync.Mutex
	vlans map[string]int
}

func (p *panel) Place(_ context.Context, _, port, _ string, vlan int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.vlans[port] = vlan
	return nil
}

func (p *panel) VLANOf(_ context.Context, _, port string) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.vlans[port], nil
}

func (p *panel) Linked(context.Context, string, string) (bool, error) { return true, nil }
func (p *panel) SystemVLAN(context.Context, string) (int, error)      { return 4001, nil }
func (p *panel) at(t *testing.T, port string, want int, after string) {
	t.Helper()
	if got, _ := p.VLANOf(t.Context(), "", port); got != want {
		t.Errorf("after %s the switch port %s is on VLAN %d, want %d", after, port, got, want)
	}
}

// TestAttach plugs a NIC of an active node into a network and takes it off again: as asked, when the process dies on the way, when it
// fails, and when it can not even be taken back.
func TestAttach(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		sw := &panel{vlans: map[string]int{}}
		w.Network = sw
		id := w.subject(t, "n1")
		for i, mac := range []string{"02:00:00:00:00:01", "02:00:00:00:00:02"} {
			if _, err := w.CreatePort(t.Context(), node.Port{NodeID: id, MAC: mac, Link: map[string]string{"switch_info": "sw", "port_id": mac[15:]}, PXE: i == 0}); err != nil {
				t.Fatal(err)
			}
		}
		const second = "02:00:00:00:00:02"
		ask := func(on bool) (err error) {
			var run workflow.RunID
			err = w.DB.Tx(t.Context(), func(ctx context.Context, tx db.Tx) error {
				if run = ""; on {
					run, err = w.Attach(ctx, tx, id, node.Link{MAC: second, VLAN: 77})
				} else {
					run, err = w.Detach(ctx, tx, id, second)
				}
				return err
			})
			if err != nil {
				return err
			}
			err = w.Attached(t.Context(), run)
			w.idle(t, id)
			return err
		}
		if err := ask(true); !fault.Is(err, fault.Conflict) {
			t.Errorf("attaching to a node that nobody has: %v", err)
		}
		w.bring(t, node.Active, id)
		for _, what := range []string{"plain", "died"} {
			if what == "died" {
				w.dieOnce(id)
			}
			if err := ask(true); err != nil {
				t.Fatalf("%s: attaching: %v", what, err)
			}
			sw.at(t, "02", 77, "attaching, "+what)
			if err := ask(true); !fault.Is(err, fault.Conflict) {
				t.Errorf("attaching twice: %v", err)
			}
			if err := ask(false); err != nil {
				t.Fatalf("%s: detaching: %v", what, err)
			}
			sw.at(t, "02", 0, "detaching, "+what)
			if err := ask(false); !fault.Is(err, fault.Conflict) {
				t.Errorf("detaching twice: %v", err)
			}
		}
		sw.at(t, "01", 0, "all this")

		spoiled := func(undo bool) meddling {
			return meddling{spoil: func(run workflow.Run, result error) error {
				if run.Workflow == "attach/1" && (undo || !run.Undoing) {
					return workflow.GiveUp(errors.New("no such switch"))
				}
				return result
			}}
		}
		w.meddle(id, spoiled(false))
		if err := ask(true); !fault.Is(err, fault.Conflict) {
			t.Errorf("attaching that fails: %v", err)
		}
		sw.at(t, "02", 0, "attaching failed")
		w.meddle(id, meddling{})
		if err := ask(true); err != nil { // the failed one left no link
			t.Fatal(err)
		}
		w.meddle(id, spoiled(false))
		if err := ask(false); !fault.Is(err, fault.Conflict) {
			t.Errorf("detaching that fails: %v", err)
		}
		sw.at(t, "02", 77, "detaching failed")
		w.meddle(id, spoiled(true))
		if err := ask(false); !fault.Is(err, fault.Conflict) {
			t.Errorf("detaching that can not be taken back: %v", err)
		}
		if n := w.idle(t, id); len(n.Holds) != 1 || n.Holds[0].Category != "undo" || n.State != node.Active {
			t.Errorf("the node is %s with the holds %+v", n.State, n.Holds)
		}
		w.meddle(id, meddling{})
		if err := ask(false); err != nil { // its link was still there
			t.Error(err)
		}
		sw.at(t, "02", 0, "all of it")
	})
}

// dieOnce has the next turn of a node's run break off before what came of it is recorded.
func (w *world) dieOnce(id node.ID) {
	var died atomic.Bool
	w.meddle(id, meddling{dies: func(workflow.Run) bool { return died.CompareAndSwap(false, true) }})
}
