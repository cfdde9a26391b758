package ecl

import (
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/server"
)

type metadataBody struct {
	Metadata map[string]string `json:"metadata"`
}

func (e *ecl) showMetadata(w http.ResponseWriter, r *api.Request) error {
	s, err := e.find(r)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, metadataBody{orEmpty(s.Metadata)})
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// setMetadata makes a server's metadata what change makes of them. A body without any would wipe all out when it replaces them.
func (e *ecl) setMetadata(w http.ResponseWriter, r *api.Request, change func(have, given map[string]string) map[string]string) error {
	var b metadataBody
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	if b.Metadata == nil {
		return fault.Field("metadata", "metadata is missing; it must be an object")
	}
	if key := r.PathValue("key"); key != "" {
		if _, ok := b.Metadata[key]; !ok || len(b.Metadata) != 1 {
			return fault.Field("metadata", "metadata must have the key of the path alone")
		}
	}
	m, err := e.servers.SetMetadata(r.Context(), r.Caller.ProjectID(), server.ID(r.PathValue("id")),
		func(have map[string]string) map[string]string { return change(have, b.Metadata) })
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, metadataBody{orEmpty(m)})
}

func merge(have, given map[string]string) map[string]string {
	for k, v := range given {
		have[k] = v
	}
	return have
}

func (e *ecl) mergeMetadata(w http.ResponseWriter, r *api.Request) error {
	return e.setMetadata(w, r, merge)
}

func (e *ecl) replaceMetadata(w http.ResponseWriter, r *api.Request) error {
	return e.setMetadata(w, r, func(_, given map[string]string) map[string]string { return given })
}

func (e *ecl) showMetadatum(w http.ResponseWriter, r *api.Request) error {
	s, err := e.find(r)
	if err != nil {
		return err
	}
	key := r.PathValue("key")
	v, ok := s.Metadata[key]
	if !ok {
		return fault.Errorf(fault.NotFound, "no metadata %q", key)
	}
	return api.JSON(w, http.StatusOK, metadataBody{map[string]string{key: v}})
}

func (e *ecl) setMetadatum(w http.ResponseWriter, r *api.Request) error {
	return e.setMetadata(w, r, merge)
}

func (e *ecl) dropMetadatum(w http.ResponseWriter, r *api.Request) error {
	key, found := r.PathValue("key"), false
	_, err := e.servers.SetMetadata(r.Context(), r.Caller.ProjectID(), server.ID(r.PathValue("id")), func(have map[string]string) map[string]string {
		_, found = have[key]
		delete(have, key)
		return have
	})
	if err == nil && !found {
		err = fault.Errorf(fault.NotFound, "no metadata %q", key)
	}
	return api.Gone(w, err)
}
