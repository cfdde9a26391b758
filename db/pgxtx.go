package db

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// pgxTx shows a transaction that database/sql began to the job queue, which speaks pgx. The outer
// transaction's end belongs to DB.Tx alone; nested ones are savepoints.
type pgxTx struct {
	conn  *pgx.Conn
	depth int
}

func (t pgxTx) savepoint() string { return fmt.Sprintf("hagane_%d", t.depth) }

// Begin opens a savepoint.
func (t pgxTx) Begin(ctx context.Context) (pgx.Tx, error) {
	inner := pgxTx{conn: t.conn, depth: t.depth + 1}
	_, err := t.conn.Exec(ctx, "SAVEPOINT "+inner.savepoint())
	return inner, err
}

var errOuter = errors.New("the outer transaction is ended by db.Tx only")

// Commit releases the savepoint.
func (t pgxTx) Commit(ctx context.Context) error {
	if t.depth == 0 {
		return errOuter
	}
	_, err := t.conn.Exec(ctx, "RELEASE SAVEPOINT "+t.savepoint())
	return err
}

// Rollback rolls back to the savepoint.
func (t pgxTx) Rollback(ctx context.Context) error {
	if t.depth == 0 {
		return errOuter
	}
	_, err := t.conn.Exec(ctx, "ROLLBACK TO SAVEPOINT "+t.savepoint())
	return err
}

func (t pgxTx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error) {
	return t.conn.CopyFrom(ctx, table, columns, rows)
}

func (t pgxTx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	return t.conn.SendBatch(ctx, b)
}

// LargeObjects is not used by the queue; a zero value fails on first use.
func (t pgxTx) LargeObjects() pgx.LargeObjects { return pgx.LargeObjects{} }

func (t pgxTx) Prepare(ctx context.Context, name, query string) (*pgconn.StatementDescription, error) {
	return t.conn.Prepare(ctx, name, query)
}

func (t pgxTx) Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error) {
	return t.conn.Exec(ctx, query, args...)
}

func (t pgxTx) Query(ctx context.Context, query string, args ...any) (pgx.Rows, error) {
	return t.conn.Query(ctx, query, args...)
}

func (t pgxTx) QueryRow(ctx context.Context, query string, args ...any) pgx.Row {
	return t.conn.QueryRow(ctx, query, args...)
}

func (t pgxTx) Conn() *pgx.Conn { return t.conn }
