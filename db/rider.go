package db

import (
	"context"
	"sync"
)

// rider is what the first transaction that commits under a context carries along.
type rider struct {
	mu    sync.Mutex
	fn    func(ctx context.Context, tx Tx) error
	done  bool
	outer *rider // of the context that this one's was made from
}

type riderKey struct{}

func riderOf(ctx context.Context) *rider {
	r, _ := ctx.Value(riderKey{}).(*rider)
	return r
}

// Ride returns a context whose first transaction to commit also does fn, as its last part: both are recorded or
// neither, and an error of fn is the transaction's. carried reports whether that has happened.
func Ride(ctx context.Context, fn func(ctx context.Context, tx Tx) error) (riding context.Context, carried func() bool) {
	r := &rider{fn: fn, outer: riderOf(ctx)}
	return context.WithValue(ctx, riderKey{}, r), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.done
	}
}

// commit commits a transaction with the context's riders that no other transaction has carried.
func commit(ctx context.Context, tx Tx) error {
	var taken []*rider
	defer func() {
		for _, r := range taken {
			r.mu.Unlock()
		}
	}()
	for r := riderOf(ctx); r != nil; r = r.outer {
		r.mu.Lock()
		taken = append(taken, r)
		if r.done {
			continue
		}
		if err := r.fn(ctx, tx); err != nil {
			_ = tx.Rollback() // the connection is discarded if this fails
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	for _, r := range taken {
		r.done = true
	}
	return nil
}
