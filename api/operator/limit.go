package operator

import (
	"net/http"
	"time"

	"github.com/hagane-cloud/hagane/api"
)

// Limit is how many runs something bears at once, and how many there are.
type Limit struct {
	Pool    string `json:"pool"`
	Key     string `json:"key"`     // which of the pool's; "" is each that has no limit of its own
	Most    int    `json:"most"`    // -1 is no limit, 0 lets nobody begin
	Default int    `json:"default"` // what it is when nobody sets it
	Set     bool   `json:"set"`     // somebody set it, for this key or for the whole pool
	AtWork  int    `json:"at_work"`
	InLine  int    `json:"in_line"`
	Since   any    `json:"in_line_since"` // when the first of those in line asked
	Limits  string `json:"limits"`        // what, for people
}

func (o *operator) limits(w http.ResponseWriter, r *api.Request) error {
	all, err := o.nodes.Limits(r.Context())
	if err != nil {
		return err
	}
	docs := []Limit{}
	for _, c := range all {
		d := Limit{Pool: c.Pool, Key: c.Key, Most: c.Most, Default: c.Default, Set: c.Set, AtWork: c.Granted, InLine: c.Waiting, Limits: c.Says}
		if c.Oldest > 0 {
			d.Since = api.Time(time.UnixMilli(c.Oldest).UTC())
		}
		docs = append(docs, d)
	}
	return api.JSON(w, http.StatusOK, api.Object{"limits": docs})
}

// Limiting sets a limit: of one key, or, without one, of all of the pool that have none of their own.
type Limiting struct {
	Key  string `json:"key,omitempty"`
	Most *int   `json:"most"` // -1 is no limit, 0 lets nobody begin, null takes back what was set
}

func (o *operator) setLimit(w http.ResponseWriter, r *api.Request) error {
	var b Limiting
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	if err := o.nodes.SetLimit(r.Context(), r.PathValue("pool"), b.Key, b.Most); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
