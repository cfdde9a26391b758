package keystone

import (
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

// take decodes the object of a name in a body into a struct. Keystone keeps what clients send beyond the fields that it knows, and so
// do we: take returns it.
func take(w http.ResponseWriter, r *api.Request, name string, dst any) (identity.Extra, error) {
	var body map[string]map[string]any
	if err := api.Decode(w, r, &body); err != nil {
		return nil, err
	}
	doc, ok := body[name]
	if !ok || len(body) != 1 {
		return nil, fault.Field(name, "the body must be an object with the one field %q", name)
	}
	known, extra := api.Object{}, identity.Extra{}
	t := reflect.TypeOf(dst).Elem()
	for field, v := range doc {
		if slices.ContainsFunc(reflect.VisibleFields(t), func(f reflect.StructField) bool { return f.Tag.Get("json") == field }) {
			known[field] = v
		} else if field != "id" && field != "links" {
			extra[field] = v
		}
	}
	return extra, api.Redecode(known, dst)
}

// merged returns attributes with what a request changes of them; null takes one away.
func merged(have, given identity.Extra) identity.Extra {
	out := identity.Extra{}
	maps.Copy(out, have)
	for k, v := range given {
		if v == nil {
			delete(out, k)
			continue
		}
		out[k] = v
	}
	return out
}

// with returns a document of own fields and what a client keeps beside them.
func with(extra identity.Extra, own api.Object) api.Object {
	doc := api.Object{}
	maps.Copy(doc, extra)
	maps.Copy(doc, own)
	return doc
}

// orNull is a value, or null where there is none.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// orNone is a map that is never null.
func orNone(m identity.Extra) identity.Extra {
	if m == nil {
		return identity.Extra{}
	}
	return m
}

// self is the links of a thing.
func self(r *api.Request, parts ...string) api.Object {
	return api.Object{"self": api.BaseURL(r.Request) + Prefix + "/v3/" + strings.Join(parts, "/")}
}

// show answers with one thing, unless there is an error.
func show[T any](w http.ResponseWriter, r *api.Request, status int, name string, v T, err error, doc func(*api.Request, T) api.Object) error {
	if err != nil {
		return err
	}
	return api.JSON(w, status, api.Object{name: doc(r, v)})
}

// list answers with a collection in Keystone's form, unless there is an error.
func list[T any](w http.ResponseWriter, r *api.Request, name string, items []T, err error, doc func(*api.Request, T) api.Object) error {
	return listTo(w, r, name, items, err, doc, nil)
}

// page is list for what query pages: when a page was asked for and is full, links.next is the next one.
func page[T any](w http.ResponseWriter, r *api.Request, name string, items []T, err error, doc func(*api.Request, T) api.Object) error {
	limit, _ := pageSize(r.URL.Query()) // a bad one was refused with the query
	if err != nil || limit == 0 || len(items) < limit {
		return list(w, r, name, items, err, doc)
	}
	q := r.URL.Query()
	q.Set("marker", doc(r, items[len(items)-1])["id"].(string))
	return listTo(w, r, name, items, nil, doc, api.BaseURL(r.Request)+r.URL.Path+"?"+q.Encode())
}

func listTo[T any](w http.ResponseWriter, r *api.Request, name string, items []T, err error, doc func(*api.Request, T) api.Object, next any) error {
	if err != nil {
		return err
	}
	out := make([]api.Object, 0, len(items))
	for _, i := range items {
		out = append(out, doc(r, i))
	}
	return api.JSON(w, http.StatusOK, api.Object{name: out, "links": api.Object{"self": api.BaseURL(r.Request) + r.URL.Path, "previous": nil, "next": next}})
}

// longestPage bounds a page that was asked for.
const longestPage = 1000

func pageSize(q url.Values) (int, error) {
	if !q.Has("limit") {
		return 0, nil
	}
	n, err := strconv.Atoi(q.Get("limit"))
	if err != nil || n < 1 {
		return 0, fault.Field("limit", "must be a number from 1")
	}
	return min(n, longestPage), nil
}

// query reads the filters that a list knows, each "FIELD" or, for truth values, "FIELD?"; for text also Keystone's comparisons (name__contains).
// Filters that it does not know select nothing away, as in Keystone.
func query(r *api.Request, fields ...string) (identity.Query, error) {
	values := r.URL.Query()
	limit, err := pageSize(values)
	q := identity.Query{Marker: values.Get("marker"), Limit: limit}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		field, op, _ := strings.Cut(key, "__")
		value := values.Get(key)
		switch {
		case op == "" && slices.Contains(fields, field+"?"):
			q = q.And(field, isTrue(value))
		case slices.Contains(fields, field) && (op == "" || identity.Comparison(op)):
			q.Where = append(q.Where, identity.Cond{Column: field, Op: op, Value: value})
		}
	}
	return q, err
}

// isTrue reads a truth value of a query: everything but 0 and false is true, nothing too.
func isTrue(s string) bool { return s != "0" && !strings.EqualFold(s, "false") }

// asked reports whether a query has a flag that is not false.
func asked(q url.Values, flag string) bool { return q.Has(flag) && isTrue(q.Get(flag)) }
