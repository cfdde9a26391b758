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

// readOnly are the fields that only we write.
var readOnly = []string{"id", "owner", "status", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value", "created_at", "updated_at",
	"self", "file", "schema", "direct_url", "locations", "stores"}

// operation is one of a JSON patch (RFC 6902, as Glance narrows it: one level deep).
type operation struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value"`
}

const patchType = "application/openstack-images-v2.1-json-patch"

func (g *glance) patch(w http.ResponseWriter, r *api.Request) error {
	if ct := r.Header.Get("Content-Type"); !strings.HasPrefix(ct, patchType) {
		return fault.Errorf(fault.Invalid, "the patch must be sent as %s, not %q", patchType, ct)
	}
	var ops []operation
	if err := api.Decode(w, r, &ops); err != nil {
		return err
	}
	i, err := g.own(r)
	if err != nil {
		return err
	}
	for _, op := range ops {
		if err := apply(r, &i, op); err != nil {
			return err
		}
	}
	if i, err = g.Update(r.Context(), i); err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, doc(i))
}

func apply(r *api.Request, i *image.Image, op operation) error {
	field := strings.NewReplacer("~1", "/", "~0", "~").Replace(strings.TrimPrefix(op.Path, "/"))
	_, custom := i.Properties[field]
	switch op.Op {
	case "remove":
		if !custom {
			return fault.Field(field, "can not be removed")
		}
		delete(i.Properties, field)
		return nil
	case "replace":
		if !custom && !known(field) {
			return fault.Errorf(fault.Conflict, "the image has no property %q to replace", field)
		}
	case "add":
	default:
		return fault.Field("op", "%q is not possible; possible: add, replace, remove", op.Op)
	}
	return change(r, i, field, op.Value)
}

func known(field string) bool {
	return slices.Contains([]string{"name", "disk_format", "container_format", "visibility", "protected", "os_hidden", "min_disk", "min_ram", "tags"}, field)
}

// change sets one field of an image.
func change(r *api.Request, i *image.Image, field string, raw json.RawMessage) error {
	if i.Properties == nil {
		i.Properties = map[string]string{}
	}
	switch field {
	case "name":
		return text(field, raw, &i.Name)
	case "disk_format":
		return text(field, raw, &i.DiskFormat)
	case "container_format":
		return text(field, raw, &i.ContainerFormat)
	case "visibility":
		if err := text(field, raw, &i.Visibility); err != nil {
			return err
		}
		if i.Visibility == image.Public && !r.Caller.Operator() {
			return fault.Errorf(fault.Denied, "only an operator may make an image public")
		}
		return nil
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
	if slices.Contains(readOnly, field) {
		return fault.E(fault.Denied, "the field "+field+" is read-only", nil)
	}
	const longest = 255
	var v string
	if err := text(field, raw, &v); err != nil {
		return err
	}
	if field == "" || len(field) > longest || len(v) > 64<<10 {
		return fault.Field(field, "is too long")
	}
	i.Properties[field] = v
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

func into(field string, raw json.RawMessage, dst any, what string) error {
	if err := json.Unmarshal(raw, dst); err != nil {
		return fault.Field(field, "the field %q must be %s", field, what)
	}
	return nil
}
