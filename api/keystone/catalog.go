package keystone

import (
	"net/http"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/identity"
)

func (k *keystone) catalogRoutes() []api.Route {
	return []api.Route{
		{"GET", "/v3/regions", api.Authenticated, k.regions},
		{"POST", "/v3/regions", api.Operators, k.createRegion},
		{"GET", "/v3/regions/{region}", api.Authenticated, k.showRegion},
		{"PUT", "/v3/regions/{region}", api.Operators, k.createRegion},
		{"PATCH", "/v3/regions/{region}", api.Operators, k.updateRegion},
		{"DELETE", "/v3/regions/{region}", api.Operators, k.deleteRegion},
		{"GET", "/v3/services", api.OperatorsRead, k.services},
		{"POST", "/v3/services", api.Operators, k.createService},
		{"GET", "/v3/services/{service}", api.OperatorsRead, k.showService},
		{"PATCH", "/v3/services/{service}", api.Operators, k.updateService},
		{"DELETE", "/v3/services/{service}", api.Operators, k.deleteService},
		{"GET", "/v3/endpoints", api.OperatorsRead, k.endpoints},
		{"POST", "/v3/endpoints", api.Operators, k.createEndpoint},
		{"GET", "/v3/endpoints/{endpoint}", api.OperatorsRead, k.showEndpoint},
		{"PATCH", "/v3/endpoints/{endpoint}", api.Operators, k.updateEndpoint},
		{"DELETE", "/v3/endpoints/{endpoint}", api.Operators, k.deleteEndpoint},

		{"GET", "/v3/OS-EP-FILTER/endpoints/{endpoint}/projects", api.OperatorsRead, k.endpointProjects},
		{"GET", "/v3/OS-EP-FILTER/projects/{project}/endpoints", api.OperatorsRead, k.projectEndpoints},
		{"PUT", "/v3/OS-EP-FILTER/projects/{project}/endpoints/{endpoint}", api.Operators, k.chooseEndpoint},
		{"GET", "/v3/OS-EP-FILTER/projects/{project}/endpoints/{endpoint}", api.OperatorsRead, k.chosenEndpoint},
		{"DELETE", "/v3/OS-EP-FILTER/projects/{project}/endpoints/{endpoint}", api.Operators, k.dropEndpoint},
	}
}

func (k *keystone) showCatalog(w http.ResponseWriter, r *api.Request) error {
	doc, err := k.catalogDoc(r, r.Caller)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"catalog": doc, "links": self(r, "auth", "catalog")})
}

// catalogDoc is the catalog that a caller's token shows. What needs a project is left out where there is none.
func (k *keystone) catalogDoc(r *api.Request, c identity.Caller) ([]api.Object, error) {
	services, endpoints, err := k.CatalogFor(r.Context(), c.ProjectID())
	out := []api.Object{}
	for _, v := range services {
		docs := []api.Object{}
		for _, e := range endpoints {
			if e.ServiceID != v.ID {
				continue
			}
			at := address(r, e)
			for _, name := range []string{"%(project_id)s", "$(project_id)s", "%(tenant_id)s", "$(tenant_id)s"} {
				if c.Project == nil && strings.Contains(at, name) {
					at = ""
				}
				at = strings.ReplaceAll(at, name, c.ProjectID())
			}
			if at != "" {
				docs = append(docs, api.Object{"id": e.ID, "interface": e.Interface, "region": orNull(e.RegionID), "region_id": orNull(e.RegionID), "url": at})
			}
		}
		if len(docs) > 0 || !v.Own {
			out = append(out, api.Object{"id": v.ID, "type": v.Type, "name": v.Name, "endpoints": docs})
		}
	}
	return out, err
}

// address is an endpoint's URL; the cloud's own services are where the client reached us.
func address(r *api.Request, e identity.Endpoint) string {
	if e.Own {
		return api.BaseURL(r.Request) + e.URL
	}
	return e.URL
}

func serviceDoc(r *api.Request, v identity.CatalogService) api.Object {
	return with(v.Extra, api.Object{"id": v.ID, "type": v.Type, "name": v.Name, "enabled": v.Enabled, "description": v.Description, "links": self(r, "services", v.ID)})
}

func endpointDoc(r *api.Request, e identity.Endpoint) api.Object {
	return with(e.Extra, api.Object{"id": e.ID, "service_id": e.ServiceID, "interface": e.Interface, "region": orNull(e.RegionID), "region_id": orNull(e.RegionID),
		"url": address(r, e), "enabled": e.Enabled, "links": self(r, "endpoints", e.ID)})
}

// matching are those things whose documents have the values that the query asks for, in the fields that it may ask for.
func matching[T any](r *api.Request, all []T, doc func(*api.Request, T) api.Object, fields ...string) []T {
	q := r.URL.Query()
	return slices.DeleteFunc(all, func(v T) bool {
		shown := doc(r, v)
		return slices.ContainsFunc(fields, func(f string) bool { return q.Get(f) != "" && q.Get(f) != shown[f] })
	})
}

func (k *keystone) services(w http.ResponseWriter, r *api.Request) error {
	all, err := k.Services(r.Context())
	return list(w, r, "services", matching(r, all, serviceDoc, "type", "name"), err, serviceDoc)
}

