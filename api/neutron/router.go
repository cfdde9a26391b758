package neutron

import (
	"context"
	"net/http"
	"slices"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

// gatewayBody is a router's way out as a client gives it; {} is none, as null is.
type gatewayBody struct {
	NetworkID string             `json:"network_id"`
	SNAT      *bool              `json:"enable_snat"`
	FixedIPs  *[]network.FixedIP `json:"external_fixed_ips"`
}

type routerBody struct {
	Name        *string                   `json:"name"`
	Description *string                   `json:"description"`
	AdminUp     *bool                     `json:"admin_state_up"`
	Gateway     optional[gatewayBody]     `json:"external_gateway_info"`
	Routes      optional[[]network.Route] `json:"routes"`
	Tags        optional[[]string]        `json:"tags"`
	TenantID    string                    `json:"tenant_id" on:"post"`
	ProjectID   string                    `json:"project_id" on:"post"`
}

// layer3 are the routes of routers and floating addresses.
func (n *neutron) layer3() []api.Route {
	routers, floating := n.routerKind(), n.floatingKind()
	return []api.Route{
		{"GET", "/v2.0/routers", api.Readers, routers.all},
		{"POST", "/v2.0/routers", api.Members, routers.make},
		{"GET", "/v2.0/routers/{id}", api.Readers, routers.show},
		{"PUT", "/v2.0/routers/{id}", api.Members, routers.change},
		{"DELETE", "/v2.0/routers/{id}", api.Members, routers.forget},
		{"PUT", "/v2.0/routers/{id}/add_router_interface", api.Members, n.addInterface},
		{"PUT", "/v2.0/routers/{id}/remove_router_interface", api.Members, n.removeInterface},
		{"PUT", "/v2.0/routers/{id}/add_extraroutes", api.Members, n.addRoutes},
		{"PUT", "/v2.0/routers/{id}/remove_extraroutes", api.Members, n.removeRoutes},

		{"GET", "/v2.0/floatingips", api.Readers, floating.all},
		{"POST", "/v2.0/floatingips", api.Members, floating.make},
		{"GET", "/v2.0/floatingips/{id}", api.Readers, floating.show},
		{"PUT", "/v2.0/floatingips/{id}", api.Members, floating.change},
		{"DELETE", "/v2.0/floatingips/{id}", api.Members, floating.forget},
	}
}

func (n *neutron) routerKind() kind[network.Router, routerBody] {
	return kind[network.Router, routerBody]{one: "router", many: "routers", doc: routerDoc, list: n.Routers, get: n.Router,
		create: n.createRouters, update: n.updateRouter, remove: n.DeleteRouter, readOnly: "id status created_at updated_at revision_number"}
}

func routerDoc(_ *api.Request, rt network.Router) api.Object {
	d := api.Object{"id": rt.ID, "name": rt.Name, "description": rt.Description, "tenant_id": rt.ProjectID, "project_id": rt.ProjectID,
		"admin_state_up": rt.AdminUp, "status": "ACTIVE", "external_gateway_info": nil, "routes": orEmpty(rt.Routes), "tags": orEmpty(rt.Labels),
		"revision_number": rt.Revision, "created_at": api.Time(rt.CreatedAt), "updated_at": api.Time(rt.UpdatedAt)}
	if rt.NetworkID != "" {
		d["external_gateway_info"] = api.Object{"network_id": rt.NetworkID, "enable_snat": rt.SNAT, "external_fixed_ips": orEmpty(rt.Outside)}
	}
	return d
}

func (b routerBody) apply(rt *network.Router) error {
	api.Set(&rt.Name, b.Name)
	api.Set(&rt.Description, b.Description)
	api.Set(&rt.AdminUp, b.AdminUp)
	b.Routes.into(&rt.Routes)
	return label(b.Tags, &rt.Labels)
}

// label sets the tags of a thing that has OpenStack's alone.
func label(given optional[[]string], labels *network.Labels) (err error) {
	if given.given {
		*labels = nil
	}
	if given.value != nil {
		*labels, err = network.NewLabels(*given.value)
	}
	return err
}

// gateway is the way out that a client asks for; nil when it says nothing of it.
func (b routerBody) gateway(r *api.Request) (*network.Gateway, error) {
	if !b.Gateway.given {
		return nil, nil
	}
	g := &network.Gateway{}
	if b.Gateway.value == nil {
		return g, nil
	}
	v := *b.Gateway.value
	if (v.SNAT != nil || v.FixedIPs != nil) && !r.Caller.Operator() {
		return nil, fault.Errorf(fault.Denied, "only an operator may set enable_snat and external_fixed_ips")
	}
	if v.NetworkID == "" && (v.SNAT != nil || v.FixedIPs != nil) {
		return nil, fault.Field("external_gateway_info", "needs a network_id")
	}
	g.NetworkID, g.SNAT = v.NetworkID, v.SNAT
	api.Set(&g.FixedIPs, v.FixedIPs)
	return g, nil
}

func (n *neutron) createRouters(r *api.Request, bodies []routerBody) ([]network.Router, error) {
	ws := make([]network.NewRouter, len(bodies))
	for i, b := range bodies {
		project, err := projectOf(r, b.TenantID, b.ProjectID)
		if err != nil {
			return nil, err
		}
		ws[i].Router = network.Router{Record: network.Record{ProjectID: project}, AdminUp: true}
		if err := b.apply(&ws[i].Router); err != nil {
			return nil, err
		}
		if ws[i].Gateway, err = b.gateway(r); err != nil {
			return nil, err
		}
	}
	return n.CreateRouters(r.Context(), owner(r), ws)
}

func (n *neutron) updateRouter(r *api.Request, id string, rev int64, b routerBody) (network.Router, error) {
	g, err := b.gateway(r)
	if err != nil {
		return network.Router{}, err
	}
	return n.EditRouter(r.Context(), owner(r), id, rev, g, b.apply)
}

// plug serves the verbs that give a router an interface and take it away.
func (n *neutron) plug(w http.ResponseWriter, r *api.Request, do func(ctx context.Context, o network.Owner, id, port, subnet string) (network.Interface, error)) error {
	var b struct {
		PortID   string `json:"port_id"`
		SubnetID string `json:"subnet_id"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	i, err := do(r.Context(), owner(r), r.PathValue("id"), b.PortID, b.SubnetID)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"id": i.RouterID, "tenant_id": i.ProjectID, "project_id": i.ProjectID, "port_id": i.PortID,
		"network_id": i.NetworkID, "subnet_id": i.SubnetID, "subnet_ids": []string{i.SubnetID}})
}

func (n *neutron) addInterface(w http.ResponseWriter, r *api.Request) error {
	return n.plug(w, r, n.AddInterface)
}

func (n *neutron) removeInterface(w http.ResponseWriter, r *api.Request) error {
	return n.plug(w, r, n.RemoveInterface)
}

// reroute serves the verbs that add routes to a router's and take them away.
func (n *neutron) reroute(w http.ResponseWriter, r *api.Request, change func(have, given []network.Route) []network.Route) error {
	var b struct {
		Router struct {
			Routes []network.Route `json:"routes"`
		} `json:"router"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	rt, err := n.EditRouter(r.Context(), owner(r), r.PathValue("id"), 0, nil, func(rt *network.Router) error {
		rt.Routes = change(rt.Routes, b.Router.Routes)
		return nil
	})
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"router": routerDoc(r, rt)})
}

