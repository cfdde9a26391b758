package identity

import (
	"slices"
	"strings"

	"github.com/uptrace/bun"
)

// Query selects what a list shows: rows that meet all conditions, by name, a page of them.
type Query struct {
	Where  []Cond
	Marker string // id of the last one of the page before
	Limit  int    // 0 does not bound
}

// Cond is a condition on a column: Op is "" for equality (or being among a []string), or one of the comparisons below.
type Cond struct {
	Column, Op string
	Value      any
}

// comparisons are those that Keystone's filters have behind a column's name (name__contains), for text; an i before
// one ignores case.
var comparisons = []string{"equals", "contains", "startswith", "endswith"}

// Comparison reports whether there is a comparison of that name.
func Comparison(op string) bool { return slices.Contains(comparisons, strings.TrimPrefix(op, "i")) }

// And returns the query with a further condition of equality.
func (q Query) And(column string, value any) Query {
	q.Where = append(q.Where[:len(q.Where):len(q.Where)], Cond{Column: column, Value: value})
	return q
}

// conditions adds a query's conditions on the table, or its alias, to a selection.
func (q Query) conditions(sel *bun.SelectQuery, table string) *bun.SelectQuery {
	for _, c := range q.Where {
		column := bun.Ident(table + "." + c.Column)
		if among, ok := c.Value.([]string); ok {
			sel = sel.Where("? IN (?)", column, bun.In(among))
			continue
		}
		text, ok := c.Value.(string)
		if c.Op == "" || !ok {
			sel = sel.Where("? = ?", column, c.Value)
			continue
		}
		op, anyCase := strings.CutPrefix(c.Op, "i")
		sel = compare(sel, column, op, text, anyCase)
	}
	return sel
}

// compare avoids LIKE where case matters: SQLite's ignores it.
func compare(sel *bun.SelectQuery, column bun.Ident, op, text string, anyCase bool) *bun.SelectQuery {
	var left any = column
	if anyCase {
		left, text = bun.SafeQuery("lower(?)", column), strings.ToLower(text)
	}
	switch op {
	case "contains":
		return sel.Where("replace(?, ?, '') <> ?", left, text, left)
	case "startswith":
		return sel.Where("substr(?, 1, length(?)) = ?", left, text, text)
	case "endswith":
		return sel.Where("length(?) >= length(?) AND substr(?, length(?) - length(?) + 1) = ?", left, text, left, left, text, text)
	}
	return sel.Where("? = ?", left, text)
}

// page adds a query's conditions, order and page to a selection from a table whose rows have a name and an id.
func (q Query) page(sel *bun.SelectQuery, table string) *bun.SelectQuery {
	sel = q.conditions(sel, table).OrderExpr("?, ?", bun.Ident(table+".name"), bun.Ident(table+".id"))
	if q.Marker != "" {
		sel = sel.Where("(?, ?) > (SELECT name, id FROM ? WHERE id = ?)", bun.Ident(table+".name"), bun.Ident(table+".id"), bun.Ident(table), q.Marker)
	}
	if q.Limit > 0 {
		sel = sel.Limit(int64(q.Limit))
	}
	return sel
}
