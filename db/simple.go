package db

import (
	"context"
	"database/sql"
	"database/sql/driver"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// openPool returns a pool as database/sql knows it.
func openPool(pool *pgxpool.Pool) *sql.DB {
	d := sql.OpenDB(simple{stdlib.GetPoolConnector(pool)})
	d.SetMaxIdleConns(0) // the pool keeps them
	return d
}

// simple makes connections on which a query without arguments is asked in one round trip. bun writes arguments into the query, so that hardly one
// is asked twice in the same words: pgx would have each prepared for later.
type simple struct{ driver.Connector }

// Connect takes a connection from the pool.
func (s simple) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := s.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return simpleConn{c.(*stdlib.Conn)}, nil
}

// simpleConn is such a connection.
type simpleConn struct{ *stdlib.Conn }

// QueryContext asks a query.
func (c simpleConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if len(args) == 0 {
		args = []driver.NamedValue{{Ordinal: 1, Value: pgx.QueryExecModeSimpleProtocol}}
	}
	return c.Conn.QueryContext(ctx, query, args)
}
