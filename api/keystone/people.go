package keystone

import (
	"net/http"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

func roleDoc(r identity.Role) api.Object {
	return api.Object{"id": r.ID(), "name": string(r), "domain_id": nil, "description": nil, "options": api.Object{}, "links": api.Object{}}
}

func projectDoc(p identity.Project) api.Object {
	return api.Object{"id": p.ID, "name": p.Name, "description": p.Description, "enabled": p.Enabled, "domain_id": identity.DomainID,
		"parent_id": identity.DomainID, "is_domain": false, "tags": []string{}, "options": api.Object{}, "links": api.Object{}}
}

func userDoc(u identity.User) api.Object {
	o := api.Object{"id": u.ID, "name": u.Name, "email": u.Email, "description": u.Description, "enabled": u.Enabled, "domain_id": identity.DomainID,
		"password_expires_at": nil, "options": api.Object{}, "links": api.Object{}}
	if u.DefaultProjectID != "" {
		o["default_project_id"] = u.DefaultProjectID
	}
	return o
}

func domainDoc(struct{}) api.Object {
	return api.Object{"id": identity.DomainID, "name": identity.DomainName, "description": "the one domain", "enabled": true, "options": api.Object{}, "links": api.Object{}}
}

func (k *keystone) domains(w http.ResponseWriter, r *api.Request) error {
	return list(w, r, "domains", []struct{}{{}}, domainDoc)
}

func (k *keystone) domain(w http.ResponseWriter, r *api.Request) error {
	if r.PathValue("id") != identity.DomainID {
		return fault.Errorf(fault.NotFound, "no domain %q", r.PathValue("id"))
	}
	return api.JSON(w, http.StatusOK, api.Object{"domain": domainDoc(struct{}{})})
}

func (k *keystone) mySystem(w http.ResponseWriter, r *api.Request) error {
	gs, err := k.Service.Grants(r.Context(), r.Caller.User.ID, identity.System)
	if err != nil {
		return err
	}
	out := []api.Object{}
	if len(gs) > 0 {
		out = append(out, api.Object{"all": true})
	}
	return api.JSON(w, http.StatusOK, api.Object{"system": out, "links": api.Object{}})
}

func (k *keystone) projects(w http.ResponseWriter, r *api.Request) error {
	ps, err := k.Projects(r.Context(), r.URL.Query().Get("name"), "")
	if err != nil {
		return err
	}
	return list(w, r, "projects", ps, projectDoc)
}

func (k *keystone) myProjects(w http.ResponseWriter, r *api.Request) error {
	ps, err := k.Projects(r.Context(), "", r.Caller.User.ID)
	if err != nil {
		return err
	}
	return list(w, r, "projects", ps, projectDoc)
}

func (k *keystone) userProjects(w http.ResponseWriter, r *api.Request) error {
	if err := mine(r, r.PathValue("id")); err != nil {
		return err
	}
	ps, err := k.Projects(r.Context(), "", r.PathValue("id"))
	if err != nil {
		return err
	}
	return list(w, r, "projects", ps, projectDoc)
}

type projectBody struct {
	Project struct {
		Name        *string `json:"name"`
		Description *string `json:"description"`
		Enabled     *bool   `json:"enabled"`
		DomainID    string  `json:"domain_id"`
		ParentID    any     `json:"parent_id"`
		IsDomain    bool    `json:"is_domain"`
		Tags        any     `json:"tags"`
		Options     any     `json:"options"`
	} `json:"project"`
}

func (b projectBody) apply(p *identity.Project) error {
	if b.Project.IsDomain || (b.Project.DomainID != "" && b.Project.DomainID != identity.DomainID) {
		return fault.Field("project.domain_id", "there is one domain, %q", identity.DomainID)
	}
	set(&p.Name, b.Project.Name)
	set(&p.Description, b.Project.Description)
	set(&p.Enabled, b.Project.Enabled)
	return nil
}

// set overwrites dst with what a request gave.
func set[T any](dst *T, v *T) {
	if v != nil {
		*dst = *v
	}
}

func (k *keystone) createProject(w http.ResponseWriter, r *api.Request) error {
	var b projectBody
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	p := identity.Project{Enabled: true}
	if err := b.apply(&p); err != nil {
		return err
	}
	p, err := k.CreateProject(r.Context(), p)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusCreated, api.Object{"project": projectDoc(p)})
}

