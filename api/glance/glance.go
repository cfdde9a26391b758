// Package glance speaks OpenStack Image v2 for the image registry.
package glance

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
)

// Prefix is where the service lives.
const Prefix = "/image"

type glance struct{ *image.Service }

// Dialect makes the dialect.
func Dialect(s *image.Service) api.Dialect {
	g := &glance{s}
	return api.Dialect{Prefix: Prefix, Error: Error, Routes: []api.Route{
		{"GET", "", api.Anyone, g.versions},
		{"GET", "/versions", api.Anyone, g.versions},
		{"GET", "/v2", api.Anyone, g.versions},
		{"GET", "/v2/images", api.Readers, g.list},
		{"POST", "/v2/images", api.Members, g.create},
		{"GET", "/v2/images/{id}", api.Readers, g.show},
		{"PATCH", "/v2/images/{id}", api.Members, g.patch},
		{"DELETE", "/v2/images/{id}", api.Members, g.delete},
		{"PUT", "/v2/images/{id}/file", api.Members, g.upload},
		{"GET", "/v2/images/{id}/file", api.Readers, g.download},
		{"PUT", "/v2/images/{id}/tags/{tag}", api.Members, g.tag},
		{"DELETE", "/v2/images/{id}/tags/{tag}", api.Members, g.untag},
		{"GET", "/v2/schemas/image", api.Anyone, g.schema},
	}}
}

// Error answers in Glance's form, which clients show as it is.
func Error(w http.ResponseWriter, status int, err error) {
	_ = api.JSON(w, status, api.Object{"message": fault.Message(err), "code": fmt.Sprintf("%d %s", status, http.StatusText(status)), "title": http.StatusText(status)})
}

func (g *glance) versions(w http.ResponseWriter, r *api.Request) error {
	out := []api.Object{}
	for _, id := range []string{"v2.9", "v2.7", "v2.5", "v2.3", "v2.2", "v2.1", "v2.0"} {
		status := "SUPPORTED"
		if len(out) == 0 {
			status = "CURRENT"
		}
		out = append(out, api.Object{"id": id, "status": status, "links": []api.Object{{"rel": "self", "href": api.BaseURL(r.Request) + Prefix + "/v2/"}}})
	}
	status := http.StatusMultipleChoices
	if r.URL.Path == Prefix+"/versions" {
		status = http.StatusOK
	}
	return api.JSON(w, status, api.Object{"versions": out})
}

// project is whose images the caller may use: an operator may use all.
func project(r *api.Request) string {
	if r.Caller.Operator() {
		return ""
	}
	return r.Caller.ProjectID()
}

// own returns an image that the caller may change.
func (g *glance) own(r *api.Request) (image.Image, error) {
	i, err := g.Get(r.Context(), project(r), r.PathValue("id"))
	if err != nil {
		return i, err
	}
	if i.Owner != r.Caller.ProjectID() && !r.Caller.Operator() {
		return i, fault.Errorf(fault.Denied, "the image belongs to another project")
	}
	return i, nil
}

