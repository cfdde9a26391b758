package workflow_test

import (
	"context"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/workflow"
)

// TestStartOnTheLastConnection starts a run in a transaction that has the last connection to the database, while others wait for one to
// read who is at work: the transaction must not wait for them.
func TestStartOnTheLastConnection(t *testing.T) {
	d := dbtest.Postgres(t)
	queue, err := workflow.NewQueue(d, workflow.QueueOptions{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	e := workflow.NewEngine(d, queue, slog.New(slog.DiscardHandler))
	workflow.Register(e, borrow(), workflow.Host[*world](&world{}))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for range d.Pool().Config().MaxConns - 1 {
		c, err := d.SQL().Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	waiting := make(chan struct{})
	err = d.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		go func() {
			defer close(waiting)
			if _, err := e.Keeps(t.Context(), "c"); err != nil {
				t.Error(err)
			}
		}()
		for range 100_000 { // until it does wait
			runtime.Gosched()
		}
		soon, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		_, err := e.Start(soon, tx, "borrow/1", "subject", nil)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	<-waiting
}