func (k *keystone) project(w http.ResponseWriter, r *api.Request) error {
	id := r.PathValue("id")
	if r.Caller.ProjectID() != id && api.Permit(r.Caller, api.OperatorsRead) != nil {
		return fault.Errorf(fault.NotFound, "no project %q", id)
	}
	p, err := k.Project(r.Context(), id)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"project": projectDoc(p)})
}

func (k *keystone) updateProject(w http.ResponseWriter, r *api.Request) error {
	var b projectBody
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	p, err := k.Project(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := b.apply(&p); err != nil {
		return err
	}
	if err := k.UpdateProject(r.Context(), p); err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"project": projectDoc(p)})
}

func (k *keystone) deleteProject(w http.ResponseWriter, r *api.Request) error {
	return gone(w, k.DeleteProject(r.Context(), r.PathValue("id")))
}

func gone(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

func (k *keystone) users(w http.ResponseWriter, r *api.Request) error {
	us, err := k.Users(r.Context(), r.URL.Query().Get("name"))
	if err != nil {
		return err
	}
	return list(w, r, "users", us, userDoc)
}

type userBody struct {
	User struct {
		Name             *string `json:"name"`
		Email            *string `json:"email"`
		Description      *string `json:"description"`
		Password         *string `json:"password"`
		Enabled          *bool   `json:"enabled"`
		DefaultProjectID *string `json:"default_project_id"`
		DomainID         string  `json:"domain_id"`
		Options          any     `json:"options"`
	} `json:"user"`
}

func (b userBody) apply(u *identity.User) error {
	if b.User.DomainID != "" && b.User.DomainID != identity.DomainID {
		return fault.Field("user.domain_id", "there is one domain, %q", identity.DomainID)
	}
	set(&u.Name, b.User.Name)
	set(&u.Email, b.User.Email)
	set(&u.Description, b.User.Description)
	set(&u.Enabled, b.User.Enabled)
	set(&u.DefaultProjectID, b.User.DefaultProjectID)
	return nil
}

func (k *keystone) createUser(w http.ResponseWriter, r *api.Request) error {
	var b userBody
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	u := identity.User{Enabled: true}
	if err := b.apply(&u); err != nil {
		return err
	}
	password := ""
	set(&password, b.User.Password)
	u, err := k.CreateUser(r.Context(), u, password)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusCreated, api.Object{"user": userDoc(u)})
}

func (k *keystone) user(w http.ResponseWriter, r *api.Request) error {
	if err := mine(r, r.PathValue("id")); err != nil {
		return err
	}
	u, err := k.User(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"user": userDoc(u)})
}

func (k *keystone) updateUser(w http.ResponseWriter, r *api.Request) error {
	var b userBody
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	u, err := k.User(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := b.apply(&u); err != nil {
		return err
	}
	if err := k.UpdateUser(r.Context(), u, b.User.Password); err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"user": userDoc(u)})
}

func (k *keystone) deleteUser(w http.ResponseWriter, r *api.Request) error {
	return gone(w, k.DeleteUser(r.Context(), r.PathValue("id")))
}

