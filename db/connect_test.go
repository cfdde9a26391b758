package db

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// TestConnectInTurn has a whole pool connect to a server that is too busy to answer: it is not asked for more than a few connections at a
// time, and each gives way to the next when its time is over.
func TestConnectInTurn(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			}()
		}
	}()
	var mu sync.Mutex
	open, most, all := 0, 0, 0
	add := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		open += n
		most, all = max(most, open), all+max(n, 0)
	}
	cfg, err := pgxpool.ParseConfig("host=" + filepath.Dir(l.Addr().String()) + " user=u dbname=d sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	const conns = 4 * connectAtOnce
	cfg.MaxConns, cfg.ConnConfig.ConnectTimeout = conns, 300*time.Millisecond
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		add(1)
		return &counted{conn, sync.OnceFunc(func() { add(-1) })}, nil
	}
	inTurn(cfg)
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var waiting sync.WaitGroup
	for range conns {
		waiting.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if conn, err := pool.Acquire(ctx); err == nil {
				conn.Release()
				t.Error("connected to a server that never answers")
			}
		})
	}
	waiting.Wait()
	mu.Lock()
	defer mu.Unlock()
	if most > connectAtOnce || all < conns {
		t.Errorf("%d connections came about at the same time, %d in all; want at most %d, and %d", most, all, connectAtOnce, conns)
	}
}

// counted is a connection whose end is counted.
type counted struct {
	net.Conn
	end func()
}

func (c *counted) Close() error {
	defer c.end()
	return c.Conn.Close()
}
