package db

import "context"

type guardKey struct{}

// Guard returns a context whose every transaction does check first. An error of it is the transaction's, and nothing is recorded: so
// whoever works under a lease records nothing once it has passed on, whatever service it calls.
func Guard(ctx context.Context, check func(ctx context.Context, tx Tx) error) context.Context {
	return context.WithValue(ctx, guardKey{}, check)
}

// guarded does what the context's guard asks for.
func guarded(ctx context.Context, tx Tx) error {
	if check, ok := ctx.Value(guardKey{}).(func(ctx context.Context, tx Tx) error); ok {
		return check(ctx, tx)
	}
	return nil
}
