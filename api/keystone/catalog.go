package keystone

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
)

func (k *keystone) showCatalog(w http.ResponseWriter, r *api.Request) error {
	return api.JSON(w, http.StatusOK, api.Object{"catalog": k.catalogDoc(r, r.Caller), "links": api.Object{"self": api.BaseURL(r.Request) + r.URL.Path}})
}

func serviceDoc(e Endpoint) api.Object {
	return api.Object{"id": e.ID, "type": e.Type, "name": e.Name, "enabled": true, "description": "", "links": api.Object{}}
}

// endpointDoc shows the public endpoint of a service; the catalog's other interfaces are the same place.
func (k *keystone) endpointDoc(r *api.Request, e Endpoint) api.Object {
	address := api.BaseURL(r.Request) + strings.ReplaceAll(e.Path, "{project}", "%(project_id)s")
	return api.Object{"id": e.ID + "-public", "service_id": e.ID, "interface": "public", "region": k.region, "region_id": k.region, "url": address, "enabled": true, "links": api.Object{}}
}

func (k *keystone) regionDoc(id string) api.Object {
	return api.Object{"id": id, "description": "", "parent_region_id": nil, "links": api.Object{}}
}

// matching reports whether a document has the values that a query asks for, in the fields that it may ask for.
func matching(doc api.Object, q url.Values, fields ...string) bool {
	for _, f := range fields {
		if q.Get(f) != "" && q.Get(f) != doc[f] {
			return false
		}
	}
	return true
}

func (k *keystone) services(w http.ResponseWriter, r *api.Request) error {
	q := r.URL.Query()
	found := slices.DeleteFunc(slices.Clone(k.catalog), func(e Endpoint) bool { return !matching(serviceDoc(e), q, "type", "name") })
	return list(w, r, "services", found, serviceDoc)
}

func (k *keystone) service(w http.ResponseWriter, r *api.Request) error {
	for _, e := range k.catalog {
		if e.ID == r.PathValue("id") {
			return api.JSON(w, http.StatusOK, api.Object{"service": serviceDoc(e)})
		}
	}
	return fault.Errorf(fault.NotFound, "no service %q", r.PathValue("id"))
}

func (k *keystone) endpoints(w http.ResponseWriter, r *api.Request) error {
	q := r.URL.Query()
	show := func(e Endpoint) api.Object { return k.endpointDoc(r, e) }
	found := slices.DeleteFunc(slices.Clone(k.catalog), func(e Endpoint) bool { return !matching(show(e), q, "service_id", "interface", "region_id") })
	return list(w, r, "endpoints", found, show)
}

func (k *keystone) endpoint(w http.ResponseWriter, r *api.Request) error {
	for _, e := range k.catalog {
		if doc := k.endpointDoc(r, e); doc["id"] == r.PathValue("id") {
			return api.JSON(w, http.StatusOK, api.Object{"endpoint": doc})
		}
	}
	return fault.Errorf(fault.NotFound, "no endpoint %q", r.PathValue("id"))
}

func (k *keystone) regions(w http.ResponseWriter, r *api.Request) error {
	return list(w, r, "regions", []string{k.region}, k.regionDoc)
}

func (k *keystone) showRegion(w http.ResponseWriter, r *api.Request) error {
	if r.PathValue("id") != k.region {
		return fault.Errorf(fault.NotFound, "no region %q", r.PathValue("id"))
	}
	return api.JSON(w, http.StatusOK, api.Object{"region": k.regionDoc(k.region)})
}
