// Package neutron speaks OpenStack Networking v2.0 for the network service, with the plane and tags of
// ECL2.0. Where the two disagree about tags, an empty set is null, which both read.
package neutron

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

// Prefix is where the service lives.
const Prefix = "/network"

type neutron struct{ *network.Service }

// Dialect makes the dialect.
func Dialect(s *network.Service) api.Dialect {
	n := &neutron{s}
	return api.Dialect{Prefix: Prefix, Error: Error, Routes: []api.Route{
		{"GET", "", api.Anyone, n.versions},
		{"GET", "/v2.0", api.Anyone, n.version},
		{"GET", "/v2.0/extensions", api.Authenticated, n.extensions},
		{"GET", "/v2.0/extensions/{alias}", api.Authenticated, n.extension},
		{"GET", "/v2.0/quotas/{project}", api.Readers, n.quotas},

		{"GET", "/v2.0/networks", api.Readers, n.networks},
		{"POST", "/v2.0/networks", api.Members, n.createNetwork},
		{"GET", "/v2.0/networks/{id}", api.Readers, n.network},
		{"PUT", "/v2.0/networks/{id}", api.Members, n.updateNetwork},
		{"DELETE", "/v2.0/networks/{id}", api.Members, n.deleteNetwork},

		{"GET", "/v2.0/subnets", api.Readers, n.subnets},
		{"POST", "/v2.0/subnets", api.Members, n.createSubnet},
		{"GET", "/v2.0/subnets/{id}", api.Readers, n.subnet},
		{"PUT", "/v2.0/subnets/{id}", api.Members, n.updateSubnet},
		{"DELETE", "/v2.0/subnets/{id}", api.Members, n.deleteSubnet},

		{"GET", "/v2.0/ports", api.Readers, n.ports},
		{"POST", "/v2.0/ports", api.Members, n.createPort},
		{"GET", "/v2.0/ports/{id}", api.Readers, n.port},
		{"PUT", "/v2.0/ports/{id}", api.Members, n.updatePort},
		{"DELETE", "/v2.0/ports/{id}", api.Members, n.deletePort},
	}}
}

// Error answers in Neutron's form.
func Error(w http.ResponseWriter, status int, err error) {
	kinds := map[int]string{400: "BadRequest", 401: "Unauthorized", 403: "PolicyNotAuthorized", 404: "NotFound", 405: "MethodNotAllowed", 409: "Conflict", 413: "RequestTooLarge", 503: "ServiceUnavailable"}
	kind := kinds[status]
	if kind == "" {
		kind = "HTTPInternalServerError"
	}
	_ = api.JSON(w, status, api.Object{"NeutronError": api.Object{"type": kind, "message": fault.Message(err), "detail": ""}})
}

// owner is whose things the caller sees: an operator sees all.
func owner(r *api.Request) network.Owner {
	if r.Caller.Operator() {
		return ""
	}
	return network.Owner(r.Caller.ProjectID())
}

// projectOf is the project that a new thing belongs to: only an operator may name another.
func projectOf(r *api.Request, tenant, project string) (string, error) {
	if project == "" {
		project = tenant
	}
	if project == "" || project == r.Caller.ProjectID() {
		return r.Caller.ProjectID(), nil
	}
	if !r.Caller.Operator() {
		return "", fault.Errorf(fault.Denied, "only an operator may act for another project")
	}
	return project, nil
}

func versionDoc(r *api.Request) api.Object {
	return api.Object{"id": "v2.0", "status": "CURRENT", "links": []api.Object{{"rel": "self", "href": api.BaseURL(r.Request) + Prefix + "/v2.0/"}}}
}

func (n *neutron) versions(w http.ResponseWriter, r *api.Request) error {
	return api.JSON(w, http.StatusOK, api.Object{"versions": []api.Object{versionDoc(r)}})
}

func (n *neutron) version(w http.ResponseWriter, r *api.Request) error {
	base := api.BaseURL(r.Request) + Prefix + "/v2.0/"
	var res []api.Object
	for _, name := range []string{"network", "subnet", "port"} {
		res = append(res, api.Object{"name": name, "collection": name + "s", "links": []api.Object{{"rel": "self", "href": base + name + "s"}}})
	}
	return api.JSON(w, http.StatusOK, api.Object{"resources": res})
}