func doc(i image.Image) api.Object {
	d := api.Object{}
	for k, v := range i.Properties {
		d[k] = v
	}
	var size, virtual, checksum, algo, sum any
	if i.Status == image.Active {
		size, virtual, checksum, algo, sum = i.Size, i.RawSize, i.Checksum, "sha512", i.SHA512
	}
	tags := i.Tags
	if tags == nil {
		tags = []string{}
	}
	fixed := api.Object{"id": i.ID, "name": i.Name, "owner": i.Owner, "status": i.Status, "visibility": i.Visibility, "protected": i.Protected,
		"os_hidden": i.Hidden, "min_disk": i.MinDisk, "min_ram": i.MinRAM, "tags": tags, "disk_format": orNull(i.DiskFormat),
		"container_format": orNull(i.ContainerFormat), "size": size, "virtual_size": virtual, "checksum": checksum, "os_hash_algo": algo,
		"os_hash_value": sum, "created_at": api.Time(i.CreatedAt), "updated_at": api.Time(i.UpdatedAt), "self": "/v2/images/" + i.ID,
		"file": "/v2/images/" + i.ID + "/file", "schema": "/v2/schemas/image"}
	for k, v := range fixed {
		d[k] = v
	}
	return d
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

const (
	pageDefault = 100
	pageMost    = 1000
)

func (g *glance) list(w http.ResponseWriter, r *api.Request) error {
	all, err := g.List(r.Context(), project(r))
	if err != nil {
		return err
	}
	q := r.URL.Query()
	limit := pageDefault
	if v := q.Get("limit"); v != "" {
		if limit, err = strconv.Atoi(v); err != nil || limit < 0 {
			return fault.Field("limit", "must be a number, 0 or more")
		}
		limit = min(limit, pageMost)
	}
	filters := map[string]string{"name": q.Get("name"), "status": q.Get("status"), "visibility": q.Get("visibility"), "owner": q.Get("owner"),
		"disk_format": q.Get("disk_format"), "container_format": q.Get("container_format"), "id": strings.TrimPrefix(q.Get("id"), "in:")}
	page, past := []api.Object{}, q.Get("marker") == ""
	next := ""
	for _, i := range all {
		if !past {
			past = i.ID == q.Get("marker")
			continue
		}
		if i.Hidden != (q.Get("os_hidden") == "true" || q.Get("os_hidden") == "True") || !fits(i, filters) || !hasTags(i, q["tag"]) {
			continue
		}
		if len(page) == limit {
			q.Set("marker", page[len(page)-1]["id"].(string))
			next = "/v2/images?" + q.Encode()
			break
		}
		page = append(page, doc(i))
	}
	if !past {
		return fault.Field("marker", "no image %q", q.Get("marker"))
	}
	out := api.Object{"images": page, "schema": "/v2/schemas/images", "first": "/v2/images"}
	if next != "" {
		out["next"] = next
	}
	return api.JSON(w, http.StatusOK, out)
}

func fits(i image.Image, filters map[string]string) bool {
	have := map[string]string{"name": i.Name, "status": string(i.Status), "visibility": i.Visibility, "owner": i.Owner,
		"disk_format": i.DiskFormat, "container_format": i.ContainerFormat, "id": i.ID}
	for k, want := range filters {
		if want != "" && want != have[k] && !(k == "visibility" && want == "all") && !(k == "id" && slices.Contains(strings.Split(want, ","), i.ID)) {
			return false
		}
	}
	return true
}

func hasTags(i image.Image, want []string) bool {
	return !slices.ContainsFunc(want, func(t string) bool { return !slices.Contains(i.Tags, t) })
}

func (g *glance) show(w http.ResponseWriter, r *api.Request) error {
	i, err := g.Get(r.Context(), project(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, doc(i))
}

func (g *glance) create(w http.ResponseWriter, r *api.Request) error {
	var body map[string]json.RawMessage
	if err := api.Decode(w, r, &body); err != nil {
		return err
	}
	i := image.Image{Owner: r.Caller.ProjectID(), Visibility: image.Shared, Properties: map[string]string{}}
	for field, raw := range body {
		if field == "id" {
			if err := text(field, raw, &i.ID); err != nil {
				return err
			}
			continue
		}
		if err := change(r, &i, field, raw); err != nil {
			return err
		}
	}
	i, err := g.Create(r.Context(), i)
	if err != nil {
		return err
	}
	w.Header().Set("Location", api.BaseURL(r.Request)+Prefix+"/v2/images/"+i.ID)
	return api.JSON(w, http.StatusCreated, doc(i))
}

func (g *glance) delete(w http.ResponseWriter, r *api.Request) error {
	i, err := g.own(r)
	if err != nil {
		return err
	}
	return api.Gone(w, g.Delete(r.Context(), i))
}

func (g *glance) upload(w http.ResponseWriter, r *api.Request) error {
	i, err := g.own(r)
	if err != nil {
		return err
	}
	if ct := r.Header.Get("Content-Type"); ct != "" && !strings.HasPrefix(ct, "application/octet-stream") {
		return fault.Errorf(fault.Invalid, "the data must be sent as application/octet-stream, not %s", ct)
	}
	return api.Gone(w, g.Upload(r.Context(), i, r.Body))
}

func (g *glance) download(w http.ResponseWriter, r *api.Request) error {
	i, err := g.Get(r.Context(), project(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	if i.Status != image.Active {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	f, err := g.Data(i)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Md5", i.Checksum)
	w.Header().Set("Content-Length", fmt.Sprint(i.Size))
	w.WriteHeader(http.StatusOK)
	_, _ = io.Copy(w, f) // the client sees a short body
	return nil
}

func (g *glance) tag(w http.ResponseWriter, r *api.Request) error {
	return g.retag(w, r, func(tags []string, t string) []string {
		if slices.Contains(tags, t) {
			return tags
		}
		return append(tags, t)
	})
}

func (g *glance) untag(w http.ResponseWriter, r *api.Request) error {
	return g.retag(w, r, func(tags []string, t string) []string {
		return slices.DeleteFunc(tags, func(have string) bool { return have == t })
	})
}

func (g *glance) retag(w http.ResponseWriter, r *api.Request, how func(tags []string, t string) []string) error {
	i, err := g.own(r)
	if err != nil {
		return err
	}
	i.Tags = how(i.Tags, r.PathValue("tag"))
	_, err = g.Update(r.Context(), i)
	return api.Gone(w, err)
}

// schema is what glance's own client reads before anything else; other properties are strings.
func (g *glance) schema(w http.ResponseWriter, _ *api.Request) error {
	props := api.Object{}
	for _, name := range []string{"id", "name", "status", "visibility", "owner", "checksum", "os_hash_algo", "os_hash_value", "disk_format",
		"container_format", "created_at", "updated_at", "self", "file", "schema"} {
		props[name] = api.Object{"type": []string{"null", "string"}}
	}
	for _, name := range []string{"size", "virtual_size", "min_disk", "min_ram"} {
		props[name] = api.Object{"type": []string{"null", "integer"}}
	}
	for _, name := range []string{"protected", "os_hidden"} {
		props[name] = api.Object{"type": "boolean"}
	}
	props["tags"] = api.Object{"type": "array", "items": api.Object{"type": "string"}}
	return api.JSON(w, http.StatusOK, api.Object{"name": "image", "properties": props, "additionalProperties": api.Object{"type": "string"}})
}
