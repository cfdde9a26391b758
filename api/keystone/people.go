package keystone

import (
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

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
	api.Set(&p.Name, b.Project.Name)
	api.Set(&p.Description, b.Project.Description)
	api.Set(&p.Enabled, b.Project.Enabled)
	return nil
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
	return api.Gone(w, k.DeleteProject(r.Context(), r.PathValue("id")))
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
	api.Set(&u.Name, b.User.Name)
	api.Set(&u.Email, b.User.Email)
	api.Set(&u.Description, b.User.Description)
	api.Set(&u.Enabled, b.User.Enabled)
	api.Set(&u.DefaultProjectID, b.User.DefaultProjectID)
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
	api.Set(&password, b.User.Password)
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
	return api.Gone(w, k.DeleteUser(r.Context(), r.PathValue("id")))
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
	return api.Gone(w, k.ChangePassword(r.Context(), r.PathValue("id"), b.User.OriginalPassword, b.User.Password))
}
