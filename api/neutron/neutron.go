// Package neutron speaks OpenStack Networking v2.0 for the network service, with the plane and tags of
// ECL2.0. Where the two disagree about tags, an empty set is null, which both read.
package neutron

import (
	"errors"
	"net/http"

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
	nets, subs, ports := n.networkKind(), n.subnetKind(), n.portKind()
	pools, scopes, policies := n.poolKind(), n.scopeKind(), n.policyKind()
	return api.Dialect{Prefix: Prefix, Error: Error, Routes: append(append(n.security(), n.layer3()...), []api.Route{
		{"GET", "", api.Anyone, n.versions},
		{"GET", "/v2.0", api.Anyone, n.version},
		{"GET", "/v2.0/extensions", api.Authenticated, n.extensions},
		{"GET", "/v2.0/extensions/{alias}", api.Authenticated, n.extension},

		{"GET", "/v2.0/networks", api.Readers, nets.all},
		{"POST", "/v2.0/networks", api.Members, nets.make},
		{"GET", "/v2.0/networks/{id}", api.Readers, nets.show},
		{"PUT", "/v2.0/networks/{id}", api.Members, nets.change},
		{"DELETE", "/v2.0/networks/{id}", api.Members, nets.forget},
		{"GET", "/v2.0/network-ip-availabilities", api.Operators, n.availabilities},
		{"GET", "/v2.0/network-ip-availabilities/{id}", api.Operators, n.availability},

		{"GET", "/v2.0/subnets", api.Readers, subs.all},
		{"POST", "/v2.0/subnets", api.Members, subs.make},
		{"GET", "/v2.0/subnets/{id}", api.Readers, subs.show},
		{"PUT", "/v2.0/subnets/{id}", api.Members, subs.change},
		{"DELETE", "/v2.0/subnets/{id}", api.Members, subs.forget},

		{"GET", "/v2.0/ports", api.Readers, ports.all},
		{"POST", "/v2.0/ports", api.Members, ports.make},
		{"GET", "/v2.0/ports/{id}", api.Readers, ports.show},
		{"PUT", "/v2.0/ports/{id}", api.Members, ports.change},
		{"DELETE", "/v2.0/ports/{id}", api.Members, ports.forget},

		{"GET", "/v2.0/subnetpools", api.Readers, pools.all},
		{"POST", "/v2.0/subnetpools", api.Members, pools.make},
		{"GET", "/v2.0/subnetpools/{id}", api.Readers, pools.show},
		{"PUT", "/v2.0/subnetpools/{id}", api.Members, pools.change},
		{"DELETE", "/v2.0/subnetpools/{id}", api.Members, pools.forget},
		{"PUT", "/v2.0/subnetpools/{id}/add_prefixes", api.Members, n.addPrefixes},
		{"PUT", "/v2.0/subnetpools/{id}/remove_prefixes", api.Members, n.removePrefixes},

		{"GET", "/v2.0/address-scopes", api.Readers, scopes.all},
		{"POST", "/v2.0/address-scopes", api.Members, scopes.make},
		{"GET", "/v2.0/address-scopes/{id}", api.Readers, scopes.show},
		{"PUT", "/v2.0/address-scopes/{id}", api.Members, scopes.change},
		{"DELETE", "/v2.0/address-scopes/{id}", api.Members, scopes.forget},

		{"GET", "/v2.0/rbac-policies", api.Readers, policies.all},
		{"POST", "/v2.0/rbac-policies", api.Members, policies.make},
		{"GET", "/v2.0/rbac-policies/{id}", api.Readers, policies.show},
		{"PUT", "/v2.0/rbac-policies/{id}", api.Members, policies.change},
		{"DELETE", "/v2.0/rbac-policies/{id}", api.Members, policies.forget},

		{"GET", "/v2.0/quotas", api.Operators, n.quotasSet},
		{"GET", "/v2.0/quotas/{project}", api.Readers, n.quota},
		{"GET", "/v2.0/quotas/{project}/default", api.Readers, n.quotaDefault},
		{"GET", "/v2.0/quotas/{project}/details", api.Readers, n.quotaDetails},
		{"GET", "/v2.0/quotas/{project}/details.json", api.Readers, n.quotaDetails},
		{"PUT", "/v2.0/quotas/{project}", api.Operators, n.setQuota},
		{"DELETE", "/v2.0/quotas/{project}", api.Operators, n.resetQuota},

		{"GET", "/v2.0/{collection}/{id}/tags", api.Readers, n.tags},
		{"PUT", "/v2.0/{collection}/{id}/tags", api.Members, n.replaceTags},
		{"DELETE", "/v2.0/{collection}/{id}/tags", api.Members, n.clearTags},
		{"GET", "/v2.0/{collection}/{id}/tags/{tag}", api.Readers, n.hasTag},
		{"PUT", "/v2.0/{collection}/{id}/tags/{tag}", api.Members, n.addTag},
		{"DELETE", "/v2.0/{collection}/{id}/tags/{tag}", api.Members, n.removeTag},
	}...)}
}

