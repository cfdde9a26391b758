package node_test

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

// TestMostAllocations asks for a node when the project has as many allocations as it may have, and others do not.
func TestMostAllocations(t *testing.T) {
	d := dbtest.SQLite(t)
	w := newWorld(t, d)
	all := make([]node.Allocation, 1000)
	for i := range all {
		all[i] = node.Allocation{ID: uuid.NewString(), ResourceClass: "none", Project: "busy", State: node.NotAllocated, CreatedAt: db.Now(), UpdatedAt: db.Now()}
	}
	if err := d.Tx(t.Context(), func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewInsert().Model(&all).Exec(ctx)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Allocate(t.Context(), node.Allocation{ResourceClass: "none", Project: "busy"}); !fault.Is(err, fault.Denied) {
		t.Errorf("one more of the project: %v", err)
	}
	for _, project := range []string{"other", ""} {
		if _, err := w.Allocate(t.Context(), node.Allocation{ResourceClass: "none", Project: project}); err != nil {
			t.Errorf("of the project %q: %v", project, err)
		}
	}
}
