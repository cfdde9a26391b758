package db

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// connectAtOnce is how many connections a process makes at a time. When PostgreSQL is back, all processes come at the same moment with
// all that waited; a server that is asked for hundreds of connections at once keeps none of them within their time, those who gave up
// come again behind the others, and it never ends.
const connectAtOnce = 4

// inTurn has connections of a pool come about a few at a time.
func inTurn(cfg *pgxpool.Config) {
	slots := make(chan struct{}, connectAtOnce)
	cfg.BeforeConnect = func(ctx context.Context, c *pgx.ConnConfig) error {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		leave := sync.OnceFunc(func() { <-slots })
		// Some fail before anything is dialled, and tell nobody.
		surely := time.AfterFunc(2*c.ConnectTimeout, leave)
		over := func() {
			surely.Stop()
			leave()
		}
		dial, after := c.DialFunc, c.AfterConnect
		c.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			if err != nil {
				over()
				return nil, err
			}
			return &comingAbout{conn, over}, nil
		}
		c.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
			over()
			if after == nil {
				return nil
			}
			return after(ctx, conn)
		}
		return nil
	}
}

// comingAbout is a connection that is over, for those who wait for their turn, when it is closed.
type comingAbout struct {
	net.Conn
	over func()
}

// Close closes the connection.
func (c *comingAbout) Close() error {
	defer c.over()
	return c.Conn.Close()
}
