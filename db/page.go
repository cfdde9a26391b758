package db

import (
	"fmt"
	"strings"

	"github.com/uptrace/bun"
)

// Order is what to sort by.
type Order struct {
	By         string // for Page a column, or an expression in SQL of columns of one table
	Descending bool
}

// Page sorts a query of a table, and by id at last so that every order is total; it begins behind the row with the id
// after, unless that is "", and ends after limit rows, unless that is 0. There must be one order at least; a column that
// can be NULL is none to page by.
func Page(q *bun.SelectQuery, table string, orders []Order, after string, limit int) *bun.SelectQuery {
	orders = append(orders[:len(orders):len(orders)], Order{"id", orders[len(orders)-1].Descending})
	var either []string
	same := ""
	for _, o := range orders {
		direction, compare := " ASC", " > "
		if o.Descending {
			direction, compare = " DESC", " < "
		}
		q = q.OrderExpr(o.By + direction)
		marked := fmt.Sprintf("(SELECT %s FROM %s WHERE id = ?0)", o.By, table)
		either = append(either, same+o.By+compare+marked)
		same += o.By + " = " + marked + " AND "
	}
	if after != "" {
		q = q.Where("("+strings.Join(either, " OR ")+")", after)
	}
	if limit > 0 {
		q = q.Limit(int64(limit))
	}
	return q
}
