package neutron

import (
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

type networkBody struct {
	Name         *string  `json:"name"`
	Description  *string  `json:"description"`
	AdminUp      *bool    `json:"admin_state_up"`
	Shared       *bool    `json:"shared"`
	Plane        *string  `json:"plane"`
	MTU          *integer `json:"mtu"`
	PortSecurity *bool    `json:"port_security_enabled"`
	External     *bool    `json:"router:external"`
	Tags         tagsBody `json:"tags"`
	TenantID     string   `json:"tenant_id" on:"post"`
	ProjectID    string   `json:"project_id" on:"post"`
	Type         *string  `json:"provider:network_type" on:"post" for:"operators"`
	Physical     *string  `json:"provider:physical_network" on:"post" for:"operators"`
	Segment      *integer `json:"provider:segmentation_id" on:"post" for:"operators"`
}

func (n *neutron) networkKind() kind[network.Network, networkBody] {
	return kind[network.Network, networkBody]{one: "network", many: "networks", doc: networkDoc, list: n.Networks, get: n.Network,
		create: n.createNetworks, update: func(r *api.Request, id string, rev int64, b networkBody) (network.Network, error) {
			return n.EditNetwork(r.Context(), owner(r), id, rev, func(nw *network.Network) error { return b.apply(r, nw) })
		}, remove: n.DeleteNetwork,
		readOnly: "id status subnets created_at updated_at revision_number ipv4_address_scope ipv6_address_scope availability_zones"}
}

func networkDoc(r *api.Request, nw network.Network) api.Object {
	d := api.Object{"id": nw.ID, "name": nw.Name, "description": nw.Description, "admin_state_up": nw.AdminUp, "status": "ACTIVE",
		"shared": nw.Shared || !nw.External && sharedWith(r, false, nw.ProjectID), "tenant_id": nw.ProjectID, "project_id": nw.ProjectID, "subnets": orEmpty(nw.Subnets),
		"plane": nw.Plane, "tags": tags(nw.Tags, nw.Labels), "mtu": nw.MTU, "router:external": nw.External, "port_security_enabled": nw.PortSecurity,
		"ipv4_address_scope": orNull(nw.Scope4), "ipv6_address_scope": orNull(nw.Scope6),
		"revision_number": nw.Revision, "created_at": api.Time(nw.CreatedAt), "updated_at": api.Time(nw.UpdatedAt)}
	if r.Caller.Operator() {
		d["provider:network_type"], d["provider:segmentation_id"], d["provider:physical_network"] = "vlan", nw.VLAN, nw.Plane
	}
	return d
}

// sharedWith reports whether a thing is shared as the caller sees it: what it sees of others is shared with it.
func sharedWith(r *api.Request, all bool, project string) bool {
	return all || !r.Caller.Operator() && project != r.Caller.ProjectID()
}

// mayShare refuses a tenant that would share with all.
func mayShare(r *api.Request, shared *bool) error {
	if shared != nil && *shared && !r.Caller.Operator() {
		return fault.Errorf(fault.Denied, "only an operator may share with all projects; a policy shares with one")
	}
	return nil
}

func (b networkBody) apply(r *api.Request, nw *network.Network) error {
	if err := mayShare(r, b.Shared); err != nil {
		return err
	}
	if b.External != nil && *b.External != nw.External && !r.Caller.Operator() {
		return fault.Errorf(fault.Denied, "only an operator may say what is an external network")
	}
	api.Set(&nw.Name, b.Name)
	api.Set(&nw.Description, b.Description)
	api.Set(&nw.AdminUp, b.AdminUp)
	api.Set(&nw.Shared, b.Shared)
	api.Set(&nw.External, b.External)
	api.Set(&nw.Plane, b.Plane)
	api.Set(&nw.MTU, (*int)(b.MTU))
	api.Set(&nw.PortSecurity, b.PortSecurity)
	return b.Tags.into(&nw.Tags, &nw.Labels)
}

func (n *neutron) createNetworks(r *api.Request, bodies []networkBody) ([]network.Network, error) {
	ns := make([]network.Network, len(bodies))
	for i, b := range bodies {
		project, err := projectOf(r, b.TenantID, b.ProjectID)
		if err != nil {
			return nil, err
		}
		ns[i] = network.Network{ProjectID: project, AdminUp: true, PortSecurity: true}
		if err := b.apply(r, &ns[i]); err != nil {
			return nil, err
		}
		if b.Type != nil && *b.Type != "vlan" {
			return nil, fault.Field("provider:network_type", "must be vlan")
		}
		if b.Physical != nil {
			if b.Plane != nil && *b.Plane != *b.Physical {
				return nil, fault.Field("provider:physical_network", "is the plane: %s", *b.Plane)
			}
			ns[i].Plane = *b.Physical
		}
		api.Set(&ns[i].VLAN, (*int)(b.Segment))
		if b.Segment != nil && *b.Segment == 0 {
			return nil, fault.Field("provider:segmentation_id", "0 is no VLAN")
		}
	}
	return n.CreateNetworks(r.Context(), ns)
}

func usageDoc(u network.Usage) api.Object {
	subs := []api.Object{}
	for _, s := range u.Subnets {
		subs = append(subs, api.Object{"subnet_id": s.Subnet.ID, "subnet_name": s.Subnet.Name, "cidr": s.Subnet.CIDR, "ip_version": s.Subnet.IPVersion,
			"total_ips": s.Total, "used_ips": s.Used})
	}
	return api.Object{"network_id": u.Network.ID, "network_name": u.Network.Name, "tenant_id": u.Network.ProjectID, "project_id": u.Network.ProjectID,
		"total_ips": u.Total, "used_ips": u.Used, "subnet_ip_availability": subs}
}

// usageFilters are the filters of network IP availabilities, by the attribute of the network.
var usageFilters = map[string]string{"network_id": "id", "network_name": "name", "tenant_id": "tenant_id", "project_id": "project_id"}

func (n *neutron) availabilities(w http.ResponseWriter, r *api.Request) error {
	q := network.Query{Where: map[string][]string{}}
	version := ""
	for name, values := range r.URL.Query() {
		switch at, known := usageFilters[name]; {
		case known:
			q.Where[at] = values
		case name == "ip_version":
			version = values[0]
		case name != "fields":
			return fault.Field(name, "%q can not be filtered by", name)
		}
	}
	us, err := n.Usages(r.Context(), "", q)
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, u := range us {
		if version == "" || u.Has(version) {
			docs = append(docs, usageDoc(u))
		}
	}
	return api.JSON(w, http.StatusOK, api.Object{"network_ip_availabilities": docs})
}

func (n *neutron) availability(w http.ResponseWriter, r *api.Request) error {
	us, err := n.Usages(r.Context(), "", network.Query{Where: map[string][]string{"id": {r.PathValue("id")}}})
	if err != nil {
		return err
	}
	if len(us) == 0 {
		return fault.Errorf(fault.NotFound, "no network %s", r.PathValue("id"))
	}
	return api.JSON(w, http.StatusOK, api.Object{"network_ip_availability": usageDoc(us[0])})
}
