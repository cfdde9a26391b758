package db

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/fault"
)

// Kind is what a column holds.
type Kind int

// The kinds of columns that the schema has.
const (
	Text Kind = iota
	Number
	Truth
	Instant
	Octets
)

// Column is a column of a table.
type Column struct {
	Name string
	Kind Kind
}

// Table is a table of the schema.
type Table struct {
	Name    string
	Columns []Column
	refers  []string // tables that its rows refer to
}

// Column returns a column by its name.
func (t Table) Column(name string) (Column, bool) {
	i := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
	if i < 0 {
		return Column{}, false
	}
	return t.Columns[i], true
}

func kindOf(declared string) Kind {
	declared = strings.ToLower(declared)
	switch {
	case strings.HasPrefix(declared, "bool"):
		return Truth
	case strings.Contains(declared, "int"):
		return Number
	case strings.HasPrefix(declared, "timestamp"):
		return Instant
	case declared == "bytea", declared == "blob":
		return Octets
	}
	return Text
}

// Tables lists the tables, those before others that the others refer to.
func (d *DB) Tables(ctx context.Context, q bun.IDB) ([]Table, error) {
	columns := `SELECT m.name AS t, c.name AS c, c.type AS kind FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY m.name, c.cid`
	links := `SELECT m.name AS t, f."table" AS c, '' AS kind FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table' ORDER BY m.name`
	if d.Postgres() {
		columns = `SELECT table_name AS t, column_name AS c, data_type AS kind FROM information_schema.columns
			WHERE table_schema = current_schema() AND table_name IN (SELECT tablename FROM pg_tables WHERE schemaname = current_schema()) ORDER BY table_name, ordinal_position`
		links = `SELECT DISTINCT conrelid::regclass::text AS t, confrelid::regclass::text AS c, '' AS kind FROM pg_constraint
			WHERE contype = 'f' AND connamespace = current_schema()::regnamespace ORDER BY 1, 2`
	}
	var rows []struct{ T, C, Kind string }
	if err := q.NewRaw(columns).Scan(ctx, &rows); err != nil {
		return nil, fault.E(fault.Internal, "reading the schema", err)
	}
	var all []Table
	for _, r := range rows {
		if len(all) == 0 || all[len(all)-1].Name != r.T {
			all = append(all, Table{Name: r.T})
		}
		t := &all[len(all)-1]
		t.Columns = append(t.Columns, Column{r.C, kindOf(r.Kind)})
	}
	rows = nil
	if err := q.NewRaw(links).Scan(ctx, &rows); err != nil {
		return nil, fault.E(fault.Internal, "reading the schema's references", err)
	}
	for _, r := range rows {
		if i := slices.IndexFunc(all, func(t Table) bool { return t.Name == r.T }); i >= 0 && r.C != r.T {
			all[i].refers = append(all[i].refers, r.C)
		}
	}
	return referredFirst(all), nil
}

// referredFirst sorts tables so that each comes after those that it refers to.
func referredFirst(all []Table) []Table {
	var out []Table
	placed := map[string]bool{}
	for len(out) < len(all) {
		before := len(out)
		for _, t := range all {
			if !placed[t.Name] && !slices.ContainsFunc(t.refers, func(r string) bool { return !placed[r] }) {
				out, placed[t.Name] = append(out, t), true
			}
		}
		if len(out) == before {
			panic("the tables of the schema refer to each other in a circle")
		}
	}
	return out
}

// Snapshot runs fn on the database as it is at one moment, whatever others write meanwhile.
func (d *DB) Snapshot(ctx context.Context, fn func(ctx context.Context, tx bun.Tx) error) error {
	o := &sql.TxOptions{}
	if d.Postgres() {
		o = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	}
	tx, err := d.read.BeginTx(ctx, o)
	if err != nil {
		return fault.E(fault.Unavailable, "beginning to read", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	if d.Postgres() {
		// Whoever takes what is read may be slow.
		if _, err := tx.NewRaw("SET LOCAL idle_in_transaction_session_timeout = 0").Exec(ctx); err != nil {
			return fault.E(fault.Unavailable, "beginning to read", err)
		}
	}
	return fn(ctx, tx)
}

// Schema returns the version of the schema.
func (d *DB) Schema(ctx context.Context) (int64, error) {
	p, err := Migrator(d.SQL(), d.Postgres())
	if err != nil {
		return 0, err
	}
	v, err := p.GetDBVersion(ctx)
	return v, fault.Wrap("reading the version of the schema", err)
}

// OpenAt opens the database at url with the schema of a version, which must not be newer than this program's. Nothing but
// Upgrade makes it one that can be worked on.
func OpenAt(ctx context.Context, url string, version int64) (*DB, error) {
	d, err := connect(ctx, url)
	if err != nil {
		return nil, err
	}
	p, err := Migrator(d.SQL(), d.Postgres())
	if err == nil {
		sources := p.ListSources()
		if newest := sources[len(sources)-1].Version; version > newest {
			err = fault.Errorf(fault.Invalid, "the schema %d is newer than this program's, %d; use the version that wrote it, or a newer one", version, newest)
		} else if at, versionErr := p.GetDBVersion(ctx); versionErr != nil || at > version {
			err = fault.E(fault.Conflict, "the database is not empty, and its schema is another one", versionErr)
		} else {
			_, err = p.UpTo(ctx, version)
		}
	}
	if err != nil {
		d.Close()
		return nil, fault.Wrap("making the schema in "+redact(url), err)
	}
	return d, nil
}

// Upgrade brings the schema up to date.
func (d *DB) Upgrade(ctx context.Context) error {
	return fault.Wrap("migrating the database", d.migrate(ctx))
}
