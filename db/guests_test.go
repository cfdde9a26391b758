package db_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
)

// TestGuestWaitsForItself has one guest hold a lock that fifty more of its transactions wait for, more than there are connections: others
// go on.
func TestGuestWaitsForItself(t *testing.T) {
	d := dbtest.Postgres(t)
	greedy := db.Guest(t.Context(), "greedy")
	locked, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		if err := d.Tx(greedy, func(ctx context.Context, tx db.Tx) error {
			err := tx.Alone(ctx, "its own")
			close(locked)
			<-release
			return err
		}); err != nil {
			t.Error(err)
		}
	})
	<-locked
	for range 50 {
		all.Go(func() {
			if err := d.Tx(greedy, func(ctx context.Context, tx db.Tx) error { return tx.Alone(ctx, "its own") }); err != nil {
				t.Error(err)
			}
		})
	}
	soon, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, ctx := range []context.Context{soon, db.Guest(soon, "other")} {
		if err := d.Tx(ctx, func(ctx context.Context, tx db.Tx) error { return tx.Alone(ctx, "another's") }); err != nil {
			t.Error(err)
		}
	}
	close(release)
	all.Wait()
}
