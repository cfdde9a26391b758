package neutron

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

// kind is how one kind of thing T is served, whose attributes a client gives as B.
type kind[T, B any] struct {
	one, many string // its names in documents
	doc       func(r *api.Request, v T) api.Object
	list      func(ctx context.Context, o network.Owner, w network.Query) ([]T, error)
	get       func(ctx context.Context, o network.Owner, id string) (T, error)
	create    func(r *api.Request, bodies []B) ([]T, error)
	update    func(r *api.Request, id string, rev int64, body B) (T, error)
	remove    func(ctx context.Context, o network.Owner, id string, rev int64) error
	readOnly  string // attributes of its documents that no client sets, by spaces
}

// all lists.
func (k kind[T, B]) all(w http.ResponseWriter, r *api.Request) error {
	q, err := query(r)
	if err != nil {
		return err
	}
	found, err := k.list(r.Context(), owner(r), q)
	if err != nil {
		return err
	}
	docs := make([]api.Object, len(found))
	ids := make([]string, len(found))
	for i, v := range found {
		docs[i] = k.doc(r, v)
		ids[i], _ = docs[i]["id"].(string)
		docs[i] = pick(docs[i], r.URL.Query()["fields"])
	}
	out := api.Object{k.many: docs}
	if links := pageLinks(r, q, ids); links != nil {
		out[k.many+"_links"] = links
	}
	return api.JSON(w, http.StatusOK, out)
}

// make creates one, or several at once.
func (k kind[T, B]) make(w http.ResponseWriter, r *api.Request) error {
	var doc map[string]json.RawMessage
	if err := api.Decode(w, r, &doc); err != nil {
		return err
	}
	raws := []json.RawMessage{doc[k.one]}
	many, bulk := doc[k.many]
	if bulk {
		if err := api.Redecode(many, &raws); err != nil || len(raws) == 0 {
			return fault.Field(k.many, "must be a list of one at least")
		}
	}
	if err := only(doc, k.one, k.many); err != nil {
		return err
	}
	bodies := make([]B, len(raws))
	for i, raw := range raws {
		if err := k.decode(r, raw, &bodies[i]); err != nil {
			return err
		}
	}
	made, err := k.create(r, bodies)
	if err != nil {
		return err
	}
	docs := make([]api.Object, len(made))
	for i, v := range made {
		docs[i] = k.doc(r, v)
	}
	if bulk {
		return api.JSON(w, http.StatusCreated, api.Object{k.many: docs})
	}
	return api.JSON(w, http.StatusCreated, api.Object{k.one: docs[0]})
}

func (k kind[T, B]) show(w http.ResponseWriter, r *api.Request) error {
	v, err := k.get(r.Context(), owner(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{k.one: pick(k.doc(r, v), r.URL.Query()["fields"])})
}

func (k kind[T, B]) change(w http.ResponseWriter, r *api.Request) error {
	var doc map[string]json.RawMessage
	if err := api.Decode(w, r, &doc); err != nil {
		return err
	}
	if err := only(doc, k.one); err != nil {
		return err
	}
	var body B
	if err := k.decode(r, doc[k.one], &body); err != nil {
		return err
	}
	rev, err := revision(r)
	if err != nil {
		return err
	}
	v, err := k.update(r, r.PathValue("id"), rev, body)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{k.one: k.doc(r, v)})
}

func (k kind[T, B]) forget(w http.ResponseWriter, r *api.Request) error {
	rev, err := revision(r)
	if err != nil {
		return err
	}
	return api.Gone(w, k.remove(r.Context(), owner(r), r.PathValue("id"), rev))
}

// revision reads the header "If-Match: revision_number=N"; 0 is any.
func revision(r *api.Request) (int64, error) {
	h := r.Header.Get("If-Match")
	if h == "" {
		return 0, nil
	}
	number, ok := strings.CutPrefix(h, "revision_number=")
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if !ok || err != nil || n < 1 {
		return 0, fault.Field("If-Match", "the header If-Match must be revision_number=N")
	}
	return n, nil
}

// pick is a document with the fields asked for, or all.
func pick(d api.Object, fields []string) api.Object {
	if len(fields) == 0 {
		return d
	}
	out := api.Object{}
	for _, f := range fields {
		if v, ok := d[f]; ok {
			out[f] = v
		}
	}
	return out
}

// orEmpty is a list that is never null.
func orEmpty[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}

// orNull is null for an empty text.
func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}
