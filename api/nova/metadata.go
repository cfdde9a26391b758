package nova

import (
	"net/http"
	"slices"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

type metadataBody struct {
	Metadata map[string]string `json:"metadata"`
}

type metaBody struct {
	Meta map[string]string `json:"meta"`
}

func (n *nova) showMetadata(w http.ResponseWriter, r *api.Request) error {
	s, err := n.find(r)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, metadataBody{orEmpty(s.Metadata)})
}

// metadataOf reads what a request says of a thing. A body that says nothing would wipe all out when it replaces what is there.
func metadataOf(w http.ResponseWriter, r *api.Request) (map[string]string, error) {
	var b metadataBody
	err := api.Decode(w, r, &b)
	if err == nil && b.Metadata == nil {
		err = fault.Field("metadata", "metadata is missing; it must be an object")
	}
	return b.Metadata, err
}

// metaOf reads the one entry that a path names.
func metaOf(w http.ResponseWriter, r *api.Request) (map[string]string, error) {
	var b metaBody
	err := api.Decode(w, r, &b)
	if _, ok := b.Meta[r.PathValue("key")]; err == nil && (!ok || len(b.Meta) != 1) {
		err = fault.Field("meta", "meta must have the key of the path alone")
	}
	return b.Meta, err
}

// showMeta answers with the one entry that a path names.
func showMeta(w http.ResponseWriter, r *api.Request, all map[string]string) error {
	key := r.PathValue("key")
	v, ok := all[key]
	if !ok {
		return noMetadatum()
	}
	return api.JSON(w, http.StatusOK, metaBody{map[string]string{key: v}})
}

func (n *nova) setMetadata(w http.ResponseWriter, r *api.Request, keep bool) error {
	given, err := metadataOf(w, r)
	if err != nil {
		return err
	}
	m, err := n.servers.SetMetadata(r.Context(), scope(r), serverID(r), func(have map[string]string) map[string]string {
		if !keep {
			return given
		}
		return merged(have, given)
	})
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, metadataBody{orEmpty(m)})
}

func merged(have, given map[string]string) map[string]string {
	for k, v := range given {
		have[k] = v
	}
	return have
}

func (n *nova) mergeMetadata(w http.ResponseWriter, r *api.Request) error {
	return n.setMetadata(w, r, true)
}

func (n *nova) replaceMetadata(w http.ResponseWriter, r *api.Request) error {
	return n.setMetadata(w, r, false)
}

func noMetadatum() error {
	return fault.Errorf(fault.NotFound, "Metadata item was not found")
}

func (n *nova) showMetadatum(w http.ResponseWriter, r *api.Request) error {
	s, err := n.find(r)
	if err != nil {
		return err
	}
	return showMeta(w, r, s.Metadata)
}

func (n *nova) setMetadatum(w http.ResponseWriter, r *api.Request) error {
	given, err := metaOf(w, r)
	if err != nil {
		return err
	}
	if _, err := n.servers.SetMetadata(r.Context(), scope(r), serverID(r), func(have map[string]string) map[string]string { return merged(have, given) }); err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, metaBody{given})
}

func (n *nova) dropMetadatum(w http.ResponseWriter, r *api.Request) error {
	s, err := n.find(r)
	if err != nil {
		return err
	}
	key := r.PathValue("key")
	if _, ok := s.Metadata[key]; !ok {
		return noMetadatum()
	}
	_, err = n.servers.SetMetadata(r.Context(), scope(r), serverID(r), func(have map[string]string) map[string]string {
		delete(have, key)
		return have
	})
	return api.Gone(w, err)
}

func (n *nova) tags(w http.ResponseWriter, r *api.Request) error {
	s, err := n.find(r)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"tags": labels(s)})
}

func (n *nova) editTags(r *api.Request, fn func(network.Labels) (network.Labels, error)) (network.Labels, error) {
	return n.servers.EditLabels(r.Context(), scope(r), serverID(r), fn)
}

func (n *nova) replaceTags(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Tags []string `json:"tags"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	now, err := n.editTags(r, func(network.Labels) (network.Labels, error) { return b.Tags, nil })
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"tags": append([]string{}, now...)})
}

func (n *nova) clearTags(w http.ResponseWriter, r *api.Request) error {
	_, err := n.editTags(r, func(network.Labels) (network.Labels, error) { return nil, nil })
	return api.Gone(w, err)
}

func noTag(r *api.Request) error {
	return fault.Errorf(fault.NotFound, "Server %s has no tag '%s'.", r.PathValue("id"), r.PathValue("tag"))
}

func (n *nova) hasTag(w http.ResponseWriter, r *api.Request) error {
	s, err := n.find(r)
	if err == nil && !slices.Contains(s.Labels, r.PathValue("tag")) {
		err = noTag(r)
	}
	return api.Gone(w, err)
}

func (n *nova) addTag(w http.ResponseWriter, r *api.Request) error {
	tag, had := r.PathValue("tag"), false
	_, err := n.editTags(r, func(l network.Labels) (network.Labels, error) {
		had = slices.Contains(l, tag)
		return append(l, tag), nil
	})
	switch {
	case err != nil:
		return err
	case had:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusCreated)
	}
	return nil
}

func (n *nova) removeTag(w http.ResponseWriter, r *api.Request) error {
	_, err := n.editTags(r, func(l network.Labels) (network.Labels, error) {
		i := slices.Index(l, r.PathValue("tag"))
		if i < 0 {
			return nil, noTag(r)
		}
		return slices.Delete(l, i, i+1), nil
	})
	return api.Gone(w, err)
}
