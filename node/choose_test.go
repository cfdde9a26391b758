package node_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

// TestChooseAtOnce has many ask at the same moment for as many nodes as there are: each gets one of its own, the next is told why not, and
// what is given up in the middle is had by somebody else.
func TestChooseAtOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		const free = 20 // more than are read at a time
		nodes(t, w, free)
		if err := d.Tx(t.Context(), func(ctx context.Context, tx db.Tx) error {
			_, err := tx.NewUpdate().Model((*node.Node)(nil)).Set("state = ?", node.Available).Where("TRUE").Exec(ctx)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		choose := func(owner string, then error) (id node.ID, err error) {
			err = d.Tx(t.Context(), func(ctx context.Context, tx db.Tx) error {
				n, _, err := w.Choose(ctx, tx, node.Want{ResourceClass: "baremetal"}, owner)
				if err != nil {
					return err
				}
				id = n.ID
				return then
			})
			return id, err
		}
		givenUp := fault.Errorf(fault.Invalid, "changed its mind")
		var g errgroup.Group
		got := make([]node.ID, free)
		for i := range free {
			g.Go(func() (err error) {
				if i%4 == 0 {
					if _, err := choose("fickle", givenUp); err != nil && !fault.Is(err, fault.Invalid) {
						return err
					}
				}
				got[i], err = choose(fmt.Sprint("server-", i), nil)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		owners := map[node.ID]int{}
		for i, id := range got {
			if other, twice := owners[id]; twice {
				t.Errorf("%s was lent to %d and %d", id, other, i)
			}
			owners[id] = i
		}
		if _, err := choose("late", nil); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "0 of 20 nodes match (20 in use)") {
			t.Errorf("one too many: %v", err)
		}
	})
}
