package db_test

import (
	"context"
	"errors"
	"testing"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
)

// held is a part of the table of leases.
type held struct {
	bun.BaseModel `bun:"table:lease"`

	Subject string `bun:",pk"`
	Owner   string
	Fence   int64
}

func TestByID(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		err := d.Tx(t.Context(), func(ctx context.Context, tx db.Tx) error {
			_, err := tx.NewRaw("INSERT INTO lease (subject, owner, fence, expires) VALUES ('a', 'one', 7, 0), ('b', 'two', 8, 0)").Exec(ctx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		var h held
		for id, want := range map[string]held{"a": {Subject: "a", Owner: "one", Fence: 7}, "b": {Subject: "b", Owner: "two", Fence: 8}} {
			if err := d.ByID(t.Context(), &h, id); err != nil || h != want {
				t.Errorf("%s: %+v, %v", id, h, err)
			}
		}
		if err := d.ByID(t.Context(), &h, "c"); !db.None(err) {
			t.Errorf("one that is not there: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := d.ByID(ctx, &h, "a"); !errors.Is(err, context.Canceled) {
			t.Errorf("asked by who has gone: %v", err)
		}
	})
}
