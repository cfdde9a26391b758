package network

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Record is what is kept of every thing.
type Record struct {
	ID, ProjectID        string
	Revision             int64
	CreatedAt, UpdatedAt time.Time
}

func (r *Record) head() head {
	return head{&r.ID, &r.ProjectID, &r.Revision, &r.CreatedAt, &r.UpdatedAt}
}

// head points at the fields that every thing has.
type head struct {
	id, project      *string
	revision         *int64
	created, updated *time.Time
}

func (n *Network) head() head {
	return head{&n.ID, &n.ProjectID, &n.Revision, &n.CreatedAt, &n.UpdatedAt}
}
func (s *Subnet) head() head {
	return head{&s.ID, &s.ProjectID, &s.Revision, &s.CreatedAt, &s.UpdatedAt}
}
func (p *Port) head() head { return head{&p.ID, &p.ProjectID, &p.Revision, &p.CreatedAt, &p.UpdatedAt} }

// born fills in what a new thing begins with.
func (h head) born() {
	*h.id, *h.revision, *h.created = uuid.NewString(), 1, db.Now()
	*h.updated = *h.created
}

// thing is a pointer to a row of one of the nouns.
type thing[T any] interface {
	*T
	head() head
}

// noun is a kind of thing that this package keeps.
type noun struct {
	name, table string
	missing     string // the type of the fault that there is none
	shared      bool   // projects may share it
	external    bool   // it may be external, and then every project sees it, though not what is part of it
	labels      bool   // it can have labels
	within      *noun  // what it is a part of: whoever sees that sees it
	at          string // the column that names what it is a part of
	attributes  attributes
}

// visible restricts a query to what an owner may see: its own, and what is shared with it.
func (n *noun) visible(q *bun.SelectQuery, o Owner) *bun.SelectQuery {
	if o == "" {
		return q
	}
	where, args := n.sees(o)
	if n.external {
		where = "(external OR " + where + ")"
	}
	return q.Where(where, args...)
}

func (n *noun) sees(o Owner) (string, []any) {
	switch {
	case n.within != nil:
		where, args := n.within.sees(o)
		return fmt.Sprintf("%s IN (SELECT id FROM %s WHERE %s)", n.at, n.within.table, where), args
	case n.shared:
		return "(project_id = ? OR shared OR id IN (SELECT object_id FROM network_policy WHERE object_type = ? AND target = ?))", []any{o, n.name, o}
	}
	return "project_id = ?", []any{o}
}

// find reads one thing that owner may see.
func find[T any](ctx context.Context, q bun.IDB, n *noun, o Owner, id string) (T, error) {
	var v T
	err := n.visible(q.NewSelect().Model(&v).Where("id = ?", id), o).Scan(ctx)
	if db.None(err) {
		return v, n.none(id)
	}
	return v, fault.Wrap("reading "+n.name+" "+id, err)
}

// none is the fault that there is no such thing.
func (n *noun) none(id string) error {
	return reason(n.missing, fault.Errorf(fault.NotFound, "no %s %s", n.name, id))
}

// own is find for what owner may change: things that others share with it are Denied.
func own[T any, P thing[T]](ctx context.Context, q bun.IDB, n *noun, o Owner, id string) (T, error) {
	v, err := find[T](ctx, q, n, o, id)
	if err == nil && o != "" && *P(&v).head().project != string(o) {
		return v, fault.Errorf(fault.Denied, "the %s belongs to another project", n.name)
	}
	return v, err
}

// lock keeps others from changing or deleting a row until the transaction ends. It is NotFound when there is none.
func lock(ctx context.Context, tx db.Tx, n *noun, id string) error {
	res, err := tx.NewRaw("UPDATE ? SET id = id WHERE id = ?", bun.Ident(n.table), id).Exec(ctx)
	if err != nil {
		return fault.E(fault.Internal, "locking "+n.name+" "+id, err)
	}
	if rows, err := res.RowsAffected(); err == nil && rows == 0 {
		return n.none(id)
	}
	return nil
}

