// Package db opens Hagane's database, migrates it and runs transactions. One schema and one set of
// queries serve two engines, SQLite and PostgreSQL, chosen by URL. Stores of the nouns query it
// through bun; durable jobs are enqueued inside its transactions.
package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite" // the database/sql driver "sqlite"

	"github.com/hagane-cloud/hagane/fault"
)

// DB is an open database.
type DB struct {
	write  *bun.DB
	read   *bun.DB
	pool   *pgxpool.Pool // nil on SQLite
	guests *guests
	often  sync.Map // from a query to its *sql.Stmt, on SQLite

	patience time.Duration // of guests, on PostgreSQL
}

// Tx is a transaction. Its embedded bun.Tx runs queries; SQLTx and PgxTx are for the job queue only.
type Tx struct {
	bun.Tx
	conn *pgx.Conn // the connection that the transaction runs on; nil on SQLite
}

// SQLTx returns the transaction as database/sql knows it.
func (tx Tx) SQLTx() *sql.Tx { return tx.Tx.Tx }

// PgxTx returns the transaction as pgx knows it. It is valid on PostgreSQL only.
func (tx Tx) PgxTx() pgx.Tx { return pgxTx{conn: tx.conn} }

// Alone has the transaction wait until no other one is alone by the same name, and be so until it ends. It comes before whatever else the
// transaction locks, so that two can not wait for each other.
func (tx Tx) Alone(ctx context.Context, name string) error {
	if tx.conn == nil {
		return nil // on SQLite every transaction is
	}
	_, err := tx.NewRaw("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", name).Exec(ctx)
	return err
}

// SkipLocked makes a query pass over rows that another transaction has locked, and lock those that it returns.
func (tx Tx) SkipLocked(q *bun.SelectQuery) *bun.SelectQuery {
	if tx.conn == nil {
		return q // on SQLite there is no other transaction
	}
	return q.For("UPDATE SKIP LOCKED")
}

// Open opens the database at url and brings its schema up to date. A url is postgres://… or
// sqlite:PATH[?synchronous=OFF]; synchronous is FULL by default, so that a committed record survives a loss of power.
func Open(ctx context.Context, dsn string) (*DB, error) {
	d, err := connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	if err := d.migrate(ctx); err != nil {
		d.Close()
		return nil, fault.E(fault.Internal, "migrating the database "+redact(dsn), err)
	}
	return d, nil
}

// OpenOn makes a DB of connections to an SQLite database that somebody else opens: one whose schema is up to date, and which
// several processes may seem to share. write's connections begin transactions one at a time; read's are for reading alone.
func OpenOn(write, read driver.Connector) *DB {
	return &DB{write: bun.NewDB(sql.OpenDB(write), sqlitedialect.New()), read: bun.NewDB(sql.OpenDB(read), sqlitedialect.New()), guests: newGuests()}
}

// connect opens the database as it is.
func connect(ctx context.Context, dsn string) (*DB, error) {
	var d *DB
	var err error
	switch {
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"):
		d, err = openPostgres(ctx, dsn)
	case strings.HasPrefix(dsn, "sqlite:"):
		d, err = openSQLite(dsn)
	default:
		return nil, fault.Errorf(fault.Invalid, "the database URL %q is neither postgres://… nor sqlite:PATH", redact(dsn))
	}
	if err != nil {
		return nil, fault.E(fault.Unavailable, "opening the database "+redact(dsn), err)
	}
	if err := d.syncClock(ctx); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func redact(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return "(unreadable URL)"
	}
	return u.Redacted()
}

func openPostgres(ctx context.Context, dsn string) (*DB, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	// Steps, jobs and requests share the pool; a step holds no connection while it talks to hardware.
	if cfg.MaxConns < 16 {
		cfg.MaxConns = 16
	}
	cfg.ConnConfig.RuntimeParams["timezone"] = "UTC"
	// A transaction never waits for anything but the database. One that stands still belongs to a process that was paused or cut
	// off: the server ends it, and its locks with it, before others have waited for long.
	cfg.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = "4s"
	cfg.ConnConfig.ConnectTimeout = connectWithin
	cfg.PingTimeout = connectWithin
	inTurn(cfg)
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	b := bun.NewDB(openPool(pool), pgdialect.New())
	d := &DB{pool: pool, guests: newGuests(), patience: patience}
	d.write = b.WithQueryHook(hurry{d})
	d.read = d.write
	return d, nil
}