// changePassword needs no token, as in Keystone: the old password proves more.
func (k *keystone) changePassword(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		User struct {
			Password         string `json:"password"`
			OriginalPassword string `json:"original_password"`
		} `json:"user"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	return gone(w, k.ChangePassword(r.Context(), r.PathValue("id"), b.User.OriginalPassword, b.User.Password))
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
	return gone(w, k.Grant(r.Context(), g))
}

func (k *keystone) ungrant(w http.ResponseWriter, r *api.Request) error {
	g, err := grantOf(r)
	if err != nil {
		return err
	}
	return gone(w, k.Ungrant(r.Context(), g))
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
			return gone(w, nil)
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
	return list(w, r, "role_assignments", gs, func(g identity.Grant) api.Object {
		scope := api.Object{"project": api.Object{"id": g.Target}}
		if g.Target == identity.System {
			scope = api.Object{"system": api.Object{"all": true}}
		}
		return api.Object{"role": api.Object{"id": g.Role.ID(), "name": g.Role}, "user": api.Object{"id": g.AccountID}, "scope": scope, "links": api.Object{}}
	})
}

func appCredDoc(c identity.AppCredential) api.Object {
	roles := []api.Object{}
	for _, r := range c.Roles {
		roles = append(roles, api.Object{"id": r.ID(), "name": r, "domain_id": nil})
	}
	return api.Object{"id": c.ID, "name": c.Name, "description": c.Description, "project_id": c.ProjectID, "roles": roles,
		"unrestricted": c.Unrestricted, "expires_at": api.Time(c.ExpiresAt.Time), "links": api.Object{}}
}

func (k *keystone) appCredentials(w http.ResponseWriter, r *api.Request) error {
	if err := mine(r, r.PathValue("user")); err != nil {
		return err
	}
	cs, err := k.AppCredentials(r.Context(), r.PathValue("user"), r.URL.Query().Get("name"))
	if err != nil {
		return err
	}
	return list(w, r, "application_credentials", cs, appCredDoc)
}

func (k *keystone) appCredential(w http.ResponseWriter, r *api.Request) error {
	if err := mine(r, r.PathValue("user")); err != nil {
		return err
	}
	cs, err := k.AppCredentials(r.Context(), r.PathValue("user"), "")
	if err != nil {
		return err
	}
	for _, c := range cs {
		if c.ID == r.PathValue("id") {
			return api.JSON(w, http.StatusOK, api.Object{"application_credential": appCredDoc(c)})
		}
	}
	return fault.Errorf(fault.NotFound, "no application credential %q", r.PathValue("id"))
}

func (k *keystone) createAppCredential(w http.ResponseWriter, r *api.Request) error {
	if r.PathValue("user") != r.Caller.User.ID || r.Caller.Token.AppCred != "" {
		return fault.Errorf(fault.Denied, "a user makes application credentials for itself, with its password's token")
	}
	var b struct {
		Cred struct {
			Name, Description, Secret string
			Roles                     []struct{ ID, Name string }
			ExpiresAt                 *string `json:"expires_at"`
			Unrestricted              bool
			ProjectID                 string `json:"project_id"`
			AccessRules               any    `json:"access_rules"`
		} `json:"application_credential"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	c := identity.AppCredential{Name: b.Cred.Name, Description: b.Cred.Description}
	for _, role := range b.Cred.Roles {
		name := identity.Role(role.Name)
		if role.ID != "" {
			var err error
			if name, err = roleOf(role.ID); err != nil {
				return err
			}
		}
		c.Roles = append(c.Roles, name)
	}
	if b.Cred.ExpiresAt != nil {
		t, err := parseTime(*b.Cred.ExpiresAt)
		if err != nil {
			return err
		}
		c.ExpiresAt = bun.NullTime{Time: t}
	}
	c, text, err := k.CreateAppCredential(r.Context(), r.Caller, c, b.Cred.Secret)
	if err != nil {
		return err
	}
	doc := appCredDoc(c)
	doc["secret"] = text
	return api.JSON(w, http.StatusCreated, api.Object{"application_credential": doc})
}

func (k *keystone) deleteAppCredential(w http.ResponseWriter, r *api.Request) error {
	if err := mine(r, r.PathValue("user")); err != nil {
		return err
	}
	return gone(w, k.DeleteAppCredential(r.Context(), r.PathValue("user"), r.PathValue("id")))
}
