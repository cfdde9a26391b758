// Package keystone speaks OpenStack Identity v3 for the identity service, so that every OpenStack and
// ECL2.0 client can authenticate unchanged.
package keystone

import (
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

// Prefix is where the service lives.
const Prefix = "/identity"

// Endpoint is a service in the catalog. Path may hold {project}, which is left out of unscoped catalogs.
type Endpoint struct{ ID, Type, Name, Path string }

type keystone struct {
	*identity.Service
	catalog []Endpoint
	region  string
}

// Dialect makes the dialect. The catalog lists every service of the cloud.
func Dialect(s *identity.Service, catalog []Endpoint, region string) api.Dialect {
	k := &keystone{s, catalog, region}
	return api.Dialect{Prefix: Prefix, Error: Error, Routes: []api.Route{
		{"GET", "", api.Anyone, k.versions},
		{"GET", "/v3", api.Anyone, k.version},

		{"POST", "/v3/auth/tokens", api.Anyone, k.issue},
		{"GET", "/v3/auth/tokens", api.Authenticated, k.validate},
		{"DELETE", "/v3/auth/tokens", api.Authenticated, k.revoke},
		{"GET", "/v3/auth/catalog", api.Authenticated, k.showCatalog},
		{"GET", "/v3/auth/projects", api.Authenticated, k.myProjects},
		{"GET", "/v3/auth/domains", api.Authenticated, k.domains},
		{"GET", "/v3/auth/system", api.Authenticated, k.mySystem},

		{"GET", "/v3/domains", api.Authenticated, k.domains},
		{"GET", "/v3/domains/{id}", api.Authenticated, k.domain},
		{"GET", "/v3/regions", api.Authenticated, k.regions},
		{"GET", "/v3/regions/{id}", api.Authenticated, k.showRegion},
		{"GET", "/v3/services", api.OperatorsRead, k.services},
		{"GET", "/v3/services/{id}", api.OperatorsRead, k.service},
		{"GET", "/v3/endpoints", api.OperatorsRead, k.endpoints},
		{"GET", "/v3/endpoints/{id}", api.OperatorsRead, k.endpoint},

		{"GET", "/v3/projects", api.OperatorsRead, k.projects},
		{"POST", "/v3/projects", api.Operators, k.createProject},
		{"GET", "/v3/projects/{id}", api.Authenticated, k.project},
		{"PATCH", "/v3/projects/{id}", api.Operators, k.updateProject},
		{"DELETE", "/v3/projects/{id}", api.Operators, k.deleteProject},

		{"GET", "/v3/users", api.OperatorsRead, k.users},
		{"POST", "/v3/users", api.Operators, k.createUser},
		{"GET", "/v3/users/{id}", api.Authenticated, k.user},
		{"PATCH", "/v3/users/{id}", api.Operators, k.updateUser},
		{"DELETE", "/v3/users/{id}", api.Operators, k.deleteUser},
		{"POST", "/v3/users/{id}/password", api.Anyone, k.changePassword},
		{"GET", "/v3/users/{id}/projects", api.Authenticated, k.userProjects},

		{"GET", "/v3/roles", api.Authenticated, k.roles},
		{"GET", "/v3/roles/{id}", api.Authenticated, k.role},
		{"GET", "/v3/role_assignments", api.Authenticated, k.assignments},
		{"PUT", "/v3/projects/{target}/users/{user}/roles/{role}", api.Operators, k.grant},
		{"HEAD", "/v3/projects/{target}/users/{user}/roles/{role}", api.OperatorsRead, k.checkGrant},
		{"DELETE", "/v3/projects/{target}/users/{user}/roles/{role}", api.Operators, k.ungrant},
		{"GET", "/v3/projects/{target}/users/{user}/roles", api.OperatorsRead, k.grants},
		{"PUT", "/v3/system/users/{user}/roles/{role}", api.Operators, k.grant},
		{"DELETE", "/v3/system/users/{user}/roles/{role}", api.Operators, k.ungrant},
		{"GET", "/v3/system/users/{user}/roles", api.OperatorsRead, k.grants},

		{"GET", "/v3/users/{user}/application_credentials", api.Authenticated, k.appCredentials},
		{"POST", "/v3/users/{user}/application_credentials", api.Authenticated, k.createAppCredential},
		{"GET", "/v3/users/{user}/application_credentials/{id}", api.Authenticated, k.appCredential},
		{"DELETE", "/v3/users/{user}/application_credentials/{id}", api.Authenticated, k.deleteAppCredential},
	}}
}

// Error answers in Keystone's form.
func Error(w http.ResponseWriter, status int, err error) {
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Keystone uri="/identity/v3"`)
	}
	_ = api.JSON(w, status, api.Object{"error": api.Object{"code": status, "title": http.StatusText(status), "message": fault.Message(err)}})
}

func (k *keystone) versionDoc(r *api.Request) api.Object {
	return api.Object{
		"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
		"links":       []api.Object{{"rel": "self", "href": api.BaseURL(r.Request) + Prefix + "/v3/"}},
		"media-types": []api.Object{{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}},
	}
}

func (k *keystone) versions(w http.ResponseWriter, r *api.Request) error {
	return api.JSON(w, http.StatusMultipleChoices, api.Object{"versions": api.Object{"values": []api.Object{k.versionDoc(r)}}})
}

func (k *keystone) version(w http.ResponseWriter, r *api.Request) error {
	return api.JSON(w, http.StatusOK, api.Object{"version": k.versionDoc(r)})
}

// list answers with a collection in Keystone's form.
func list[T any](w http.ResponseWriter, r *api.Request, name string, items []T, show func(T) api.Object) error {
	out := make([]api.Object, 0, len(items))
	for _, i := range items {
		out = append(out, show(i))
	}
	return api.JSON(w, http.StatusOK, api.Object{name: out, "links": api.Object{"self": api.BaseURL(r.Request) + r.URL.Path, "previous": nil, "next": nil}})
}

// mine refuses callers who are neither the user in question nor operators.
func mine(r *api.Request, user string) error {
	if r.Caller.User.ID != user && !r.Caller.Operator() {
		return fault.Errorf(fault.NotFound, "no user %q", user)
	}
	return nil
}
