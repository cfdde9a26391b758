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

// TestWatchKeepsUp has many nodes due at once: one beat of the watch looks at more than the 84 that are due each second where
// there are 10,000.
func TestWatchKeepsUp(t *testing.T) {
	w := newWorld(t, dbtest.SQLite(t))
	const due = 200
	for i := range due {
		if _, err := w.Create(t.Context(), node.Node{Name: fmt.Sprint("n", i), Driver: "fake"}, ""); err != nil {
			t.Fatal(err)
		}
	}
	err := w.DB.Tx(t.Context(), func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewUpdate().Model((*node.Node)(nil)).Set("state = ?", node.Manageable).Set("power_due = ?", db.Now().Add(-time.Second)).Where("TRUE").Exec(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// The conductor takes a moment to sign on, and then has all the nodes at once.
	for deadline := time.Now().Add(30 * time.Second); ; {
		if err := w.Watch(t.Context(), "c1"); err != nil {
			t.Fatal(err)
		}
		seen, err := w.DB.Read().NewSelect().Model((*node.Node)(nil)).Where("power_due > ?", db.Now()).Count(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if seen == due {
			return
		}
		if seen > 0 || time.Now().After(deadline) {
			t.Fatalf("%d of %d nodes were looked at", seen, due)
		}
	}
}
