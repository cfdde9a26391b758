package dbtest

import (
	"database/sql"
	"os"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the database/sql driver "pgx"
	"github.com/pressly/goose/v3"
)

// EachOlder runs fn as a subtest with a database of each engine whose schema is of an older version, as plain SQL knows
// it, its URL for db.Open, and a function that takes the schema back. The migrations are in the folder migrations.
func EachOlder(t *testing.T, migrations string, version int64, fn func(t *testing.T, old *sql.DB, dsn string, back func())) {
	t.Helper()
	for name, url := range map[string]func(testing.TB) string{"sqlite": SQLiteURL, "postgres": PostgresURL} {
		t.Run(name, func(t *testing.T) {
			dsn, ctx := url(t), t.Context()
			driver, source, dialect := "pgx", dsn, goose.DialectPostgres
			if name == "sqlite" {
				path, _, _ := strings.Cut(strings.TrimPrefix(dsn, "sqlite:"), "?")
				driver, source, dialect = "sqlite", "file:"+path+"?_pragma=foreign_keys(1)", goose.DialectSQLite3
			}
			old, err := sql.Open(driver, source)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = old.Close() }()
			old.SetMaxOpenConns(1)
			p, err := goose.NewProvider(dialect, old, os.DirFS(migrations), goose.WithDisableGlobalRegistry(true))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.UpTo(ctx, version); err != nil {
				t.Fatal(err)
			}
			fn(t, old, dsn, func() {
				t.Helper()
				if _, err := p.DownTo(ctx, version); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}
