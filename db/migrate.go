package db

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock serialises processes that start at the same time on one PostgreSQL database.
const migrationLock = 0x4861_6761_6e65 // "Hagane"

func (d *DB) migrate(ctx context.Context) error {
	if d.Postgres() {
		conn, err := d.pool.Acquire(ctx)
		if err != nil {
			return err
		}
		defer conn.Release()
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(migrationLock)); err != nil {
			return err
		}
		defer func() { _, _ = conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", int64(migrationLock)) }()
	}
	p, err := Migrator(d.SQL(), d.Postgres())
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return err
	}
	return d.migrateQueue(ctx)
}

// Migrator takes a database's schema up and down.
func Migrator(conn *sql.DB, postgres bool) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	dialect := goose.DialectSQLite3
	if postgres {
		dialect = goose.DialectPostgres
	}
	return goose.NewProvider(dialect, conn, files, goose.WithDisableGlobalRegistry(true), goose.WithGoMigrations(revisions(postgres)))
}

func (d *DB) migrateQueue(ctx context.Context) error {
	if d.Postgres() {
		m, err := rivermigrate.New(riverpgxv5.New(d.pool), nil)
		if err != nil {
			return err
		}
		_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
		return err
	}
	m, err := rivermigrate.New(riversqlite.New(d.SQL()), nil)
	if err != nil {
		return err
	}
	_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

// lostRace reports whether a transaction failed only because another one came first.
func lostRace(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

// Duplicate reports whether err says that a unique key exists already.
func Duplicate(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "23505"
	}
	return err != nil && strings.Contains(err.Error(), "UNIQUE constraint failed")
}

// Unfit reports whether err says that a value has no place in the schema: it breaks a constraint, or is of another kind.
func Unfit(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return strings.HasPrefix(pg.Code, "22") || strings.HasPrefix(pg.Code, "23") // data exceptions, integrity constraints
	}
	return err != nil && (strings.Contains(err.Error(), "constraint failed") || strings.Contains(err.Error(), "datatype mismatch"))
}

// None reports whether err says that a query yielded no row.
func None(err error) bool { return errors.Is(err, sql.ErrNoRows) }
