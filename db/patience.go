package db

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

const (
	// patience is how long a query of somebody outside, or a transaction once it is its turn, waits for PostgreSQL, whose host can fall silent: longer
	// than any of them takes, shorter than clients and proxies wait for an answer.
	patience = 20 * time.Second
	// connectWithin bounds how long a connection takes to come about, and an idle one to prove that it still works.
	connectWithin = 5 * time.Second
)

// hurried bounds what a guest asks for. What the cloud itself asks for waits for as long as it takes, and so does all on SQLite.
func (d *DB) hurried(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, guest := ctx.Value(guestKey{}).(string); !guest || d.patience == 0 {
		return ctx, func() {}
	}
	if at, bounded := ctx.Deadline(); bounded && time.Until(at) < d.patience {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d.patience)
}

// hurry is bun's hook around each query, which bounds it.
type hurry struct{ *DB }

// BeforeQuery bounds a query.
func (h hurry) BeforeQuery(ctx context.Context, q *bun.QueryEvent) context.Context {
	bounded, cancel := h.hurried(ctx)
	if bounded != ctx && q.IQuery != nil { // otherwise its rows are read later, and the bound ends by itself
		q.Stash = map[any]any{hurry{}: cancel}
	}
	return bounded
}

// AfterQuery ends the bound of a query whose rows have been read.
func (h hurry) AfterQuery(_ context.Context, q *bun.QueryEvent) {
	if cancel, ok := q.Stash[hurry{}].(context.CancelFunc); ok {
		cancel()
	}
}
