// Package glance speaks OpenStack Image v2 for the image registry.
package glance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
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
		{"PUT", "/v2/images/{id}/stage", api.Members, g.stage},
		{"POST", "/v2/images/{id}/import", api.Members, g.bring},
		{"POST", "/v2/images/{id}/actions/deactivate", api.Members, g.deactivate},
		{"POST", "/v2/images/{id}/actions/reactivate", api.Members, g.reactivate},
		{"PUT", "/v2/images/{id}/tags/{tag}", api.Members, g.tag},
		{"DELETE", "/v2/images/{id}/tags/{tag}", api.Members, g.untag},
		{"GET", "/v2/images/{id}/members", api.Readers, g.members},
		{"POST", "/v2/images/{id}/members", api.Members, g.addMember},
		{"GET", "/v2/images/{id}/members/{member}", api.Readers, g.member},
		{"PUT", "/v2/images/{id}/members/{member}", api.Members, g.setMember},
		{"DELETE", "/v2/images/{id}/members/{member}", api.Members, g.removeMember},
		{"GET", "/v2/images/{id}/tasks", api.Readers, g.tasksOf},
		{"GET", "/v2/tasks", api.Readers, g.tasks},
		{"POST", "/v2/tasks", api.Operators, g.createTask},
		{"GET", "/v2/tasks/{id}", api.Readers, g.task},
		{"GET", "/v2/info/import", api.Readers, g.importInfo},
		{"GET", "/v2/info/stores", api.Readers, g.stores},
		{"GET", "/v2/info/usage", api.Readers, g.usage},
		{"GET", "/v2/schemas/image", api.Anyone, g.imageSchema},
		{"GET", "/v2/schemas/images", api.Anyone, g.imagesSchema},
		{"GET", "/v2/schemas/member", api.Anyone, g.memberSchema},
		{"GET", "/v2/schemas/members", api.Anyone, g.membersSchema},
		{"GET", "/v2/schemas/task", api.Anyone, g.taskSchema},
		{"GET", "/v2/schemas/tasks", api.Anyone, g.tasksSchema},
	}}
}

// Error answers in Glance's form, which clients show as it is.
func Error(w http.ResponseWriter, status int, err error) {
	_ = api.JSON(w, status, api.Object{"message": fault.Message(err), "code": fmt.Sprintf("%d %s", status, http.StatusText(status)), "title": http.StatusText(status)})
}

func (g *glance) versions(w http.ResponseWriter, r *api.Request) error {
	out := []api.Object{}
	for _, id := range []string{"v2.9", "v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0"} {
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
	i, err := newImage(r.Caller.ProjectID(), body)
	if err != nil {
		return err
	}
	if i, err = g.Create(r.Context(), project(r), i); err != nil {
		return err
	}
	w.Header().Set("Location", api.BaseURL(r.Request)+Prefix+"/v2/images/"+i.ID)
	w.Header().Set("Openstack-Image-Import-Methods", strings.Join(image.Methods, ","))
	w.Header().Set("Openstack-Image-Store-Ids", store)
	return api.JSON(w, http.StatusCreated, doc(i))
}

// newImage reads the image that a body describes.
func newImage(owner string, body map[string]json.RawMessage) (image.Image, error) {
	i := image.Image{Owner: owner, Visibility: image.Shared, Properties: image.Properties{}}
	for field, raw := range body {
		var err error
		if field == "id" {
			err = text(field, raw, &i.ID)
		} else {
			err = change(&i, field, raw)
		}
		if err != nil {
			return i, err
		}
	}
	return i, nil
}

func (g *glance) delete(w http.ResponseWriter, r *api.Request) error {
	return api.Gone(w, g.Delete(r.Context(), project(r), r.PathValue("id")))
}

func (g *glance) deactivate(w http.ResponseWriter, r *api.Request) error {
	return api.Gone(w, g.Activate(r.Context(), project(r), r.PathValue("id"), false))
}

func (g *glance) reactivate(w http.ResponseWriter, r *api.Request) error {
	return api.Gone(w, g.Activate(r.Context(), project(r), r.PathValue("id"), true))
}

func (g *glance) tag(w http.ResponseWriter, r *api.Request) error {
	return g.retag(w, r, func(tags image.Tags, t string) (image.Tags, error) { return append(tags, t), nil })
}

func (g *glance) untag(w http.ResponseWriter, r *api.Request) error {
	return g.retag(w, r, func(tags image.Tags, t string) (image.Tags, error) {
		if !slices.Contains(tags, t) {
			return nil, fault.Errorf(fault.NotFound, "the image has no tag %.64q", t)
		}
		return slices.DeleteFunc(tags, func(have string) bool { return have == t }), nil
	})
}

func (g *glance) retag(w http.ResponseWriter, r *api.Request, how func(tags image.Tags, t string) (image.Tags, error)) error {
	_, err := g.Update(r.Context(), project(r), r.PathValue("id"), func(i *image.Image) (err error) {
		i.Tags, err = how(i.Tags, r.PathValue("tag"))
		return err
	})
	return api.Gone(w, err)
}
