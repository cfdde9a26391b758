package ironic

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

// page reads limit and marker; one more than asked for is read, which tells whether there is a next page.
func page(r *api.Request) (node.Page, error) {
	q := r.URL.Query()
	p := node.Page{Marker: q.Get("marker"), Limit: pageMost}
	if v := q.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			return p, fault.Field("limit", "must be a number, 0 or more")
		}
		if n > 0 {
			p.Limit = min(n, pageMost)
		}
	}
	p.Limit++
	return p, nil
}

// listed answers with a page of records, each shown by doc, short unless details or fields are asked for.
func listed[T any](w http.ResponseWriter, r *api.Request, name string, p node.Page, all []T, short []string, doc func(r *api.Request, one T) api.Object) error {
	more := len(all) == p.Limit
	if more {
		all = all[:p.Limit-1]
	}
	fields := fieldsOf(r)
	detail, err := boolOf(r, "detail")
	if err != nil {
		return err
	}
	if strings.HasSuffix(r.URL.Path, "/detail") || (detail != nil && *detail) {
		if len(fields) > 0 {
			return fault.Field("fields", "can not be given together with detail")
		}
	} else if len(fields) == 0 {
		fields = short
	}
	docs, last := []api.Object{}, ""
	for _, one := range all {
		d := doc(r, one)
		last = fmt.Sprint(d["uuid"])
		if d, err = pick(d, fields); err != nil {
			return err
		}
		docs = append(docs, d)
	}
	out := api.Object{name: docs}
	if more {
		q := r.URL.Query()
		q.Set("marker", last)
		out["next"] = api.BaseURL(r.Request) + r.URL.Path + "?" + q.Encode()
	}
	return api.JSON(w, http.StatusOK, out)
}

// shown answers with one document, narrowed to the fields that were asked for.
func shown(w http.ResponseWriter, r *api.Request, status int, d api.Object) error {
	fields := fieldsOf(r)
	if status == http.StatusCreated {
		w.Header().Set("Location", api.BaseURL(r.Request)+r.URL.Path+"/"+fmt.Sprint(d["uuid"]))
		fields = nil
	}
	d, err := pick(d, fields)
	if err != nil {
		return err
	}
	return api.JSON(w, status, d)
}

// nodeID turns the name or UUID of a node that a query or body gives into its UUID; "" stays.
func (i *ironic) nodeID(r *api.Request, ref string) (node.ID, error) {
	if ref == "" {
		return "", nil
	}
	n, err := i.Get(r.Context(), ref)
	if err != nil {
		return "", err
	}
	return n.ID, nil
}
