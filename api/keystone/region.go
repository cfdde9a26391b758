package keystone

import (
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

func regionDoc(r *api.Request, v identity.Region) api.Object {
	return with(v.Extra, api.Object{"id": v.ID, "description": v.Description, "parent_region_id": orNull(v.ParentID), "links": self(r, "regions", v.ID)})
}

func (k *keystone) regions(w http.ResponseWriter, r *api.Request) error {
	rs, err := k.Regions(r.Context(), r.URL.Query().Get("parent_region_id"))
	return list(w, r, "regions", rs, err, regionDoc)
}

type regionBody struct {
	ID          string  `json:"id"`
	Description *string `json:"description"`
	ParentID    *string `json:"parent_region_id"`
}

func (b regionBody) apply(v *identity.Region, extra identity.Extra) {
	api.Set(&v.Description, b.Description)
	api.Set(&v.ParentID, b.ParentID)
	v.Extra = merged(v.Extra, extra)
}

// createRegion makes a region, with the id of the body or, by PUT, of the path.
func (k *keystone) createRegion(w http.ResponseWriter, r *api.Request) error {
	var b regionBody
	extra, err := take(w, r, "region", &b)
	if err != nil {
		return err
	}
	v := identity.Region{ID: b.ID}
	if id := r.PathValue("region"); id != "" {
		if b.ID != "" && b.ID != id {
			return fault.Field("id", "must be that of the path")
		}
		v.ID = id
	}
	b.apply(&v, extra)
	v, err = k.CreateRegion(r.Context(), v)
	return show(w, r, http.StatusCreated, "region", v, err, regionDoc)
}

func (k *keystone) showRegion(w http.ResponseWriter, r *api.Request) error {
	v, err := k.Region(r.Context(), r.PathValue("region"))
	return show(w, r, http.StatusOK, "region", v, err, regionDoc)
}

func (k *keystone) updateRegion(w http.ResponseWriter, r *api.Request) error {
	var b regionBody
	extra, err := take(w, r, "region", &b)
	if err != nil {
		return err
	}
	v, err := k.Region(r.Context(), r.PathValue("region"))
	if err != nil {
		return err
	}
	if b.ID != "" && b.ID != v.ID {
		return fault.Field("id", "can not be changed")
	}
	b.apply(&v, extra)
	return show(w, r, http.StatusOK, "region", v, k.UpdateRegion(r.Context(), v), regionDoc)
}

func (k *keystone) deleteRegion(w http.ResponseWriter, r *api.Request) error {
	return api.Gone(w, k.DeleteRegion(r.Context(), r.PathValue("region")))
}
