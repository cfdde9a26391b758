package db

import (
	"context"
	"database/sql"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/fault"
)

// Often reads one row by a query that is asked so often that it is prepared once for each connection: on SQLite that is most of the cost
// of a small one. Its arguments are where its ? are. No row is None.
func (d *DB) Often(ctx context.Context, query string, args []any, into ...any) error {
	if d.Postgres() { // pgx keeps prepared what has arguments
		ctx, cancel := d.hurried(ctx)
		defer cancel()
		return d.read.DB.QueryRowContext(ctx, numbered(query), args...).Scan(into...)
	}
	kept, ok := d.often.Load(query)
	if !ok {
		made, err := d.read.DB.PrepareContext(ctx, query)
		if err != nil {
			return fault.E(fault.Internal, "preparing a query", err)
		}
		if kept, ok = d.often.LoadOrStore(query, made); ok {
			_ = made.Close() // another was faster
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// Neither database/sql nor the driver then begins a goroutine that waits for the end of ctx: they cost as much as the query.
	return kept.(*sql.Stmt).QueryRowContext(context.WithoutCancel(ctx), args...).Scan(into...)
}

// numbered writes a query as PostgreSQL wants it.
func numbered(query string) string {
	parts := strings.Split(query, "?")
	var b strings.Builder
	for i, part := range parts[:len(parts)-1] {
		b.WriteString(part + "$" + strconv.Itoa(i+1))
	}
	return b.String() + parts[len(parts)-1]
}
