package keystone

import (
	"net/http"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

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
	return api.Gone(w, k.DeleteAppCredential(r.Context(), r.PathValue("user"), r.PathValue("id")))
}
