package neutron

import (
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

func (n *neutron) networkDoc(r *api.Request, nw network.Network, subs []network.Subnet) api.Object {
	ids := []string{}
	for _, s := range subs {
		if s.NetworkID == nw.ID {
			ids = append(ids, s.ID)
		}
	}
	d := api.Object{"id": nw.ID, "name": nw.Name, "description": nw.Description, "admin_state_up": nw.AdminUp, "status": "ACTIVE", "shared": nw.Shared,
		"tenant_id": nw.ProjectID, "project_id": nw.ProjectID, "subnets": ids, "plane": nw.Plane, "tags": tags(nw.Tags), "mtu": nw.MTU,
		"router:external": false, "revision_number": nw.Revision, "created_at": api.Time(nw.CreatedAt), "updated_at": api.Time(nw.UpdatedAt)}
	if r.Caller.Operator() {
		d["provider:network_type"], d["provider:segmentation_id"], d["provider:physical_network"] = "vlan", nw.VLAN, nw.Plane
	}
	return d
}

func (n *neutron) networks(w http.ResponseWriter, r *api.Request) error {
	all, err := n.Networks(r.Context(), owner(r))
	if err != nil {
		return err
	}
	subs, err := n.Subnets(r.Context(), owner(r), "")
	if err != nil {
		return err
	}
	docs := make([]api.Object, len(all))
	for i, nw := range all {
		docs[i] = n.networkDoc(r, nw, subs)
	}
	return list(w, r, "networks", docs)
}

type networkBody struct {
	Network struct {
		Name        *string            `json:"name"`
		Description *string            `json:"description"`
		AdminUp     *bool              `json:"admin_state_up"`
		Shared      *bool              `json:"shared"`
		Plane       *string            `json:"plane"`
		MTU         *int               `json:"mtu"`
		Tags        *map[string]string `json:"tags"`
		TenantID    string             `json:"tenant_id"`
		ProjectID   string             `json:"project_id"`
		External    *bool              `json:"router:external"`
	} `json:"network"`
}

func (b networkBody) apply(r *api.Request, nw *network.Network) error {
	if b.Network.External != nil && *b.Network.External {
		return fault.Field("router:external", "external networks are not served")
	}
	if b.Network.Shared != nil && *b.Network.Shared && !r.Caller.Operator() {
		return fault.Errorf(fault.Denied, "only an operator may share a network")
	}
	api.Set(&nw.Name, b.Network.Name)
	api.Set(&nw.Description, b.Network.Description)
	api.Set(&nw.AdminUp, b.Network.AdminUp)
	api.Set(&nw.Shared, b.Network.Shared)
	api.Set(&nw.Tags, b.Network.Tags)
	return nil
}

func (n *neutron) createNetwork(w http.ResponseWriter, r *api.Request) error {
	var b networkBody
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	project, err := projectOf(r, b.Network.TenantID, b.Network.ProjectID)
	if err != nil {
		return err
	}
	nw := network.Network{ProjectID: project, AdminUp: true}
	if err := b.apply(r, &nw); err != nil {
		return err
	}
	api.Set(&nw.Plane, b.Network.Plane)
	api.Set(&nw.MTU, b.Network.MTU)
	if nw, err = n.CreateNetwork(r.Context(), nw); err != nil {
		return err
	}
	return api.JSON(w, http.StatusCreated, api.Object{"network": n.networkDoc(r, nw, nil)})
}

func (n *neutron) showNetwork(w http.ResponseWriter, r *api.Request, nw network.Network) error {
	subs, err := n.Subnets(r.Context(), "", nw.ID)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"network": pick(n.networkDoc(r, nw, subs), r.URL.Query()["fields"])})
}

func (n *neutron) network(w http.ResponseWriter, r *api.Request) error {
	nw, err := n.Network(r.Context(), owner(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	return n.showNetwork(w, r, nw)
}

func (n *neutron) updateNetwork(w http.ResponseWriter, r *api.Request) error {
	var b networkBody
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	nw, err := n.Network(r.Context(), owner(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	if o := owner(r); o != "" && nw.ProjectID != string(o) {
		return fault.Errorf(fault.Denied, "the network is shared by another project")
	}
	if b.Network.Plane != nil && *b.Network.Plane != nw.Plane {
		return fault.Field("plane", "can not be changed")
	}
	if err := b.apply(r, &nw); err != nil {
		return err
	}
	if nw, err = n.UpdateNetwork(r.Context(), nw); err != nil {
		return err
	}
	return n.showNetwork(w, r, nw)
}

func (n *neutron) deleteNetwork(w http.ResponseWriter, r *api.Request) error {
	return api.Gone(w, n.DeleteNetwork(r.Context(), owner(r), r.PathValue("id")))
}
