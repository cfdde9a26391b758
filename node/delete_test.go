package node_test

import (
	"context"
	"errors"
	"testing"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

// TestDeleteWhileTheBMCIsAsked deletes nodes whose BMC does not answer while they are verified, and while several things
// are asked of it; a node that is inspected is not deleted.
func TestDeleteWhileTheBMCIsAsked(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		w.rack.Fail = func(string, string) error { return fault.E(fault.Unavailable, "nobody answers", errors.New("timeout")) }
		create := func(name string) node.ID {
			n, err := w.Create(t.Context(), node.Node{Name: name, Driver: "fake"}, "secret")
			if err != nil {
				t.Fatal(err)
			}
			return n.ID
		}
		gone := func(id node.ID) {
			t.Helper()
			if err := w.Delete(t.Context(), id); err != nil {
				t.Error(err)
			}
			if _, err := w.Get(t.Context(), string(id)); !fault.Is(err, fault.NotFound) {
				t.Errorf("after its deletion: %v", err)
			}
		}
		asked := create("asked")
		for range 3 {
			if err := w.AskDeed(t.Context(), asked, node.Deed{Do: node.EjectMedia}); err != nil {
				t.Fatal(err)
			}
		}
		gone(asked)
		verified := create("verified")
		if err := w.Do(t.Context(), verified, "manage"); err != nil {
			t.Fatal(err)
		}
		gone(verified)
		inspected := create("inspected")
		if err := d.Tx(t.Context(), func(ctx context.Context, tx db.Tx) error {
			_, err := tx.NewUpdate().Model((*node.Node)(nil)).Set("state = ?", node.Manageable).Where("id = ?", inspected).Exec(ctx)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if err := w.Do(t.Context(), inspected, "inspect"); err != nil {
			t.Fatal(err)
		}
		if err := w.Delete(t.Context(), inspected); !fault.Is(err, fault.Conflict) {
			t.Errorf("deleting a node that is inspected: %v", err)
		}
	})
}
