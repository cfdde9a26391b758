package neutron

import (
	"net/http"
	"slices"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

func (n *neutron) readTags(r *api.Request) (network.Labels, error) {
	return n.Labels(r.Context(), r.PathValue("collection"), owner(r), r.PathValue("id"))
}

func (n *neutron) editTags(r *api.Request, fn func(network.Labels) (network.Labels, error)) (network.Labels, error) {
	return n.EditLabels(r.Context(), r.PathValue("collection"), owner(r), r.PathValue("id"), fn)
}

func (n *neutron) tags(w http.ResponseWriter, r *api.Request) error {
	labels, err := n.readTags(r)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"tags": orEmpty(labels)})
}

func (n *neutron) replaceTags(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Tags []string `json:"tags"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	labels, err := n.editTags(r, func(network.Labels) (network.Labels, error) { return b.Tags, nil })
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"tags": orEmpty(labels)})
}

func (n *neutron) clearTags(w http.ResponseWriter, r *api.Request) error {
	_, err := n.editTags(r, func(network.Labels) (network.Labels, error) { return nil, nil })
	return api.Gone(w, err)
}

func (n *neutron) hasTag(w http.ResponseWriter, r *api.Request) error {
	labels, err := n.readTags(r)
	if err != nil {
		return err
	}
	if !slices.Contains(labels, r.PathValue("tag")) {
		return noTag(r)
	}
	return api.Gone(w, nil)
}

func noTag(r *api.Request) error {
	return fault.Errorf(fault.NotFound, "%s %s has no tag %q", r.PathValue("collection"), r.PathValue("id"), r.PathValue("tag"))
}

func (n *neutron) addTag(w http.ResponseWriter, r *api.Request) error {
	_, err := n.editTags(r, func(l network.Labels) (network.Labels, error) { return append(l, r.PathValue("tag")), nil })
	if err == nil {
		w.WriteHeader(http.StatusCreated)
	}
	return err
}

func (n *neutron) removeTag(w http.ResponseWriter, r *api.Request) error {
	_, err := n.editTags(r, func(l network.Labels) (network.Labels, error) {
		i := slices.Index(l, r.PathValue("tag"))
		if i < 0 {
			return nil, noTag(r)
		}
		return slices.Delete(l, i, i+1), nil
	})
	return api.Gone(w, err)
}