type serviceBody struct {
	Type        *string `json:"type"`
	Name        *string `json:"name"`
	Description *string `json:"description"`
	Enabled     *bool   `json:"enabled"`
}

func (b serviceBody) apply(v *identity.CatalogService, extra identity.Extra) {
	api.Set(&v.Type, b.Type)
	api.Set(&v.Name, b.Name)
	api.Set(&v.Description, b.Description)
	api.Set(&v.Enabled, b.Enabled)
	v.Extra = merged(v.Extra, extra)
}

func (k *keystone) createService(w http.ResponseWriter, r *api.Request) error {
	var b serviceBody
	extra, err := take(w, r, "service", &b)
	if err != nil {
		return err
	}
	v := identity.CatalogService{Enabled: true}
	b.apply(&v, extra)
	v, err = k.CreateService(r.Context(), v)
	return show(w, r, http.StatusCreated, "service", v, err, serviceDoc)
}

func (k *keystone) showService(w http.ResponseWriter, r *api.Request) error {
	v, err := k.Service.Service(r.Context(), r.PathValue("service"))
	return show(w, r, http.StatusOK, "service", v, err, serviceDoc)
}

func (k *keystone) updateService(w http.ResponseWriter, r *api.Request) error {
	var b serviceBody
	extra, err := take(w, r, "service", &b)
	if err != nil {
		return err
	}
	v, err := k.Service.Service(r.Context(), r.PathValue("service"))
	if err != nil {
		return err
	}
	b.apply(&v, extra)
	return show(w, r, http.StatusOK, "service", v, k.UpdateService(r.Context(), v), serviceDoc)
}

func (k *keystone) deleteService(w http.ResponseWriter, r *api.Request) error {
	return api.Gone(w, k.DeleteService(r.Context(), r.PathValue("service")))
}

func (k *keystone) endpoints(w http.ResponseWriter, r *api.Request) error {
	all, err := k.Endpoints(r.Context())
	return list(w, r, "endpoints", matching(r, all, endpointDoc, "service_id", "interface", "region_id"), err, endpointDoc)
}

type endpointBody struct {
	ServiceID *string `json:"service_id"`
	Interface *string `json:"interface"`
	URL       *string `json:"url"`
	RegionID  *string `json:"region_id"`
	Region    *string `json:"region"` // the older name of region_id
	Enabled   *bool   `json:"enabled"`
}

func (b endpointBody) apply(e *identity.Endpoint, extra identity.Extra) {
	api.Set(&e.ServiceID, b.ServiceID)
	api.Set(&e.Interface, b.Interface)
	api.Set(&e.URL, b.URL)
	api.Set(&e.RegionID, b.Region)
	api.Set(&e.RegionID, b.RegionID)
	api.Set(&e.Enabled, b.Enabled)
	e.Extra = merged(e.Extra, extra)
}

func (k *keystone) createEndpoint(w http.ResponseWriter, r *api.Request) error {
	var b endpointBody
	extra, err := take(w, r, "endpoint", &b)
	if err != nil {
		return err
	}
	e := identity.Endpoint{Enabled: true}
	b.apply(&e, extra)
	e, err = k.CreateEndpoint(r.Context(), e)
	return show(w, r, http.StatusCreated, "endpoint", e, err, endpointDoc)
}

func (k *keystone) showEndpoint(w http.ResponseWriter, r *api.Request) error {
	e, err := k.Endpoint(r.Context(), r.PathValue("endpoint"))
	return show(w, r, http.StatusOK, "endpoint", e, err, endpointDoc)
}

func (k *keystone) updateEndpoint(w http.ResponseWriter, r *api.Request) error {
	var b endpointBody
	extra, err := take(w, r, "endpoint", &b)
	if err != nil {
		return err
	}
	e, err := k.Endpoint(r.Context(), r.PathValue("endpoint"))
	if err != nil {
		return err
	}
	b.apply(&e, extra)
	return show(w, r, http.StatusOK, "endpoint", e, k.UpdateEndpoint(r.Context(), e), endpointDoc)
}

func (k *keystone) deleteEndpoint(w http.ResponseWriter, r *api.Request) error {
	return api.Gone(w, k.DeleteEndpoint(r.Context(), r.PathValue("endpoint")))
}

func (k *keystone) endpointProjects(w http.ResponseWriter, r *api.Request) error {
	ps, err := k.ProjectsWith(r.Context(), r.PathValue("endpoint"))
	return list(w, r, "projects", ps, err, projectDoc)
}

func (k *keystone) projectEndpoints(w http.ResponseWriter, r *api.Request) error {
	es, err := k.EndpointsOf(r.Context(), r.PathValue("project"))
	return list(w, r, "endpoints", es, err, endpointDoc)
}

func (k *keystone) chooseEndpoint(w http.ResponseWriter, r *api.Request) error {
	return api.Gone(w, k.ChooseEndpoint(r.Context(), r.PathValue("endpoint"), r.PathValue("project")))
}

func (k *keystone) chosenEndpoint(w http.ResponseWriter, r *api.Request) error {
	return api.Gone(w, k.Chosen(r.Context(), r.PathValue("endpoint"), r.PathValue("project")))
}

func (k *keystone) dropEndpoint(w http.ResponseWriter, r *api.Request) error {
	return api.Gone(w, k.DropEndpoint(r.Context(), r.PathValue("endpoint"), r.PathValue("project")))
}
