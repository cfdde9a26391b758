package ironic

import (
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/node"
)

func chassisDoc(r *api.Request, c node.Chassis) api.Object {
	return api.Object{"uuid": c.ID, "description": orNull(c.Description), "extra": orObject(c.Extra), "created_at": api.Time(c.CreatedAt), "updated_at": api.Time(c.UpdatedAt),
		"links": self(r, "chassis", c.ID), "nodes": self(r, "chassis", c.ID+"/nodes")}
}

func (i *ironic) listChassis(w http.ResponseWriter, r *api.Request) error {
	p, err := page(r)
	if err != nil {
		return err
	}
	all, err := i.ListChassis(r.Context(), p)
	if err != nil {
		return err
	}
	return listed(w, r, "chassis", p, all, []string{"uuid", "description"}, chassisDoc)
}

func (i *ironic) createChassis(w http.ResponseWriter, r *api.Request) error {
	var c node.Chassis
	if err := api.Decode(w, r, &c); err != nil {
		return err
	}
	c, err := i.CreateChassis(r.Context(), c)
	if err != nil {
		return err
	}
	return shown(w, r, http.StatusCreated, chassisDoc(r, c))
}

func (i *ironic) showChassis(w http.ResponseWriter, r *api.Request) error {
	c, err := i.Chassis(r.Context(), r.PathValue("chassis"))
	if err != nil {
		return err
	}
	return shown(w, r, http.StatusOK, chassisDoc(r, c))
}

func (i *ironic) patchChassis(w http.ResponseWriter, r *api.Request) error {
	c, err := i.Chassis(r.Context(), r.PathValue("chassis"))
	if err != nil {
		return err
	}
	var b node.Chassis
	if err := patch(w, r, api.Object{"description": c.Description, "extra": orObject(c.Extra)}, &b); err != nil {
		return err
	}
	c.Description, c.Extra = b.Description, b.Extra
	if c, err = i.UpdateChassis(r.Context(), c); err != nil {
		return err
	}
	return shown(w, r, http.StatusOK, chassisDoc(r, c))
}

func (i *ironic) deleteChassis(w http.ResponseWriter, r *api.Request) error {
	return done(w, http.StatusNoContent, i.DeleteChassis(r.Context(), r.PathValue("chassis")))
}

func (i *ironic) chassisNodes(w http.ResponseWriter, r *api.Request) error {
	c, err := i.Chassis(r.Context(), r.PathValue("chassis"))
	if err != nil {
		return err
	}
	q := r.URL.Query()
	q.Set("chassis_uuid", c.ID)
	r.URL.RawQuery = q.Encode()
	return i.nodes(w, r)
}
