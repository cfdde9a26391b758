package ironic

import (
	"net/http"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/node"
)

func portGroupDoc(r *api.Request, g node.PortGroup) api.Object {
	return api.Object{"uuid": g.ID, "node_uuid": g.NodeID, "name": orNull(g.Name), "address": orNull(g.MAC), "mode": g.Mode, "standalone_ports_supported": g.Standalone,
		"properties": orObject(g.Properties), "extra": orObject(g.Extra), "internal_info": api.Object{}, "physical_network": nil, "created_at": api.Time(g.CreatedAt), "updated_at": api.Time(g.UpdatedAt),
		"links": self(r, "portgroups", g.ID), "ports": self(r, "portgroups", g.ID+"/ports")}
}

func (i *ironic) listPortGroups(w http.ResponseWriter, r *api.Request, of node.ID) error {
	p, err := page(r)
	if err != nil {
		return err
	}
	all, err := i.PortGroups(r.Context(), of, strings.ToLower(r.URL.Query().Get("address")), p)
	if err != nil {
		return err
	}
	return listed(w, r, "portgroups", p, all, []string{"uuid", "name", "address"}, portGroupDoc)
}

func (i *ironic) portGroups(w http.ResponseWriter, r *api.Request) error {
	id, err := i.nodeID(r, r.URL.Query().Get("node"))
	if err != nil {
		return err
	}
	return i.listPortGroups(w, r, id)
}

func (i *ironic) nodePortGroups(w http.ResponseWriter, r *api.Request) error {
	id, err := i.nodeID(r, r.PathValue("node"))
	if err != nil {
		return err
	}
	return i.listPortGroups(w, r, id)
}

func (i *ironic) createPortGroup(w http.ResponseWriter, r *api.Request) error {
	b := node.PortGroup{Standalone: true}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	g, err := i.CreatePortGroup(r.Context(), b)
	if err != nil {
		return err
	}
	return shown(w, r, http.StatusCreated, portGroupDoc(r, g))
}

func (i *ironic) portGroup(w http.ResponseWriter, r *api.Request) error {
	g, err := i.PortGroup(r.Context(), r.PathValue("portgroup"))
	if err != nil {
		return err
	}
	return shown(w, r, http.StatusOK, portGroupDoc(r, g))
}

func (i *ironic) patchPortGroup(w http.ResponseWriter, r *api.Request) error {
	g, err := i.PortGroup(r.Context(), r.PathValue("portgroup"))
	if err != nil {
		return err
	}
	var b node.PortGroup
	if err := patch(w, r, api.Object{"node_uuid": g.NodeID, "name": g.Name, "address": g.MAC, "mode": g.Mode, "standalone_ports_supported": g.Standalone,
		"properties": orObject(g.Properties), "extra": orObject(g.Extra)}, &b); err != nil {
		return err
	}
	b.ID, b.CreatedAt = g.ID, g.CreatedAt
	if g, err = i.UpdatePortGroup(r.Context(), b); err != nil {
		return err
	}
	return shown(w, r, http.StatusOK, portGroupDoc(r, g))
}

func (i *ironic) deletePortGroup(w http.ResponseWriter, r *api.Request) error {
	return done(w, http.StatusNoContent, i.DeletePortGroup(r.Context(), r.PathValue("portgroup")))
}

func (i *ironic) groupPorts(w http.ResponseWriter, r *api.Request) error {
	g, err := i.PortGroup(r.Context(), r.PathValue("portgroup"))
	if err != nil {
		return err
	}
	return i.listPorts(w, r, node.PortFilter{Group: g.ID})
}
