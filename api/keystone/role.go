package keystone

import (
	"context"
	"net/http"
	"slices"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

func roleDoc(r identity.Role) api.Object {
	return api.Object{"id": r.ID(), "name": string(r), "domain_id": nil, "description": nil, "options": api.Object{}, "links": api.Object{}}
}

func (k *keystone) roles(w http.ResponseWriter, r *api.Request) error {
	want := r.URL.Query().Get("name")
	var found []identity.Role
	for _, role := range identity.Roles {
		if want == "" || want == string(role) {
			found = append(found, role)
		}
	}
	return list(w, r, "roles", found, roleDoc)
}

// roleOf returns the role of an id.
func roleOf(id string) (identity.Role, error) {
	for _, role := range identity.Roles {
		if id == role.ID() {
			return role, nil
		}
	}
	return "", fault.Errorf(fault.NotFound, "no role %q", id)
}

func (k *keystone) role(w http.ResponseWriter, r *api.Request) error {
	role, err := roleOf(r.PathValue("id"))
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"role": roleDoc(role)})
}

func grantOf(r *api.Request) (identity.Grant, error) {
	target := r.PathValue("target")
	if target == "" {
		target = identity.System
	}
	role, err := roleOf(r.PathValue("role"))
	return identity.Grant{AccountID: r.PathValue("user"), Target: target, Role: role}, err
}

func (k *keystone) grant(w http.ResponseWriter, r *api.Request) error {
	g, err := grantOf(r)
	if err != nil {
		return err
	}
	return api.Gone(w, k.Grant(r.Context(), g))
}

func (k *keystone) ungrant(w http.ResponseWriter, r *api.Request) error {
	g, err := grantOf(r)
	if err != nil {
		return err
	}
	return api.Gone(w, k.Ungrant(r.Context(), g))
}

func (k *keystone) checkGrant(w http.ResponseWriter, r *api.Request) error {
	g, err := grantOf(r)
	if err != nil {
		return err
	}
	gs, err := k.Service.Grants(r.Context(), g.AccountID, g.Target)
	if err != nil {
		return err
	}
	for _, have := range gs {
		if have.Role == g.Role {
			return api.Gone(w, nil)
		}
	}
	return fault.Errorf(fault.NotFound, "the user does not have that role there")
}

func (k *keystone) grants(w http.ResponseWriter, r *api.Request) error {
	target := r.PathValue("target")
	if target == "" {
		target = identity.System
	}
	gs, err := k.Service.Grants(r.Context(), r.PathValue("user"), target)
	if err != nil {
		return err
	}
	return list(w, r, "roles", gs, func(g identity.Grant) api.Object { return roleDoc(g.Role) })
}

func (k *keystone) assignments(w http.ResponseWriter, r *api.Request) error {
	q := r.URL.Query()
	user, target := q.Get("user.id"), q.Get("scope.project.id")
	if q.Has("scope.system") {
		target = identity.System
	}
	if api.Permit(r.Caller, api.OperatorsRead) != nil && user != r.Caller.User.ID {
		return fault.Errorf(fault.Denied, "a user may list the own assignments only (user.id)")
	}
	gs, err := k.Service.Grants(r.Context(), user, target)
	if err != nil {
		return err
	}
	name := func(kind, id string) string { return id }
	if q.Has("include_names") {
		if name, err = k.names(r.Context()); err != nil {
			return err
		}
	}
	gs = slices.DeleteFunc(gs, func(g identity.Grant) bool { return q.Get("role.id") != "" && q.Get("role.id") != g.Role.ID() })
	domain := api.Object{"id": identity.DomainID, "name": "Default"}
	return list(w, r, "role_assignments", gs, func(g identity.Grant) api.Object {
		scope := api.Object{"project": api.Object{"id": g.Target, "name": name("project", g.Target), "domain": domain}}
		if g.Target == identity.System {
			scope = api.Object{"system": api.Object{"all": true}}
		}
		return api.Object{"role": api.Object{"id": g.Role.ID(), "name": g.Role}, "scope": scope, "links": api.Object{},
			"user": api.Object{"id": g.AccountID, "name": name("user", g.AccountID), "domain": domain}}
	})
}

// names returns a function that tells the names of projects and users.
func (k *keystone) names(ctx context.Context) (func(kind, id string) string, error) {
	projects, err := k.Projects(ctx, "", "")
	if err != nil {
		return nil, err
	}
	users, err := k.Users(ctx, "")
	if err != nil {
		return nil, err
	}
	known := map[string]string{}
	for _, p := range projects {
		known["project "+p.ID] = p.Name
	}
	for _, u := range users {
		known["user "+u.ID] = u.Name
	}
	return func(kind, id string) string { return known[kind+" "+id] }, nil
}