// extensionsServed are the extensions whose behaviour is really there.
var extensionsServed = []struct{ alias, name string }{
	{"external-net", "Neutron external network"},
	{"net-mtu", "Network MTU"},
	{"project-id", "project_id field enabled"},
	{"allowed-address-pairs", "Allowed Address Pairs"},
	{"standard-attr-timestamp", "Resource timestamps"},
	{"standard-attr-revisions", "Resource revision numbers"},
	{"standard-attr-description", "standard-attr-description"},
}

func extensionDoc(alias, name string) api.Object {
	return api.Object{"alias": alias, "name": name, "description": name, "updated": "2016-01-01T00:00:00-00:00", "links": []string{}}
}

func (n *neutron) extensions(w http.ResponseWriter, _ *api.Request) error {
	out := []api.Object{}
	for _, e := range extensionsServed {
		out = append(out, extensionDoc(e.alias, e.name))
	}
	return api.JSON(w, http.StatusOK, api.Object{"extensions": out})
}

func (n *neutron) extension(w http.ResponseWriter, r *api.Request) error {
	for _, e := range extensionsServed {
		if e.alias == r.PathValue("alias") {
			return api.JSON(w, http.StatusOK, api.Object{"extension": extensionDoc(e.alias, e.name)})
		}
	}
	return fault.Errorf(fault.NotFound, "no extension %q", r.PathValue("alias"))
}

func (n *neutron) quotas(w http.ResponseWriter, r *api.Request) error {
	if r.PathValue("project") != r.Caller.ProjectID() && !r.Caller.Operator() {
		return fault.Errorf(fault.Denied, "only an operator sees the quotas of another project")
	}
	return api.JSON(w, http.StatusOK, api.Object{"quota": api.Object{"network": -1, "subnet": -1, "port": -1}})
}

// notFilters are query parameters that shape the answer.
var notFilters = []string{"fields", "limit", "marker", "sort_key", "sort_dir", "page_reverse"}

// list answers with the documents that the query selects, in Neutron's form.
func list(w http.ResponseWriter, r *api.Request, name string, docs []api.Object) error {
	q := r.URL.Query()
	out := []api.Object{}
	for _, d := range docs {
		if matches(d, q) {
			out = append(out, pick(d, q["fields"]))
		}
	}
	return api.JSON(w, http.StatusOK, api.Object{name: out})
}

// matches reports whether a document has, for every filter, one of its values.
func matches(d api.Object, q url.Values) bool {
	for key, want := range q {
		if slices.Contains(notFilters, key) {
			continue
		}
		if key == "fixed_ips" {
			if !hasAddress(d, want) {
				return false
			}
			continue
		}
		have, known := d[key]
		if known && !slices.ContainsFunc(want, func(v string) bool { return strings.EqualFold(v, fmt.Sprint(have)) }) {
			return false
		}
	}
	return true
}

// hasAddress serves the filter fixed_ips=ip_address=A and fixed_ips=subnet_id=S.
func hasAddress(d api.Object, want []string) bool {
	ips, _ := d["fixed_ips"].([]network.FixedIP)
	return !slices.ContainsFunc(want, func(v string) bool {
		key, value, _ := strings.Cut(v, "=")
		return !slices.ContainsFunc(ips, func(ip network.FixedIP) bool {
			return key == "ip_address" && ip.Address == value || key == "subnet_id" && ip.SubnetID == value
		})
	})
}

func pick(d api.Object, fields []string) api.Object {
	if len(fields) == 0 {
		return d
	}
	out := api.Object{}
	for _, f := range fields {
		if v, ok := d[f]; ok {
			out[f] = v
		}
	}
	return out
}

// tags are null when there are none: an object would break OpenStack's clients, a list ECL's.
func tags(t map[string]string) any {
	if len(t) == 0 {
		return nil
	}
	return t
}