// sqliteReaders bounds the read-only pool: enough for the API, few enough to keep page caches small.
const sqliteReaders = 4

func openSQLite(dsn string) (*DB, error) {
	path, query, _ := strings.Cut(strings.TrimPrefix(dsn, "sqlite:"), "?")
	opts, err := url.ParseQuery(query)
	if err != nil {
		return nil, err
	}
	synchronous := opts.Get("synchronous")
	if synchronous == "" {
		synchronous = "FULL"
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	// Created by hand so that nobody but the owner can read it from the first moment.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	base := "file:" + path + "?_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)&_pragma=journal_mode(WAL)&_pragma=synchronous(" + synchronous + ")"
	w, err := sql.Open("sqlite", base+"&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	w.SetMaxOpenConns(1)
	w.SetMaxIdleConns(1)
	r, err := sql.Open("sqlite", base+"&_pragma=query_only(1)")
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	r.SetMaxOpenConns(sqliteReaders)
	r.SetMaxIdleConns(sqliteReaders)
	return &DB{write: bun.NewDB(w, sqlitedialect.New()), read: bun.NewDB(r, sqlitedialect.New()), guests: newGuests()}, nil
}

// Ping reports why the database does not answer.
func (d *DB) Ping(ctx context.Context) error {
	if err := d.read.PingContext(ctx); err != nil {
		return fault.E(fault.Unavailable, "the database does not answer", err)
	}
	return nil
}

// Postgres reports whether the engine is PostgreSQL.
func (d *DB) Postgres() bool { return d.pool != nil }

// Pool returns the pgx pool; nil on SQLite.
func (d *DB) Pool() *pgxpool.Pool { return d.pool }

// SQL returns the writing pool as database/sql knows it.
func (d *DB) SQL() *sql.DB { return d.write.DB }

// Read returns a handle for queries outside a transaction.
func (d *DB) Read() bun.IDB { return d.read }

// NowMillis is an SQL expression for the database's own clock in milliseconds since 1970, so that
// leases do not depend on the clocks of hosts agreeing.
func (d *DB) NowMillis() string {
	if d.Postgres() {
		return "(extract(epoch from clock_timestamp())*1000)::bigint"
	}
	return "CAST(unixepoch('subsec')*1000 AS INTEGER)"
}

// Close closes the database.
func (d *DB) Close() {
	_ = d.write.Close() // nothing is left to be lost: every transaction has ended
	if d.pool != nil {
		d.pool.Close()
		return
	}
	_ = d.read.Close()
}

// txTries bounds how often a transaction that lost a race in the database is run again.
const txTries = 4

// Tx runs fn in a transaction: committed when fn returns nil, rolled back otherwise. fn must use tx
// alone, never the DB (on SQLite there is one writing connection), and may be run again when
// PostgreSQL reports a serialization failure or deadlock.
func (d *DB) Tx(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error {
	leave, err := d.guests.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := d.hurried(ctx)
	defer cancel()
	for range txTries {
		if err = d.tx(ctx, fn); !lostRace(err) {
			return err
		}
	}
	return fault.E(fault.Unavailable, "the database is contended; try again", err)
}

func (d *DB) tx(ctx context.Context, fn func(ctx context.Context, tx Tx) error) (err error) {
	conn, err := d.write.Conn(ctx)
	if err != nil {
		return fault.E(fault.Unavailable, "the database does not answer; try again", err)
	}
	defer func() { _ = conn.Close() }() // returns it to the pool
	tx := Tx{}
	if d.pool != nil {
		if err := conn.Raw(func(c any) error { tx.conn = c.(simpleConn).Conn.Conn(); return nil }); err != nil {
			return err
		}
	}
	tx.Tx, err = conn.BeginTx(ctx, nil)
	if err != nil {
		return fault.E(fault.Unavailable, "the database does not answer; try again", err)
	}
	defer func() {
		if p := recover(); p != nil {
			_ = tx.Rollback()
			panic(p)
		}
	}()
	if err := guarded(ctx, tx); err != nil {
		_ = tx.Rollback() // the connection is discarded if this fails
		return err
	}
	if err := fn(ctx, tx); err != nil {
		_ = tx.Rollback() // the connection is discarded if this fails
		return err
	}
	if err := commit(ctx, tx); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}