// edit changes one thing of the owner: reads it under a lock, compares its revision with rev unless that is 0, lets fn
// change it, and writes it.
func edit[T any, P thing[T]](ctx context.Context, s *Service, n *noun, o Owner, id string, rev int64, fn func(ctx context.Context, tx db.Tx, v *T) error) (T, error) {
	var v T
	err := s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		err := lock(ctx, tx, n, id)
		if err != nil {
			return err
		}
		if v, err = own[T, P](ctx, tx, n, o, id); err != nil {
			return err
		}
		h := P(&v).head()
		if err := matches(n, id, *h.revision, rev); err != nil {
			return err
		}
		if err := fn(ctx, tx, &v); err != nil {
			return err
		}
		*h.revision, *h.updated = *h.revision+1, db.Now()
		_, err = tx.NewUpdate().Model(&v).Where("id = ?", id).Exec(ctx)
		return err
	})
	return v, err
}

// remove deletes one thing of the owner, after fn has seen it.
func remove[T any, P thing[T]](ctx context.Context, s *Service, n *noun, o Owner, id string, rev int64, fn func(ctx context.Context, tx db.Tx, v T) error) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if err := lock(ctx, tx, n, id); err != nil {
			return err
		}
		v, err := own[T, P](ctx, tx, n, o, id)
		if err != nil {
			return err
		}
		if err := matches(n, id, *P(&v).head().revision, rev); err != nil {
			return err
		}
		if err := fn(ctx, tx, v); err != nil {
			return err
		}
		if n.shared {
			if err := unshare(ctx, tx, n, id); err != nil {
				return err
			}
		}
		_, err = tx.NewRaw("DELETE FROM ? WHERE id = ?", bun.Ident(n.table), id).Exec(ctx)
		return err
	})
}

func matches(n *noun, id string, have, want int64) error {
	if want != 0 && want != have {
		return reason("RevisionNumberConstraintFailed", fault.Errorf(fault.Conflict, "the %s %s has revision %d, not %d: read it again", n.name, id, have, want))
	}
	return nil
}

// touch raises a thing's revision, because one of its parts changed.
func touch(ctx context.Context, tx db.Tx, n *noun, id string) error {
	_, err := tx.NewRaw("UPDATE ? SET revision = revision + 1, updated_at = ? WHERE id = ?", bun.Ident(n.table), db.Now(), id).Exec(ctx)
	return fault.Wrap("raising the revision of "+n.name+" "+id, err)
}

// chunk bounds how many ids one query names.
const chunk = 500

// eachPart calls fn with every part of the things with the given ids, a few queries for all of them.
func eachPart[T any](ctx context.Context, q bun.IDB, ids []string, column, order string, fn func(T)) error {
	for some := range slices.Chunk(ids, chunk) {
		var parts []T
		if err := q.NewSelect().Model(&parts).Where("? IN (?)", bun.Ident(column), bun.In(some)).OrderExpr(order).Scan(ctx); err != nil {
			return fault.E(fault.Internal, "reading by "+column, err)
		}
		for _, p := range parts {
			fn(p)
		}
	}
	return nil
}

// Labels are OpenStack's tags: a set of words.
type Labels []string

// Value keeps labels in a form in which each can be found: ",one,two,".
func (l Labels) Value() (driver.Value, error) {
	if len(l) == 0 {
		return "", nil
	}
	return "," + strings.Join(l, ",") + ",", nil
}

// Scan reads what Value wrote.
func (l *Labels) Scan(src any) error {
	*l = nil
	var text string
	switch v := src.(type) {
	case string:
		text = v
	case []byte:
		text = string(v)
	}
	if text = strings.Trim(text, ","); text != "" {
		*l = strings.Split(text, ",")
	}
	return nil
}

// Problem is a fault with the name that Networking v2.0 has for it, by which clients tell faults of one kind apart.
type Problem struct {
	Type string
	err  error
}

func reason(kind string, err error) error { return &Problem{kind, err} }

// Error returns the fault's words.
func (p *Problem) Error() string { return p.err.Error() }

// Unwrap returns the fault.
func (p *Problem) Unwrap() error { return p.err }
