package network

import (
	"context"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Query is what a list is asked for. Attributes have the names of Networking v2.0, which ECL2.0 shares.
type Query struct {
	Where                            map[string][]string // by attribute the values of which it must have one
	Tags, AnyTag, NotTags, NotAnyTag []string            // all of them, any of them, not all of them, none of them
	Since                            time.Time           // changed then or later
	Sort                             []Order
	After                            string // the id of the last one of the page before
	Limit                            int    // 0 is no limit
	Reverse                          bool   // the page before After rather than the one behind
}

// Order is an attribute to sort by.
type Order = db.Order

// form is how the value of a filter is read.
type form int

const (
	text form = iota
	number
	truth
	mac
)

// attribute says in SQL where an attribute is. One with a condition can be filtered by but not sorted by: in it ? is the
// list of values, or one value where each must be looked for by itself.
type attribute struct {
	sql       string
	form      form
	condition bool
	each      bool
}

type attributes map[string]attribute

// standard are attributes that every noun has, with others.
func standard(others attributes) attributes {
	all := attributes{"id": {sql: "id"}, "tenant_id": {sql: "project_id"}, "project_id": {sql: "project_id"}, "revision_number": {sql: "revision", form: number},
		"created_at": {sql: "created_at"}, "updated_at": {sql: "updated_at"}}
	for name, a := range others {
		all[name] = a
	}
	return all
}

// list reads what a query asks for of what owner may see. Filters, order and pages are the database's work.
func list[T any](ctx context.Context, q bun.IDB, n *noun, o Owner, w Query) ([]T, error) {
	all := []T{}
	sel, err := n.selected(n.visible(q.NewSelect().Model(&all), o), w)
	if err != nil {
		return nil, err
	}
	if w.After != "" {
		if _, err := find[T](ctx, q, n, o, w.After); err != nil {
			return nil, err
		}
	}
	if err := sel.Scan(ctx); err != nil {
		return nil, fault.E(fault.Internal, "listing by "+n.name, err)
	}
	if w.Reverse {
		for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
			all[i], all[j] = all[j], all[i]
		}
	}
	return all, nil
}

// selected adds to sel what w asks for.
func (n *noun) selected(sel *bun.SelectQuery, w Query) (*bun.SelectQuery, error) {
	for name, given := range w.Where {
		a, known := n.attributes[name]
		if !known {
			return nil, fault.Field(name, "%q can not be filtered by", name)
		}
		values, err := a.values(name, given)
		if err != nil {
			return nil, err
		}
		switch {
		case a.each:
			sel = sel.Where("("+strings.Repeat(a.sql+" OR ", len(values)-1)+a.sql+")", values...)
		case a.condition:
			sel = sel.Where(a.sql, bun.In(values))
		default:
			sel = sel.Where(a.sql+" IN (?)", bun.In(values))
		}
	}
	if !w.Since.IsZero() {
		sel = sel.Where("updated_at >= ?", w.Since)
	}
	if len(w.Tags)+len(w.AnyTag)+len(w.NotTags)+len(w.NotAnyTag) > 0 && !n.labels {
		return nil, fault.Field("tags", "%s things have no tags", n.name)
	}
	sel = Labelled(sel, w)
	orders, err := n.orders(w)
	if err != nil {
		return nil, err
	}
	return db.Page(sel, n.table, orders, w.After, w.Limit), nil
}

// values reads the values of a filter.
func (a attribute) values(name string, given []string) ([]any, error) {
	out := make([]any, len(given))
	for i, v := range given {
		var err error
		switch a.form {
		case text:
			out[i] = v
		case number:
			out[i], err = strconv.ParseInt(v, 10, 64)
		case truth:
			out[i], err = strconv.ParseBool(strings.ToLower(v))
		case mac:
			var hw net.HardwareAddr
			hw, err = net.ParseMAC(v)
			out[i] = hw.String()
		}
		if err != nil {
			return nil, fault.Field(name, "%q is no value of %s", v, name)
		}
	}
	return out, nil
}

// Labelled adds the conditions of a query on labels to one of a table with a column of that name. REPLACE finds a word as
// it is written on both engines; LIKE would not.
func Labelled(sel *bun.SelectQuery, w Query) *bun.SelectQuery {
	const has = "REPLACE(labels, ?, '') <> labels"
	for _, set := range []struct {
		words    []string
		glue     string
		inverted bool
	}{{w.Tags, " AND ", false}, {w.AnyTag, " OR ", false}, {w.NotTags, " AND ", true}, {w.NotAnyTag, " OR ", true}} {
		if len(set.words) == 0 {
			continue
		}
		where := make([]string, len(set.words))
		args := make([]any, len(set.words))
		for i, word := range set.words {
			where[i], args[i] = has, ","+word+","
		}
		condition := "(" + strings.Join(where, set.glue) + ")"
		if set.inverted {
			condition = "NOT " + condition
		}
		sel = sel.Where(condition, args...)
	}
	return sel
}

// orders translates the attributes to sort by into SQL.
func (n *noun) orders(w Query) ([]db.Order, error) {
	sort := w.Sort
	if len(sort) == 0 {
		sort = []db.Order{{By: "created_at"}}
	}
	out := make([]db.Order, 0, len(sort))
	for _, s := range sort {
		a, known := n.attributes[s.By]
		if !known || a.condition {
			return nil, fault.Field("sort_key", "%q can not be sorted by", s.By)
		}
		out = append(out, db.Order{By: a.sql, Descending: s.Descending != w.Reverse})
	}
	return out, nil
}

// one is a query for what has a value.
func one(name, value string) Query { return Query{Where: map[string][]string{name: {value}}} }
