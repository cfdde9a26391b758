package db

import (
	"cmp"
	"context"
	"database/sql"
	"reflect"
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
	kept, err := d.prepared(ctx, query)
	if err != nil {
		return err
	}
	return kept.QueryRowContext(unwatched(ctx), args...).Scan(into...)
}

// ByID is Often for a whole record: into is a pointer to one that has a single primary key.
func (d *DB) ByID(ctx context.Context, into, id any) error {
	table := d.read.Table(reflect.TypeOf(into).Elem())
	if d.Postgres() {
		return d.read.NewSelect().Model(into).Where("? = ?", table.PKs[0].SQLName, id).Scan(ctx)
	}
	kept, ok := d.often.Load(table)
	if !ok {
		var columns []string
		for _, f := range table.Fields {
			columns = append(columns, string(f.SQLName))
		}
		kept, _ = d.often.LoadOrStore(table, "SELECT "+strings.Join(columns, ", ")+" FROM "+string(table.SQLName)+" WHERE "+string(table.PKs[0].SQLName)+" = ?")
	}
	stmt, err := d.prepared(ctx, kept.(string))
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(unwatched(ctx), id)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // what was read is there
	if !rows.Next() {
		return cmp.Or(rows.Err(), sql.ErrNoRows)
	}
	return d.read.ScanRow(ctx, rows, into)
}

// prepared is a statement on SQLite, prepared once. Who has gone does not get it: it is asked without being watched.
func (d *DB) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	kept, ok := d.often.Load(query)
	if !ok {
		made, err := d.read.DB.PrepareContext(context.Background(), query)
		if err != nil {
			return nil, fault.E(fault.Internal, "preparing a query", err)
		}
		if kept, ok = d.often.LoadOrStore(query, made); ok {
			_ = made.Close() // another was faster
		}
	}
	return kept.(*sql.Stmt), nil
}

// unwatched has neither database/sql nor the driver begin a goroutine that waits for the end of ctx: for a small query these two cost as much
// as the query.
func unwatched(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

// numbered writes a query as PostgreSQL wants it.
func numbered(query string) string {
	parts := strings.Split(query, "?")
	var b strings.Builder
	for i, part := range parts[:len(parts)-1] {
		b.WriteString(part + "$" + strconv.Itoa(i+1))
	}
	return b.String() + parts[len(parts)-1]
}
