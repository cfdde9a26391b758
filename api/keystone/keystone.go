// Package keystone speaks OpenStack Identity v3 for the identity service, so that every OpenStack and
// ECL2.0 client can authenticate unchanged.
package keystone

import (
	"net/http"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

// Prefix is where the service lives.
const Prefix = "/identity"

// Endpoint is a service in the catalog. Path may hold {project}, which is left out of unscoped catalogs.
type Endpoint struct{ ID, Type, Name, Path string }

type keystone struct{ *identity.Service }

// Dialect makes the dialect. The catalog lists every service of the cloud.
func Dialect(s *identity.Service, catalog []Endpoint, region string) api.Dialect {
	s.Offer(offered(catalog, region))
	k := &keystone{s}
	return api.Dialect{Prefix: Prefix, Error: Error, Routes: slices.Concat(k.tokenRoutes(), k.peopleRoutes(), k.projectRoutes(), k.roleRoutes(),
		k.grantRoutes(), k.inheritedRoutes(), k.secretRoutes(), k.catalogRoutes(), k.limitRoutes())}
}

// offered translates what the cloud itself offers: each service at one place, by all three interfaces.
func offered(catalog []Endpoint, region string) identity.Catalog {
	c := identity.Catalog{Region: identity.Region{ID: region}}
	for _, e := range catalog {
		c.Services = append(c.Services, identity.CatalogService{ID: e.ID, Type: e.Type, Name: e.Name, Enabled: true, Own: true})
		for _, i := range []string{"public", "internal", "admin"} {
			c.Endpoints = append(c.Endpoints, identity.Endpoint{ID: e.ID + "-" + i, ServiceID: e.ID, RegionID: region, Interface: i,
				URL: strings.ReplaceAll(e.Path, "{project}", "%(project_id)s"), Enabled: true, Own: true})
		}
	}
	return c
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

// mine refuses callers who are neither the user in question nor operators.
func mine(r *api.Request, user string) error {
	if r.Caller.User.ID != user && !r.Caller.Operator() {
		return fault.Errorf(fault.NotFound, "no user %q", user)
	}
	return nil
}

// visible refuses callers who may not look into a domain; what is there does not exist for them.
func visible(r *api.Request, domain, what, id string) error {
	if !r.Caller.Reads(domain) {
		return fault.Errorf(fault.NotFound, "no %s %q", what, id)
	}
	return nil
}

// managed refuses callers who may not change what is in a domain.
func managed(r *api.Request, domain, what, id string) error {
	if r.Caller.Manages(domain) {
		return nil
	}
	if err := visible(r, domain, what, id); err != nil {
		return err
	}
	return fault.Errorf(fault.Denied, "the role of the token does not allow to change the %s", what)
}

// ruled is managed for users and groups, of which some are operators: these only operators may change.
func (k *keystone) ruled(r *api.Request, domain, what, id string) error {
	if err := managed(r, domain, what, id); err != nil || r.Caller.Operator() {
		return err
	}
	powerful, err := k.Powerful(r.Context(), id)
	if err == nil && powerful {
		return fault.Errorf(fault.Denied, "the %s has roles on the system or the operators' project; only operators may change it", what)
	}
	return err
}

// homeOf returns the domain that something new goes to: the one that is named, else the caller's.
func homeOf(r *api.Request, named string) string {
	switch {
	case named != "":
		return named
	case r.Caller.Domain != nil:
		return r.Caller.Domain.ID
	}
	return identity.DomainID
}

// within narrows a list to what the caller may look at.
func within(r *api.Request, q identity.Query, column string) identity.Query {
	if r.Caller.ReadsAll() {
		return q
	}
	return q.And(column, r.Caller.Domain.ID)
}
