package glance

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
)

// base are the attributes that clients set, but never remove.
var base = []string{"name", "owner", "disk_format", "container_format", "visibility", "protected", "os_hidden", "min_disk", "min_ram", "tags"}

// readOnly are the attributes that only we write. Locations are not exposed.
var readOnly = []string{"id", "status", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value", "created_at", "updated_at",
	"self", "file", "schema", "direct_url", "locations", "stores"}

// withheld are names that mean something to Glance itself.
var withheld = []string{"location", "deleted", "deleted_at"}

// operation is one of a JSON patch: as RFC 6902 has it, or in the older form {"replace": PATH, "value": V}.
type operation struct {
	Op      string          `json:"op,omitempty"`
	Path    string          `json:"path,omitempty"`
	Value   json.RawMessage `json:"value,omitempty"`
	Add     *string         `json:"add,omitempty"`
	Replace *string         `json:"replace,omitempty"`
	Remove  *string         `json:"remove,omitempty"`
}

const (
	patchType    = "application/openstack-images-v2.1-json-patch"
	oldPatchType = "application/openstack-images-v2.0-json-patch"
)

func (g *glance) patch(w http.ResponseWriter, r *api.Request) error {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if kind != patchType && kind != oldPatchType {
		w.Header().Set("Accept-Patch", patchType+", "+oldPatchType)
		return fault.E(fault.BadMedia, "the patch must be sent as "+patchType, nil)
	}
	var ops []operation
	if err := api.Decode(w, r, &ops); err != nil {
		return err
	}
	i, err := g.Update(r.Context(), project(r), r.PathValue("id"), func(i *image.Image) error {
		return apply(i, ops, kind == oldPatchType)
	})
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, doc(i))
}

// apply carries a patch out on an image.
func apply(i *image.Image, ops []operation, old bool) error {
	for _, op := range ops {
		if old {
			if err := op.renew(); err != nil {
				return err
			}
		}
		if err := op.apply(i, old); err != nil {
			return err
		}
	}
	return nil
}

// renew turns an operation of the older form into one of the newer.
func (op *operation) renew() error {
	var found int
	for name, path := range map[string]*string{"add": op.Add, "replace": op.Replace, "remove": op.Remove} {
		if path != nil {
			op.Op, op.Path, found = name, *path, found+1
		}
	}
	if found != 1 {
		return fault.Field("op", "Operation objects must contain exactly one member named add, remove, or replace.")
	}
	op.Add, op.Replace, op.Remove = nil, nil, nil
	return nil
}

func (op operation) apply(i *image.Image, old bool) error {
	if op.Add != nil || op.Replace != nil || op.Remove != nil {
		return fault.Field("op", "the operation must be given as op and path")
	}
	if !slices.Contains([]string{"add", "replace", "remove"}, op.Op) {
		return fault.Field("op", "%.40q is not possible; possible: add, replace, remove", op.Op)
	}
	field, err := pointed(op.Path)
	if err != nil {
		return err
	}
	if err := writable(field); err != nil {
		return err
	}
	_, custom := i.Properties[field]
	own := slices.Contains(base, field)
	switch {
	case op.Op == "remove" && own:
		return fault.Errorf(fault.Denied, "Property %s may not be removed.", field)
	case op.Op != "add" && !own && !custom:
		return fault.Errorf(fault.Conflict, "Property %.255s does not exist.", field)
	case op.Op == "remove":
		delete(i.Properties, field)
		return nil
	case op.Op == "add" && old && (own || custom):
		return fault.Errorf(fault.Conflict, "Property %.255s already present.", field)
	case op.Value == nil:
		return fault.Field("value", "Operation %q requires a member named value.", op.Op)
	}
	return change(i, field, op.Value)
}

// pointed returns the attribute that a JSON pointer names. None goes deeper than an image's own attributes.
func pointed(path string) (string, error) {
	name, ok := strings.CutPrefix(path, "/")
	if !ok || name == "" || strings.Contains(name, "/") || strings.Contains(strings.NewReplacer("~0", "", "~1", "").Replace(name), "~") {
		return "", fault.Field("path", "Invalid JSON pointer for this resource: %.255q", path)
	}
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(name), nil
}

func writable(field string) error {
	switch {
	case slices.Contains(readOnly, field):
		return fault.Errorf(fault.Denied, "Attribute '%s' is read-only.", field)
	case slices.Contains(withheld, field):
		return fault.Errorf(fault.Denied, "Attribute '%s' is reserved.", field)
	}
	return nil
}

// change sets one attribute of an image.
func change(i *image.Image, field string, raw json.RawMessage) error {
	switch field {
	case "name":
		return text(field, raw, &i.Name)
	case "owner":
		return text(field, raw, &i.Owner)
	case "disk_format":
		return text(field, raw, &i.DiskFormat)
	case "container_format":
		return text(field, raw, &i.ContainerFormat)
	case "visibility":
		return text(field, raw, &i.Visibility)
	case "protected":
		return into(field, raw, &i.Protected, "true or false")
	case "os_hidden":
		return into(field, raw, &i.Hidden, "true or false")
	case "min_disk":
		return into(field, raw, &i.MinDisk, "a number")
	case "min_ram":
		return into(field, raw, &i.MinRAM, "a number")
	case "tags":
		return into(field, raw, &i.Tags, "a list of strings")
	}
	if err := writable(field); err != nil {
		return err
	}
	var v *string
	if err := into(field, raw, &v, "a string"); err != nil {
		return err
	}
	if v == nil {
		return fault.Field(field, "the property %.64q must be a string, not null", field)
	}
	i.Properties[field] = *v
	return nil
}

// text reads a string or null.
func text(field string, raw json.RawMessage, dst *string) error {
	var v *string
	if err := into(field, raw, &v, "a string"); err != nil {
		return err
	}
	*dst = ""
	if v != nil {
		*dst = *v
	}
	return nil
}

// into reads a value of a type anew: nothing is left of what was there.
func into[T any](field string, raw json.RawMessage, dst *T, what string) error {
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		return fault.Field(field, "the field %.64q must be %s", field, what)
	}
	*dst = v
	return nil
}
