package node

import (
	"context"
	"log/slog"
	"testing"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/secret"
	"github.com/hagane-cloud/hagane/workflow"
)

// TestHeadsFollowTheRecord sees that a node's head changes with every change of its record, whoever makes it, and with
// nothing else.
func TestHeadsFollowTheRecord(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		box, err := secret.Open(t.TempDir() + "/key")
		if err != nil {
			t.Fatal(err)
		}
		log := slog.New(slog.DiscardHandler)
		queue, err := workflow.NewQueue(d, workflow.QueueOptions{Log: log})
		if err != nil {
			t.Fatal(err)
		}
		s := NewService(Options{DB: d, Box: box, Engine: workflow.NewEngine(d, queue, log)})
		ctx := t.Context()
		n, err := s.Create(ctx, Node{Name: "n", Driver: "fake"}, "")
		if err != nil {
			t.Fatal(err)
		}
		other, err := s.Create(ctx, Node{Name: "o", Driver: "fake"}, "")
		if err != nil {
			t.Fatal(err)
		}
		head := func(id ID) Head {
			t.Helper()
			h, err := s.HeadOf(ctx, string(id))
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		was, otherWas := head(n.ID), head(other.ID)
		if again := head(n.ID); again != was {
			t.Errorf("reading changed %+v to %+v", was, again)
		}
		for what, change := range map[string]func(ctx context.Context, tx db.Tx) error{
			"a column": func(ctx context.Context, tx db.Tx) error {
				_, err := tx.NewUpdate().Model((*Node)(nil)).Set("power = ?", "on").Where("id = ?", n.ID).Exec(ctx)
				return err
			},
			"the whole record, as it was read": func(ctx context.Context, tx db.Tx) error {
				_, err := tx.NewUpdate().Model(&n).WherePK().Exec(ctx)
				return err
			},
			"raw SQL": func(ctx context.Context, tx db.Tx) error {
				_, err := tx.ExecContext(ctx, "UPDATE node SET description = 'x' WHERE id = '"+string(n.ID)+"'")
				return err
			},
		} {
			before := head(n.ID)
			if err := d.Tx(ctx, change); err != nil {
				t.Fatal(err)
			}
			if now := head(n.ID); now.Rev <= before.Rev {
				t.Errorf("%s: the revision was %d and is %d", what, before.Rev, now.Rev)
			}
		}
		if head(other.ID) != otherWas {
			t.Error("another node's head has changed")
		}
		heads, err := s.Heads(ctx, Filter{Limit: 10})
		if err != nil || len(heads) != 2 || heads[0] != head(n.ID) {
			t.Errorf("the list has %+v, %v", heads, err)
		}
	})
}
