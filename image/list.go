package image

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Query is what a list is asked for. Names of columns are those of Glance.
type Query struct {
	Project    string              // who asks
	All        bool                // an operator asks, who sees the images of all projects
	Where      map[string][]string // by column the values of which it must have one
	Tags       []string            // all of them
	Properties map[string]string
	Numbers    map[string]int64 // by column: the value; size_min and size_max bound the size
	Visibility string           // "" is what is listed unasked: all but others' community images; "all" is all
	Members    string           // the status in which others' images were shared with the project; "all" is any
	Hidden     bool             // hidden images only, or only others
	Protected  *bool
	Times      []Time
	Sort       []Order
	After      string // the id of the last one of the page before
	Limit      int
}

// Time bounds when an image was made or changed, in whole seconds, as they are told.
type Time struct {
	Column  string // created_at or updated_at
	Compare string // gt, gte, lt, lte, eq or neq
	At      time.Time
}

// Order is a column to sort by.
type Order = db.Order

// texts, numbers and times are the columns that can be filtered by, by their names in Glance; all can be sorted by.
var (
	texts = map[string]string{"id": "id", "name": "name", "status": "status", "owner": "owner", "disk_format": "disk_format",
		"container_format": "container_format", "checksum": "checksum", "os_hash_value": "sha512"}
	numbers = map[string]string{"size": "size = ?", "min_disk": "min_disk = ?", "min_ram": "min_ram = ?", "virtual_size": "raw_size = ?",
		"size_min": "size >= ?", "size_max": "size <= ?"}
	sortable = map[string]string{"id": "id", "name": "name", "status": "status", "owner": "owner", "disk_format": "disk_format",
		"container_format": "container_format", "size": "size", "min_disk": "min_disk", "min_ram": "min_ram", "visibility": "visibility",
		"created_at": "created_at", "updated_at": "updated_at"}
)

// IsText reports whether lists can be filtered by a column of texts with that name.
func IsText(name string) bool { return texts[name] != "" }

// IsNumber reports whether lists can be filtered by a number with that name.
func IsNumber(name string) bool { return numbers[name] != "" }

// List returns the images that a query selects. Filters, order and pages are the database's work.
func (s *Service) List(ctx context.Context, w Query) ([]Image, error) {
	all := []Image{}
	q := s.DB.Read().NewSelect().Model(&all).Where("hidden = ?", w.Hidden)
	q = w.visible(q)
	for name, values := range w.Where {
		q = q.Where(texts[name]+" IN (?)", bun.In(values))
	}
	for _, tag := range w.Tags {
		where, args := findTag(tag)
		q = q.Where(where, args...)
	}
	for name, value := range w.Properties {
		where, args := findProperty(name, value)
		q = q.Where(where, args...)
	}
	for name, n := range w.Numbers {
		q = q.Where(numbers[name], n)
	}
	if w.Protected != nil {
		q = q.Where("protected = ?", *w.Protected)
	}
	for _, t := range w.Times {
		where, args := t.condition()
		q = q.Where(where, args...)
	}
	q, err := w.paged(ctx, s.DB.Read(), q)
	if err != nil {
		return nil, err
	}
	return all, fault.Wrap("listing images", q.Scan(ctx))
}

// visible restricts a list to what its asker is shown.
func (w Query) visible(q *bun.SelectQuery) *bun.SelectQuery {
	shared := "visibility = ? AND id IN (SELECT image_id FROM image_member WHERE member_id = ?"
	args := []any{Shared, w.Project}
	if w.Members != "all" {
		shared += " AND status = ?"
		args = append(args, w.Members)
	}
	if !w.All {
		q = q.Where("(owner = ? OR visibility IN (?) OR ("+shared+")))", append([]any{w.Project, bun.In([]string{Public, Community})}, args...)...)
	}
	switch w.Visibility {
	case "all":
	case "":
		q = q.Where("(visibility <> ? OR owner = ?)", Community, w.Project)
	default:
		q = q.Where("visibility = ?", w.Visibility)
	}
	return q
}

// condition compares with a second, which what happened within it equals.
func (t Time) condition() (string, []any) {
	from := t.At.UTC().Truncate(time.Second)
	to := from.Add(time.Second)
	switch t.Compare {
	case "gt":
		return t.Column + " >= ?", []any{to}
	case "gte":
		return t.Column + " >= ?", []any{from}
	case "lt":
		return t.Column + " < ?", []any{from}
	case "lte":
		return t.Column + " < ?", []any{to}
	case "neq":
		return "(" + t.Column + " < ? OR " + t.Column + " >= ?)", []any{from, to}
	}
	return t.Column + " >= ? AND " + t.Column + " < ?", []any{from, to}
}

// paged adds order and bounds: newest first unless it is said otherwise.
func (w Query) paged(ctx context.Context, tx bun.IDB, q *bun.SelectQuery) (*bun.SelectQuery, error) {
	orders := []db.Order{}
	for _, o := range w.Sort {
		if sortable[o.By] == "" {
			return nil, fault.Field("sort_key", "%.40q can not be sorted by", o.By)
		}
		orders = append(orders, db.Order{By: sortable[o.By], Descending: o.Descending})
	}
	if len(orders) == 0 {
		orders = []db.Order{{By: "created_at", Descending: true}}
	}
	if w.After != "" {
		project := w.Project
		if w.All {
			project = ""
		}
		if _, err := get(ctx, tx, project, w.After); err != nil {
			return nil, fault.Field("marker", "there is no image %.40q", w.After)
		}
	}
	return db.Page(q, "image", orders, w.After, w.Limit), nil
}

// Named returns the active images that a project is shown, for services that have lists of their own; "" is any name.
func (s *Service) Named(ctx context.Context, project, name string) ([]Image, error) {
	w := Query{Project: project, Members: Accepted, Where: map[string][]string{"status": {string(Active)}}, Limit: mostNamed}
	if name != "" {
		w.Where["name"] = []string{name}
	}
	return s.List(ctx, w)
}

const mostNamed = 10000
