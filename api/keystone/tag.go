package keystone

import (
	"net/http"
	"slices"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

func tagsDoc(tags []string) api.Object {
	if tags == nil {
		tags = []string{}
	}
	return api.Object{"tags": tags}
}

func (k *keystone) tags(w http.ResponseWriter, r *api.Request) error {
	p, err := k.seenProject(r)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, tagsDoc(p.Tags))
}

func (k *keystone) hasTag(w http.ResponseWriter, r *api.Request) error {
	p, err := k.seenProject(r)
	if err == nil && !slices.Contains(p.Tags, r.PathValue("tag")) {
		err = fault.Errorf(fault.NotFound, "the project has no tag %q", r.PathValue("tag"))
	}
	return api.Gone(w, err)
}

// retag changes the tags of the path's project.
func (k *keystone) retag(r *api.Request, change func(tags []string) []string) (identity.Project, error) {
	p, err := k.managedProject(r)
	if err != nil {
		return p, err
	}
	p.Tags = change(p.Tags)
	return p, k.UpdateProject(r.Context(), p)
}

func (k *keystone) setTags(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Tags []string `json:"tags"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	p, err := k.retag(r, func([]string) []string { return b.Tags })
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, tagsDoc(p.Tags))
}

func (k *keystone) clearTags(w http.ResponseWriter, r *api.Request) error {
	_, err := k.retag(r, func([]string) []string { return nil })
	return api.Gone(w, err)
}

func (k *keystone) addTag(w http.ResponseWriter, r *api.Request) error {
	tag := r.PathValue("tag")
	_, err := k.retag(r, func(tags []string) []string {
		if slices.Contains(tags, tag) {
			return tags
		}
		return append(tags, tag)
	})
	if err == nil {
		w.WriteHeader(http.StatusCreated)
	}
	return err
}

func (k *keystone) removeTag(w http.ResponseWriter, r *api.Request) error {
	tag := r.PathValue("tag")
	if p, err := k.seenProject(r); err == nil && !slices.Contains(p.Tags, tag) {
		return fault.Errorf(fault.NotFound, "the project has no tag %q", tag)
	}
	_, err := k.retag(r, func(tags []string) []string { return slices.DeleteFunc(tags, func(t string) bool { return t == tag }) })
	return api.Gone(w, err)
}