// security are the routes of security groups and what their rules name.
func (n *neutron) security() []api.Route {
	groups, rules, addresses := n.groupKind(), n.ruleKind(), n.addressGroupKind()
	return []api.Route{
		{"GET", "/v2.0/security-groups", api.Readers, n.groups(groups.all)},
		{"POST", "/v2.0/security-groups", api.Members, groups.make},
		{"GET", "/v2.0/security-groups/{id}", api.Readers, groups.show},
		{"PUT", "/v2.0/security-groups/{id}", api.Members, groups.change},
		{"DELETE", "/v2.0/security-groups/{id}", api.Members, groups.forget},
		{"GET", "/v2.0/security-group-rules", api.Readers, n.groups(rules.all)},
		{"POST", "/v2.0/security-group-rules", api.Members, rules.make},
		{"GET", "/v2.0/security-group-rules/{id}", api.Readers, rules.show},
		{"DELETE", "/v2.0/security-group-rules/{id}", api.Members, rules.forget},

		{"GET", "/v2.0/address-groups", api.Readers, addresses.all},
		{"POST", "/v2.0/address-groups", api.Members, addresses.make},
		{"GET", "/v2.0/address-groups/{id}", api.Readers, addresses.show},
		{"PUT", "/v2.0/address-groups/{id}", api.Members, addresses.change},
		{"DELETE", "/v2.0/address-groups/{id}", api.Members, addresses.forget},
		{"PUT", "/v2.0/address-groups/{id}/add_addresses", api.Members, n.addAddresses},
		{"PUT", "/v2.0/address-groups/{id}/remove_addresses", api.Members, n.removeAddresses},
	}
}

// Error answers in Neutron's form. The type is the fault's own where it has one: clients tell faults of one status
// apart by it.
func Error(w http.ResponseWriter, status int, err error) {
	kinds := map[int]string{400: "HTTPBadRequest", 401: "HTTPUnauthorized", 403: "PolicyNotAuthorized", 404: "HTTPNotFound", 405: "HTTPMethodNotAllowed", 409: "HTTPConflict", 413: "HTTPRequestEntityTooLarge", 429: "HTTPTooManyRequests", 503: "HTTPServiceUnavailable"}
	kind := kinds[status]
	if kind == "" {
		kind = "HTTPInternalServerError"
	}
	var p *network.Problem
	if errors.As(err, &p) {
		kind = p.Type
	}
	if kind == "RevisionNumberConstraintFailed" {
		status = http.StatusPreconditionFailed
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
	for _, c := range [][2]string{{"network", "networks"}, {"subnet", "subnets"}, {"port", "ports"}, {"subnetpool", "subnetpools"}, {"address_scope", "address-scopes"},
		{"security_group", "security-groups"}, {"security_group_rule", "security-group-rules"}, {"address_group", "address-groups"}, {"rbac_policy", "rbac-policies"}, {"router", "routers"}, {"floatingip", "floatingips"}} {
		res = append(res, api.Object{"name": c[0], "collection": c[1], "links": []api.Object{{"rel": "self", "href": base + c[1]}}})
	}
	return api.JSON(w, http.StatusOK, api.Object{"resources": res})
}
