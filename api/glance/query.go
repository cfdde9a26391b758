package glance

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
)

const (
	pageDefault = 100
	pageMost    = 1000
	mostSorts   = 16
	mostIn      = 500 // values of one filter
)

func (g *glance) list(w http.ResponseWriter, r *api.Request) error {
	values := r.URL.Query()
	q, err := query(values)
	if err != nil {
		return err
	}
	q.Project, q.All = r.Caller.ProjectID(), r.Caller.Operator()
	asked := q.Limit
	q.Limit++ // one more tells whether there is a next page
	found, err := g.List(r.Context(), q)
	if err != nil {
		return err
	}
	page := []api.Object{}
	for _, i := range found[:min(asked, len(found))] {
		page = append(page, doc(i))
	}
	out := api.Object{"images": page, "schema": "/v2/schemas/images", "first": link("/v2/images", values, "")}
	if len(found) > asked && asked > 0 {
		out["next"] = link("/v2/images", values, found[asked-1].ID)
	}
	return api.JSON(w, http.StatusOK, out)
}

// link is a link to the page behind a marker; to the first one without.
func link(path string, values url.Values, marker string) string {
	values.Del("marker")
	if marker != "" {
		values.Set("marker", marker)
	}
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

// query reads what a list of images is asked for. What is no attribute is a property.
func query(values url.Values) (image.Query, error) {
	q := image.Query{Where: map[string][]string{}, Numbers: map[string]int64{}, Properties: map[string]string{}, Members: image.Accepted, Limit: pageDefault}
	for name, given := range values {
		if name == "tag" {
			q.Tags = given
		}
		for _, v := range append(given, name) {
			if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
				return q, fault.Errorf(fault.Invalid, "the query has bytes that are no text")
			}
		}
		if len(values) > 2*image.MaxWords || len(given) > image.MaxWords {
			return q, fault.Errorf(fault.Invalid, "the query has too many parts")
		}
		if err := part(&q, name, given[0]); err != nil {
			return q, err
		}
	}
	var err error
	q.Sort, err = sorts(values)
	return q, err
}

// part reads one part of a query.
func part(q *image.Query, name, v string) (err error) {
	switch name {
	case "tag", "sort", "sort_key", "sort_dir":
	case "limit":
		q.Limit, err = limit(v)
	case "marker":
		q.After = v
	case "visibility":
		if v != "all" && !slices.Contains(image.Visibilities, v) {
			return fault.Field(name, "Invalid visibility value: %.40s", v)
		}
		q.Visibility = v
	case "member_status":
		if v != "all" && !slices.Contains(image.MemberStatuses, v) {
			return fault.Field(name, "Invalid status: %.40s", v)
		}
		q.Members = v
	case "os_hidden":
		q.Hidden, err = truth(name, v)
	case "protected":
		var yes bool
		yes, err = truth(name, v)
		q.Protected = &yes
	case "created_at", "updated_at":
		var t image.Time
		t, err = moment(name, v)
		q.Times = append(q.Times, t)
	case "changes-since":
		return fault.Field(name, "the filter changes-since is not possible; use updated_at=gte:TIME")
	default:
		switch {
		case image.IsText(name):
			q.Where[name], err = oneOf(name, v)
		case image.IsNumber(name):
			q.Numbers[name], err = number(name, v)
		default:
			q.Properties[name] = v
		}
	}
	return err
}

func limit(v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return 0, fault.Field("limit", "must be a number, 0 or more")
	}
	return min(n, pageMost), nil
}

func truth(name, v string) (bool, error) {
	switch strings.ToLower(v) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fault.Field(name, "must be true or false")
}

func number(name, v string) (int64, error) {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 {
		return 0, fault.Field(name, "must be a number, 0 or more")
	}
	return n, nil
}

// moment reads OPERATOR:TIME; no operator is eq.
func moment(name, v string) (image.Time, error) {
	t := image.Time{Column: name, Compare: "eq"}
	if op, rest, ok := strings.Cut(v, ":"); ok && slices.Contains([]string{"gt", "gte", "lt", "lte", "eq", "neq"}, op) {
		t.Compare, v = op, rest
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
		var err error
		if t.At, err = time.Parse(layout, v); err == nil && t.At.Year() > 0 {
			return t, nil
		}
	}
	return t, fault.Field(name, "must be a time such as 2026-01-31T12:00:00Z, or OPERATOR:TIME with gt, gte, lt, lte, eq or neq")
}

// oneOf reads a value, or "in:" and several with commas between them; a value with a comma in it has quotation marks around it.
func oneOf(name, v string) ([]string, error) {
	rest, several := strings.CutPrefix(v, "in:")
	if !several {
		return []string{v}, nil
	}
	var out []string
	for more := true; more; {
		var one string
		if quoted, ok := strings.CutPrefix(rest, `"`); ok {
			if one, rest, ok = strings.Cut(quoted, `"`); !ok {
				return nil, fault.Field(name, "a quotation mark is not closed")
			}
			if rest, more = strings.CutPrefix(rest, ","); !more && rest != "" {
				return nil, fault.Field(name, "there must be a comma behind a value in quotation marks")
			}
		} else {
			one, rest, more = strings.Cut(rest, ",")
		}
		if out = append(out, one); len(out) > mostIn {
			return nil, fault.Field(name, "at most %d values are possible", mostIn)
		}
	}
	return out, nil
}

// sorts reads sort=KEY[:DIRECTION],… or the older sort_key and sort_dir, of which there may be several. Directions are
// descending unless it is said otherwise.
func sorts(values url.Values) ([]image.Order, error) {
	keys, dirs := values["sort_key"], values["sort_dir"]
	if sort := values.Get("sort"); sort != "" {
		if len(keys)+len(dirs) > 0 {
			return nil, fault.Field("sort", "Old and new sorting syntax cannot be combined")
		}
		for one := range strings.SplitSeq(sort, ",") {
			key, dir, ok := strings.Cut(strings.TrimSpace(one), ":")
			if !ok {
				dir = "desc"
			}
			keys, dirs = append(keys, key), append(dirs, dir)
		}
	}
	if len(keys) > mostSorts {
		return nil, fault.Field("sort", "at most %d keys are possible", mostSorts)
	}
	if len(keys) == 0 && len(dirs) == 1 {
		keys = []string{"created_at"}
	}
	if len(dirs) > 1 && len(dirs) != len(keys) || len(dirs) > len(keys) {
		return nil, fault.Field("sort_dir", "Number of sort dirs does not match the number of sort keys")
	}
	var out []image.Order
	for i, key := range keys {
		dir := "desc"
		if len(dirs) > 0 {
			dir = dirs[min(i, len(dirs)-1)]
		}
		if dir != "asc" && dir != "desc" {
			return nil, fault.Field("sort_dir", "Invalid sort direction: %.40s; possible: asc, desc", dir)
		}
		out = append(out, image.Order{By: strings.TrimSpace(key), Descending: dir == "desc"})
	}
	return out, nil
}
