package node_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/node"
)

// nodes makes some, and returns the last one's id.
func nodes(t *testing.T, w *world, count int) (last node.ID) {
	t.Helper()
	for i := range count {
		n, err := w.Create(t.Context(), node.Node{Name: fmt.Sprint("n", i), Driver: "fake"}, "")
		if err != nil {
			t.Fatal(err)
		}
		last = n.ID
	}
	return last
}

// makeDue makes it the time of all nodes.
func makeDue(t *testing.T, w *world) {
	t.Helper()
	err := w.DB.Tx(t.Context(), func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewUpdate().Model((*node.Node)(nil)).Set("state = ?", node.Manageable).Set("power_due = ?", db.Now().Add(-time.Second)).Where("TRUE").Exec(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// seen returns how many nodes have been looked at and are not due.
func seen(t *testing.T, w *world) int64 {
	t.Helper()
	n, err := w.DB.Read().NewSelect().Model((*node.Node)(nil)).Where("power_due > ?", db.Now()).Count(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestWatchKeepsUp has many nodes due at once: one beat of the watch looks at more than the 84 that are due each second where
// there are 10,000.
func TestWatchKeepsUp(t *testing.T) {
	w := newWorld(t, dbtest.SQLite(t))
	const due = 200
	nodes(t, w, due)
	makeDue(t, w)
	// The conductor takes a moment to sign on, and then has all the nodes at once.
	for deadline := time.Now().Add(30 * time.Second); ; {
		if err := w.Watch(t.Context(), "c1"); err != nil {
			t.Fatal(err)
		}
		n := seen(t, w)
		if n == due {
			return
		}
		if n > 0 || time.Now().After(deadline) {
			t.Fatalf("%d of %d nodes were looked at", n, due)
		}
	}
}

// TestWatchWaitsForNobody has a BMC that does not answer: the others have their turn again and again meanwhile.
func TestWatchWaitsForNobody(t *testing.T) {
	w := newWorld(t, dbtest.SQLite(t))
	const all = 10
	silent := nodes(t, w, all)
	asked, answer := make(chan struct{}, 1), make(chan struct{})
	w.rack.Fail = func(address, call string) error {
		if address == string(silent) {
			select {
			case asked <- struct{}{}:
			default:
			}
			<-answer
		}
		return nil
	}
	makeDue(t, w)
	ended := make(chan error, 1)
	watch := func() { ended <- w.Watch(t.Context(), "c1") }
	deadline := time.After(30 * time.Second)
	until := func(want int64, what string) {
		t.Helper()
		for seen(t, w) < want {
			select {
			case err := <-ended: // before the conductor had signed on
				if err != nil {
					t.Fatal(err)
				}
				go watch()
			case <-deadline:
				t.Fatalf("%d of %d nodes were looked at %s", seen(t, w), want, what)
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	go watch()
	until(all-1, "at first")
	<-asked
	for range 2 {
		makeDue(t, w)
		until(all-1, "while one does not answer")
	}
	select {
	case err := <-ended:
		t.Errorf("the watch ended (%v) while a BMC was being asked", err)
	default:
	}
	close(answer)
	until(all, "in the end")
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
