// Package dbtest gives tests a fresh, real database: an SQLite file of their own, or a PostgreSQL
// database of their own on a server that is started once per test process.
package dbtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the database/sql driver "pgx"

	"github.com/hagane-cloud/hagane/db"
)

// Each runs fn as a subtest on SQLite and on PostgreSQL.
func Each(t *testing.T, fn func(t *testing.T, d *db.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { fn(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { fn(t, Postgres(t)) })
}

// EachOlder runs fn with an empty database of each engine with the schema of an older version. Opening dsn brings it up to
// date, and back takes it to the older version again.
func EachOlder(t *testing.T, version int64, fn func(t *testing.T, dsn string, old *sql.DB, back func())) {
	for name, url := range map[string]func(testing.TB) string{"sqlite": SQLiteURL, "pgx": PostgresURL} {
		t.Run(name, func(t *testing.T) {
			dsn := url(t)
			source := dsn
			if name == "sqlite" {
				path, _, _ := strings.Cut(strings.TrimPrefix(dsn, "sqlite:"), "?")
				source = "file:" + path + "?_pragma=foreign_keys(1)"
			}
			old, err := sql.Open(name, source)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = old.Close() }()
			old.SetMaxOpenConns(1)
			m, err := db.Migrator(old, name == "pgx")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := m.UpTo(t.Context(), version); err != nil {
				t.Fatal(err)
			}
			fn(t, dsn, old, func() {
				if _, err := m.DownTo(t.Context(), version); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// SQLiteURL returns the URL of a database file that does not exist yet.
func SQLiteURL(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "hagane.db") + "?synchronous=OFF"
}

// SQLite opens a fresh SQLite database with the present schema.
func SQLite(t testing.TB) *db.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hagane.db")
	SeedSQLite(t, path)
	return open(t, "sqlite:"+path+"?synchronous=OFF")
}

// sqlite is a database with the present schema: bringing one there takes a second with the race detector, copying it nothing.
var sqlite struct {
	once sync.Once
	file []byte
	err  error
}

// SeedSQLite makes a database file with the present schema.
func SeedSQLite(t testing.TB, path string) {
	t.Helper()
	sqlite.once.Do(func() {
		dir, err := os.MkdirTemp("", "hgdb")
		if err != nil {
			sqlite.err = err
			return
		}
		defer func() { _ = os.RemoveAll(dir) }()
		file := filepath.Join(dir, "template.db")
		d, err := db.Open(context.Background(), "sqlite:"+file+"?synchronous=OFF")
		if err != nil {
			sqlite.err = err
			return
		}
		d.Close() // which writes all of it to the file
		sqlite.file, sqlite.err = os.ReadFile(file)
	})
	if sqlite.err != nil {
		t.Fatal(sqlite.err)
	}
	if err := os.WriteFile(path, sqlite.file, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Postgres opens a fresh PostgreSQL database with the present schema. It skips the test, saying why, where PostgreSQL's programs are
// not installed.
func Postgres(t testing.TB) *db.DB { t.Helper(); return open(t, PostgresUpToDate(t)) }

func open(t testing.TB, dsn string) *db.DB {
	t.Helper()
	d, err := db.Open(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// server is the PostgreSQL server of this test process; its socket lives in a temporary folder.
var server struct {
	once, filled sync.Once
	dir          string
	skip         string
	err          error
}

// PostgresURL creates an empty PostgreSQL database, dropped when the test ends, and returns its URL.
func PostgresURL(t testing.TB) string {
	t.Helper()
	server.once.Do(startServer)
	return createPostgres(t, "")
}

// PostgresUpToDate is PostgresURL for a database with the present schema.
func PostgresUpToDate(t testing.TB) string {
	t.Helper()
	server.once.Do(startServer)
	server.filled.Do(func() {
		if server.skip != "" || server.err != nil {
			return
		}
		execSQL(context.Background(), t, "CREATE DATABASE "+template)
		d, err := db.Open(context.Background(), databaseURL(template))
		if err != nil {
			server.err = err
			return
		}
		d.Close() // nobody may be connected to what is copied
	})
	return createPostgres(t, " TEMPLATE "+template)
}

// template is the database that those with the present schema are copied from.
const template = "template"

func createPostgres(t testing.TB, how string) string {
	t.Helper()
	if server.skip != "" {
		t.Skip(server.skip)
	}
	if server.err != nil {
		t.Fatal(server.err)
	}
	ctx := context.Background()
	name := "t" + strings.ToLower(rand.Text()[:12])
	execSQL(ctx, t, "CREATE DATABASE "+name+how)
	t.Cleanup(func() { execSQL(ctx, t, "DROP DATABASE "+name+" WITH (FORCE)") })
	return databaseURL(name)
}

func databaseURL(name string) string {
	return "postgres://hagane@/" + name + "?host=" + url.QueryEscape(server.dir)
}

func execSQL(ctx context.Context, t testing.TB, query string) {
	t.Helper()
	conn, err := pgx.Connect(ctx, databaseURL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, query); err != nil {
		t.Fatal(err)
	}
}

// Stop ends the PostgreSQL server of this process, if one was started. TestMain of a package that uses Postgres calls it last.
func Stop() {
	if server.dir == "" {
		return
	}
	_ = command("pg_ctl", "-D", filepath.Join(server.dir, "data"), "-m", "immediate", "stop").Run()
	_ = os.RemoveAll(server.dir)
}

func startServer() {
	if _, err := program("initdb"); err != nil {
		server.skip = "PostgreSQL is not installed (Debian: apt-get install postgresql)"
		return
	}
	// A short path: a Unix socket's is limited to 107 bytes.
	dir, err := os.MkdirTemp("", "hgpg")
	if err != nil {
		server.err = err
		return
	}
	server.dir = dir
	data := filepath.Join(dir, "data")
	if uid, gid, ok := servant(); ok {
		if server.err = os.Chown(dir, uid, gid); server.err != nil {
			return
		}
	}
	if out, err := command("initdb", "-D", data, "-U", "hagane", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C").CombinedOutput(); err != nil {
		server.err = fmt.Errorf("initdb: %w: %s", err, out)
		return
	}
	opts := "-c listen_addresses='' -c fsync=off -c max_connections=200 -k " + dir
	if out, err := command("pg_ctl", "-D", data, "-w", "-l", filepath.Join(dir, "log"), "-o", opts, "start").CombinedOutput(); err != nil {
		server.err = fmt.Errorf("pg_ctl start: %w: %s", err, out)
	}
}

// program finds one of PostgreSQL's programs, which Debian and Ubuntu keep off the PATH.
func program(name string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return filepath.EvalSymlinks(p)
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("no program %s", name)
	}
	return found[len(found)-1], nil
}

// servant returns whom to run PostgreSQL as when we are root, which it refuses to serve.
func servant() (uid, gid int, ok bool) {
	if os.Getuid() != 0 {
		return 0, 0, false
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ = strconv.Atoi(u.Uid)
		gid, _ = strconv.Atoi(u.Gid)
		return uid, gid, true
	}
	return 0, 0, false
}

func command(name string, args ...string) *exec.Cmd {
	path, err := program(name)
	if err != nil {
		path = name
	}
	c := exec.Command(path, args...)
	c.Dir = server.dir
	c.Env = append(os.Environ(), "LC_ALL=C")
	if uid, gid, ok := servant(); ok {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	return c
}