func (n *neutron) addRoutes(w http.ResponseWriter, r *api.Request) error {
	return n.reroute(w, r, func(have, given []network.Route) []network.Route {
		for _, way := range given {
			if way.Destination = way.Destination.Masked(); !slices.Contains(have, way) {
				have = append(have, way)
			}
		}
		return have
	})
}

func (n *neutron) removeRoutes(w http.ResponseWriter, r *api.Request) error {
	return n.reroute(w, r, func(have, given []network.Route) []network.Route {
		return slices.DeleteFunc(have, func(way network.Route) bool {
			return slices.ContainsFunc(given, func(g network.Route) bool {
				return g.NextHop == way.NextHop && g.Destination.Masked() == way.Destination
			})
		})
	})
}

type floatingBody struct {
	Description  *string            `json:"description"`
	PortID       optional[string]   `json:"port_id"`
	FixedAddress optional[string]   `json:"fixed_ip_address"`
	Tags         optional[[]string] `json:"tags"`
	NetworkID    string             `json:"floating_network_id" on:"post"`
	Address      string             `json:"floating_ip_address" on:"post" for:"operators"`
	SubnetID     string             `json:"subnet_id" on:"post"`
	TenantID     string             `json:"tenant_id" on:"post"`
	ProjectID    string             `json:"project_id" on:"post"`
}

func (n *neutron) floatingKind() kind[network.FloatingIP, floatingBody] {
	return kind[network.FloatingIP, floatingBody]{one: "floatingip", many: "floatingips", doc: floatingDoc, list: n.FloatingIPs, get: n.FloatingIP,
		create: n.createFloatingIPs, update: func(r *api.Request, id string, rev int64, b floatingBody) (network.FloatingIP, error) {
			return n.EditFloatingIP(r.Context(), owner(r), id, rev, b.apply)
		}, remove: n.DeleteFloatingIP, readOnly: "id status router_id created_at updated_at revision_number"}
}

func floatingDoc(_ *api.Request, f network.FloatingIP) api.Object {
	status := "DOWN"
	if f.PortID != "" {
		status = "ACTIVE"
	}
	return api.Object{"id": f.ID, "description": f.Description, "tenant_id": f.ProjectID, "project_id": f.ProjectID, "floating_network_id": f.NetworkID,
		"floating_ip_address": f.Address, "port_id": orNull(f.PortID), "fixed_ip_address": orNull(f.FixedAddress), "router_id": orNull(f.RouterID), "status": status,
		"tags": orEmpty(f.Labels), "revision_number": f.Revision, "created_at": api.Time(f.CreatedAt), "updated_at": api.Time(f.UpdatedAt)}
}

func (b floatingBody) apply(f *network.FloatingIP) error {
	api.Set(&f.Description, b.Description)
	if b.PortID.given {
		f.FixedAddress = ""
	}
	b.PortID.into(&f.PortID)
	b.FixedAddress.into(&f.FixedAddress)
	return label(b.Tags, &f.Labels)
}

func (n *neutron) createFloatingIPs(r *api.Request, bodies []floatingBody) ([]network.FloatingIP, error) {
	ws := make([]network.NewFloatingIP, len(bodies))
	for i, b := range bodies {
		project, err := projectOf(r, b.TenantID, b.ProjectID)
		if err != nil {
			return nil, err
		}
		ws[i] = network.NewFloatingIP{SubnetID: b.SubnetID, FloatingIP: network.FloatingIP{Record: network.Record{ProjectID: project}, NetworkID: b.NetworkID, Address: b.Address}}
		if err := b.apply(&ws[i].FloatingIP); err != nil {
			return nil, err
		}
	}
	return n.CreateFloatingIPs(r.Context(), owner(r), ws)
}
