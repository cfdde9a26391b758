package node

import (
	"context"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// entry is what operators write down beside nodes: nothing happens by itself when one is made or changed.
type entry interface {
	// identity returns the id, to be filled where it is empty, and what people call such a thing.
	identity() (id *string, what string)
	// check says what is wrong with the record.
	check(ctx context.Context, s *Service) error
	// stamp sets the times.
	stamp(created bool)
}

// pointer is a pointer to a record.
type pointer[T any] interface {
	*T
	entry
}

// create inserts a record.
func create[T any, P pointer[T]](ctx context.Context, s *Service, r T) (T, error) {
	id, what := P(&r).identity()
	if *id == "" {
		*id = uuid.NewString()
	} else if _, err := uuid.Parse(*id); err != nil {
		return r, fault.Field("uuid", "%q is not a UUID", *id)
	}
	if err := P(&r).check(ctx, s); err != nil {
		return r, err
	}
	P(&r).stamp(true)
	return r, s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewInsert().Model(&r).Exec(ctx)
		if db.Duplicate(err) {
			return fault.Errorf(fault.Conflict, "there is such a %s already", what)
		}
		return err
	})
}

// read returns the record with an id; where gives other ways to name one.
func read[T any, P pointer[T]](ctx context.Context, s *Service, ref string, more ...string) (T, error) {
	var r T
	q := s.DB.Read().NewSelect().Model(&r).Where("id = ?", ref)
	for _, column := range more {
		q = q.WhereOr("? = ? AND ? <> ''", bun.Ident(column), ref, bun.Ident(column))
	}
	err := q.Scan(ctx)
	_, what := P(&r).identity()
	if db.None(err) {
		return r, fault.Errorf(fault.NotFound, "there is no %s %q", what, ref)
	}
	return r, fault.Wrap("reading a "+what, err)
}

// Page selects a part of a list: the records behind a marker, at most a number of them.
type Page struct {
	Marker string // id of the last record of the page before
	Limit  int    // 0 is all
}

// list returns records by age; narrow restricts them.
func list[T any, P pointer[T]](ctx context.Context, s *Service, p Page, narrow func(q *bun.SelectQuery) *bun.SelectQuery) ([]T, error) {
	var out []T
	q := narrow(s.DB.Read().NewSelect().Model(&out).OrderExpr("created_at, id"))
	if p.Limit > 0 {
		q = q.Limit(int64(p.Limit))
	}
	if p.Marker != "" {
		q = q.Where("(created_at, id) > (SELECT created_at, id FROM ?TableName WHERE id = ?)", p.Marker)
	}
	var one T
	_, what := P(&one).identity()
	return out, fault.Wrap("listing each "+what, q.Scan(ctx))
}

// save writes a record that the caller has read and changed.
func save[T any, P pointer[T]](ctx context.Context, s *Service, r T) (T, error) {
	if err := P(&r).check(ctx, s); err != nil {
		return r, err
	}
	P(&r).stamp(false)
	_, what := P(&r).identity()
	return r, s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		res, err := tx.NewUpdate().Model(&r).WherePK().Exec(ctx)
		if db.Duplicate(err) {
			return fault.Errorf(fault.Conflict, "there is such a %s already", what)
		}
		return changed(res, err, "the "+what+" is gone")
	})
}

// remove forgets a record.
func remove[T any, P pointer[T]](ctx context.Context, s *Service, ref string, more ...string) error {
	r, err := read[T, P](ctx, s, ref, more...)
	if err != nil {
		return err
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewDelete().Model(&r).WherePK().Exec(ctx)
		return err
	})
}

// all narrows nothing.
func all(q *bun.SelectQuery) *bun.SelectQuery { return q }
