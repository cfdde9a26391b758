package ironic

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
)

// operation is one of a JSON patch (RFC 6902). Paths lead through objects, not into lists.
type operation struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value"`
}

// patch applies the request's JSON patch to doc and decodes the result into v, strictly.
func patch(w http.ResponseWriter, r *api.Request, doc api.Object, v any) error {
	_, err := patchNoting(w, r, doc, v)
	return err
}

// patchNoting is patch, and returns the fields that were touched.
func patchNoting(w http.ResponseWriter, r *api.Request, doc api.Object, v any) (touched []string, err error) {
	var ops []operation
	if err := api.Decode(w, r, &ops); err != nil {
		return nil, err
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	var tree raw
	if err := json.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	for _, op := range ops {
		if err := op.apply(tree); err != nil {
			return nil, err
		}
		field, _, _ := strings.Cut(strings.TrimPrefix(op.Path, "/"), "/")
		touched = append(touched, field)
	}
	dropInterfaces(tree)
	return touched, api.Redecode(tree, v)
}

// deepestPath is how many levels a path may have.
const deepestPath = 16

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

func (op operation) apply(tree raw) error {
	parts := strings.Split(strings.TrimPrefix(op.Path, "/"), "/")
	if !strings.HasPrefix(op.Path, "/") || parts[0] == "" || len(parts) > deepestPath {
		return fault.Field("path", "%q is not a path of 1 to %d levels", op.Path, deepestPath)
	}
	return op.under(tree, parts)
}

// under applies the operation to what parts lead to from m. An object on the way that is not there yet is made.
func (op operation) under(m raw, parts []string) error {
	key := unescape.Replace(parts[0])
	if len(parts) == 1 {
		return op.change(m, key)
	}
	inner := raw{}
	if have, ok := m[key]; ok && string(have) != "null" {
		if err := json.Unmarshal(have, &inner); err != nil {
			return fault.Field("path", "%q is no object", key)
		}
	}
	if err := op.under(inner, parts[1:]); err != nil {
		return err
	}
	text, err := json.Marshal(inner)
	m[key] = text
	return err
}

func (op operation) change(m raw, key string) error {
	_, there := m[key]
	switch op.Op {
	case "add", "replace":
		if op.Value == nil {
			return fault.Field("value", "the operation on %s has no value", op.Path)
		}
		m[key] = op.Value
	case "remove":
		if !there {
			return fault.Field("path", "there is nothing at %s to remove", op.Path)
		}
		delete(m, key)
	default:
		return fault.Field("op", "%q is not possible; possible: add, replace, remove", op.Op)
	}
	return nil
}
