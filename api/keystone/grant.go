package keystone

import (
	"net/http"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

func (k *keystone) grantRoutes() []api.Route {
	return []api.Route{
		{"GET", "/v3/role_assignments", api.Authenticated, k.assignments},
		{"GET", "/v3/projects/{project}/users/{user}/roles", api.DomainReaders, k.granted},
		{"PUT", "/v3/projects/{project}/users/{user}/roles/{role}", api.DomainAdmins, k.grant},
		{"GET", "/v3/projects/{project}/users/{user}/roles/{role}", api.DomainReaders, k.checkGrant},
		{"DELETE", "/v3/projects/{project}/users/{user}/roles/{role}", api.DomainAdmins, k.ungrant},
		{"GET", "/v3/projects/{project}/groups/{group}/roles", api.DomainReaders, k.granted},
		{"PUT", "/v3/projects/{project}/groups/{group}/roles/{role}", api.DomainAdmins, k.grant},
		{"GET", "/v3/projects/{project}/groups/{group}/roles/{role}", api.DomainReaders, k.checkGrant},
		{"DELETE", "/v3/projects/{project}/groups/{group}/roles/{role}", api.DomainAdmins, k.ungrant},
		{"GET", "/v3/domains/{domain}/users/{user}/roles", api.DomainReaders, k.granted},
		{"PUT", "/v3/domains/{domain}/users/{user}/roles/{role}", api.DomainAdmins, k.grant},
		{"GET", "/v3/domains/{domain}/users/{user}/roles/{role}", api.DomainReaders, k.checkGrant},
		{"DELETE", "/v3/domains/{domain}/users/{user}/roles/{role}", api.DomainAdmins, k.ungrant},
		{"GET", "/v3/domains/{domain}/groups/{group}/roles", api.DomainReaders, k.granted},
		{"PUT", "/v3/domains/{domain}/groups/{group}/roles/{role}", api.DomainAdmins, k.grant},
		{"GET", "/v3/domains/{domain}/groups/{group}/roles/{role}", api.DomainReaders, k.checkGrant},
		{"DELETE", "/v3/domains/{domain}/groups/{group}/roles/{role}", api.DomainAdmins, k.ungrant},
		{"GET", "/v3/system/users/{user}/roles", api.OperatorsRead, k.granted},
		{"PUT", "/v3/system/users/{user}/roles/{role}", api.Operators, k.grant},
		{"GET", "/v3/system/users/{user}/roles/{role}", api.OperatorsRead, k.checkGrant},
		{"DELETE", "/v3/system/users/{user}/roles/{role}", api.Operators, k.ungrant},
		{"GET", "/v3/system/groups/{group}/roles", api.OperatorsRead, k.granted},
		{"PUT", "/v3/system/groups/{group}/roles/{role}", api.Operators, k.grant},
		{"GET", "/v3/system/groups/{group}/roles/{role}", api.OperatorsRead, k.checkGrant},
		{"DELETE", "/v3/system/groups/{group}/roles/{role}", api.Operators, k.ungrant},
	}
}

// inherited begins the paths of roles that are worth something below their target only.
const inherited = "/v3/OS-INHERIT/"

func (k *keystone) inheritedRoutes() []api.Route {
	return []api.Route{
		{"GET", "/v3/OS-INHERIT/projects/{project}/users/{user}/roles/inherited_to_projects", api.DomainReaders, k.granted},
		{"PUT", "/v3/OS-INHERIT/projects/{project}/users/{user}/roles/{role}/inherited_to_projects", api.DomainAdmins, k.grant},
		{"GET", "/v3/OS-INHERIT/projects/{project}/users/{user}/roles/{role}/inherited_to_projects", api.DomainReaders, k.checkGrant},
		{"DELETE", "/v3/OS-INHERIT/projects/{project}/users/{user}/roles/{role}/inherited_to_projects", api.DomainAdmins, k.ungrant},
		{"GET", "/v3/OS-INHERIT/projects/{project}/groups/{group}/roles/inherited_to_projects", api.DomainReaders, k.granted},
		{"PUT", "/v3/OS-INHERIT/projects/{project}/groups/{group}/roles/{role}/inherited_to_projects", api.DomainAdmins, k.grant},
		{"GET", "/v3/OS-INHERIT/projects/{project}/groups/{group}/roles/{role}/inherited_to_projects", api.DomainReaders, k.checkGrant},
		{"DELETE", "/v3/OS-INHERIT/projects/{project}/groups/{group}/roles/{role}/inherited_to_projects", api.DomainAdmins, k.ungrant},
		{"GET", "/v3/OS-INHERIT/domains/{domain}/users/{user}/roles/inherited_to_projects", api.DomainReaders, k.granted},
		{"PUT", "/v3/OS-INHERIT/domains/{domain}/users/{user}/roles/{role}/inherited_to_projects", api.DomainAdmins, k.grant},
		{"GET", "/v3/OS-INHERIT/domains/{domain}/users/{user}/roles/{role}/inherited_to_projects", api.DomainReaders, k.checkGrant},
		{"DELETE", "/v3/OS-INHERIT/domains/{domain}/users/{user}/roles/{role}/inherited_to_projects", api.DomainAdmins, k.ungrant},
		{"GET", "/v3/OS-INHERIT/domains/{domain}/groups/{group}/roles/inherited_to_projects", api.DomainReaders, k.granted},
		{"PUT", "/v3/OS-INHERIT/domains/{domain}/groups/{group}/roles/{role}/inherited_to_projects", api.DomainAdmins, k.grant},
		{"GET", "/v3/OS-INHERIT/domains/{domain}/groups/{group}/roles/{role}/inherited_to_projects", api.DomainReaders, k.checkGrant},
		{"DELETE", "/v3/OS-INHERIT/domains/{domain}/groups/{group}/roles/{role}/inherited_to_projects", api.DomainAdmins, k.ungrant},
	}
}

// grantOf reads the grant that a path is about, if the caller may look at, or change, what is in its target's domain.
func (k *keystone) grantOf(r *api.Request, permit func(r *api.Request, domain, what, id string) error) (identity.Grant, error) {
	g := identity.Grant{Actor: r.PathValue("user"), Target: identity.System, RoleID: r.PathValue("role"),
		Inherited: strings.HasPrefix(strings.TrimPrefix(r.URL.Path, Prefix), inherited)}
	if group := r.PathValue("group"); group != "" {
		g.Actor, g.IsGroup = group, true
	}
	project, domain := r.PathValue("project"), r.PathValue("domain")
	switch {
	case project != "":
		p, err := k.Project(r.Context(), project)
		if err != nil || p.IsDomain {
			return g, fault.Errorf(fault.NotFound, "no project %q", project)
		}
		g.Target = p.ID
		return g, permit(r, p.DomainID, "project", project)
	case domain != "":
		d, err := k.Domain(r.Context(), domain)
		if err != nil {
			return g, err
		}
		g.Target = d.ID
		return g, permit(r, d.ID, "domain", domain)
	}
	return g, nil
}

// delegated refuses what a domain's administrator may not hand on: roles to users and groups of other domains, and roles that
// reach beyond the domain.
func (k *keystone) delegated(r *api.Request, g identity.Grant) error {
	if r.Caller.Operator() {
		return nil
	}
	if g.IsGroup {
		if _, err := k.seenGroup(r); err != nil {
			return err
		}
	} else if _, err := k.seenUser(r); err != nil {
		return err
	}
	ok, err := k.Delegable(r.Context(), g.RoleID)
	if err == nil && !ok {
		err = fault.Errorf(fault.Denied, "only operators give the role %q", g.RoleID)
	}
	return err
}

func (k *keystone) grant(w http.ResponseWriter, r *api.Request) error {
	g, err := k.grantOf(r, managed)
	if err != nil {
		return err
	}
	if err := k.delegated(r, g); err != nil {
		return err
	}
	return api.Gone(w, k.Grant(r.Context(), g))
}

func (k *keystone) ungrant(w http.ResponseWriter, r *api.Request) error {
	g, err := k.grantOf(r, managed)
	if err != nil {
		return err
	}
	return api.Gone(w, k.Ungrant(r.Context(), g))
}

func (k *keystone) checkGrant(w http.ResponseWriter, r *api.Request) error {
	g, err := k.grantOf(r, visible)
	if err != nil {
		return err
	}
	return api.Gone(w, k.Granted(r.Context(), g))
}

func (k *keystone) granted(w http.ResponseWriter, r *api.Request) error {
	g, err := k.grantOf(r, visible)
	if err != nil {
		return err
	}
	rs, err := k.GrantedRoles(r.Context(), g)
	return list(w, r, "roles", rs, err, roleDoc)
}

// assignments lists grants. Who may not look at everything sees the own ones, or those of the own domain.
func (k *keystone) assignments(w http.ResponseWriter, r *api.Request) error {
	q := r.URL.Query()
	a := identity.AssignmentQuery{User: q.Get("user.id"), Group: q.Get("group.id"), Role: q.Get("role.id"), Effective: asked(q, "effective"),
		Inherited: q.Get("scope.OS-INHERIT:inherited_to") == "projects", Subtree: asked(q, "include_subtree")}
	project, domain := q.Get("scope.project.id"), q.Get("scope.domain.id")
	switch {
	case project != "" && domain != "" || a.User != "" && a.Group != "":
		return fault.Errorf(fault.Invalid, "give one of scope.project.id and scope.domain.id, and one of user.id and group.id")
	case a.Subtree && project == "":
		return fault.Field("include_subtree", "needs scope.project.id")
	case q.Has("scope.system"):
		a.Target = identity.System
	default:
		a.Target = project + domain
	}
	if !r.Caller.ReadsAll() && a.User != r.Caller.User.ID {
		if api.Permit(r.Caller, api.DomainReaders) != nil {
			return fault.Errorf(fault.Denied, "a user may list the own assignments only (user.id)")
		}
		a.In = r.Caller.Domain.ID
	}
	as, err := k.Assignments(r.Context(), a)
	return list(w, r, "role_assignments", as, err, assignmentDoc)
}

func assignmentDoc(r *api.Request, a identity.Assignment) api.Object {
	names := asked(r.URL.Query(), "include_names")
	ref := func(id, name, domain, domainName string) api.Object {
		o := api.Object{"id": id}
		if names {
			o["name"] = name
			if domain != "" {
				o["domain"] = api.Object{"id": domain, "name": domainName}
			}
		}
		return o
	}
	actors, actor := "users", "user"
	if a.IsGroup {
		actors, actor = "groups", "group"
	}
	doc := api.Object{"role": ref(a.RoleID, a.RoleName, a.RoleDomain, ""), actor: ref(a.Actor, a.ActorName, a.ActorDomain, a.ActorDomainName)}
	var scope api.Object
	var path []string
	switch {
	case a.Target == identity.System:
		scope, path = api.Object{"system": api.Object{"all": true}}, []string{"system"}
	case a.TargetIsDomain:
		scope, path = api.Object{"domain": ref(a.Target, a.TargetName, "", "")}, []string{"domains", a.Target}
	default:
		scope, path = api.Object{"project": ref(a.Target, a.TargetName, a.TargetDomain, a.TargetDomainName)}, []string{"projects", a.Target}
	}
	path = append(path, actors, a.Actor, "roles", a.RoleID)
	if a.Inherited {
		scope["OS-INHERIT:inherited_to"] = "projects"
		path = append(append([]string{"OS-INHERIT"}, path...), "inherited_to_projects")
	}
	doc["scope"], doc["links"] = scope, api.Object{"assignment": self(r, path...)["self"]}
	return doc
}
