package keystone

import (
	"net/http"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

type domainRef struct{ ID, Name string }

type userRef struct {
	ID, Name, Password string
	Domain             *domainRef
}

type authRequest struct {
	Auth struct {
		Identity struct {
			Methods  []string `json:"methods"`
			Password *struct {
				User userRef `json:"user"`
			} `json:"password"`
			Token *struct {
				ID string `json:"id"`
			} `json:"token"`
			AppCredential *struct {
				ID, Name, Secret string
				User             *userRef `json:"user"`
			} `json:"application_credential"`
		} `json:"identity"`
		Scope any `json:"scope"`
	} `json:"auth"`
}

// credentials translates a request; fields that newer clients add mean nothing to us.
func (a *authRequest) credentials() (identity.Credentials, error) {
	c := identity.Credentials{}
	id := a.Auth.Identity
	if len(id.Methods) != 1 {
		return c, fault.Field("auth.identity.methods", "must name one method: password, token or application_credential")
	}
	foreign := func(u *userRef) bool {
		return u != nil && u.Domain != nil && u.Domain.ID != identity.DomainID && !strings.EqualFold(u.Domain.Name, identity.DomainName)
	}
	switch {
	case id.Methods[0] == "password" && id.Password != nil:
		u := id.Password.User
		if foreign(&u) {
			u = userRef{}
		}
		c.UserID, c.UserName, c.Password = u.ID, u.Name, u.Password
	case id.Methods[0] == "token" && id.Token != nil:
		c.Token = id.Token.ID
		if c.Token == "" {
			return c, fault.Field("auth.identity.token.id", "is missing")
		}
	case id.Methods[0] == "application_credential" && id.AppCredential != nil:
		a := id.AppCredential
		c.AppCredID, c.AppCredName, c.AppCredSecret = a.ID, a.Name, a.Secret
		if a.User != nil && !foreign(a.User) {
			c.UserID, c.UserName = a.User.ID, a.User.Name
		}
		if c.AppCredSecret == "" {
			return c, fault.Field("auth.identity.application_credential.secret", "is missing")
		}
	default:
		return c, fault.Field("auth.identity", "has no credentials for the method %q", id.Methods[0])
	}
	return c, scope(&c, a.Auth.Scope)
}

// scope reads the scope, which is the word "unscoped" or an object with one of project, system, domain.
func scope(c *identity.Credentials, v any) error {
	switch s := v.(type) {
	case nil:
		return nil
	case string:
		c.Unscoped = s == "unscoped"
		return nil
	case map[string]any:
		if p, ok := s["project"].(map[string]any); ok {
			c.ProjectID, _ = p["id"].(string)
			c.ProjectName, _ = p["name"].(string)
			if c.ProjectID == "" && c.ProjectName == "" {
				return fault.Field("auth.scope.project", "needs an id or a name")
			}
			return nil
		}
		if _, ok := s["system"]; ok {
			c.SystemScope = true
			return nil
		}
		if _, ok := s["domain"]; ok {
			c.Unscoped = true
			return nil
		}
	}
	return fault.Field("auth.scope", "must be an object with project or system")
}

func (k *keystone) issue(w http.ResponseWriter, r *api.Request) error {
	var req authRequest
	if err := api.DecodeLoose(w, r, &req); err != nil {
		return err
	}
	c, err := req.credentials()
	if err != nil {
		return err
	}
	text, caller, err := k.Authenticate(r.Context(), c)
	if err != nil {
		return err
	}
	w.Header().Set("X-Subject-Token", text)
	return api.JSON(w, http.StatusCreated, k.tokenDoc(r, caller))
}

func (k *keystone) tokenDoc(r *api.Request, c identity.Caller) api.Object {
	const form = "2006-01-02T15:04:05.000000Z"
	domain := api.Object{"id": identity.DomainID, "name": identity.DomainName}
	t := api.Object{
		"methods": c.Token.Methods, "issued_at": c.Token.IssuedAt.Format(form), "expires_at": c.Token.ExpiresAt.UTC().Format(form),
		"audit_ids": []string{c.Token.AuditID},
		"user":      api.Object{"id": c.User.ID, "name": c.User.Name, "domain": domain, "password_expires_at": nil},
	}
	if len(c.Roles) > 0 {
		var roles []api.Object
		for _, role := range c.Roles {
			roles = append(roles, roleDoc(role))
		}
		t["roles"] = roles
	}
	if c.Project != nil {
		t["project"] = api.Object{"id": c.Project.ID, "name": c.Project.Name, "domain": domain}
		t["is_domain"] = false
	}
	if c.System {
		t["system"] = api.Object{"all": true}
	}
	if c.Project != nil || c.System {
		t["catalog"] = k.catalogDoc(r, c)
	}
	if c.Token.AppCred != "" {
		t["application_credential"] = api.Object{"id": c.Token.AppCred, "restricted": true}
	}
	return api.Object{"token": t}
}

func (k *keystone) catalogDoc(r *api.Request, c identity.Caller) []api.Object {
	out := []api.Object{}
	for _, e := range k.catalog {
		if c.Project == nil && strings.Contains(e.Path, "{project}") {
			continue
		}
		url := api.BaseURL(r.Request) + strings.ReplaceAll(e.Path, "{project}", c.ProjectID())
		var endpoints []api.Object
		for _, i := range []string{"public", "internal", "admin"} {
			endpoints = append(endpoints, api.Object{"id": e.ID + "-" + i, "interface": i, "region": k.region, "region_id": k.region, "url": url})
		}
		out = append(out, api.Object{"id": e.ID, "type": e.Type, "name": e.Name, "endpoints": endpoints})
	}
	return out
}

// subject returns whom the token in X-Subject-Token speaks for; a caller may look at its own tokens, an operator at all.
func (k *keystone) subject(r *api.Request) (string, identity.Caller, error) {
	text := r.Header.Get("X-Subject-Token")
	c, err := k.Service.Validate(r.Context(), text)
	if fault.Is(err, fault.Unauthentic) || (err == nil && mine(r, c.User.ID) != nil) {
		return "", c, fault.Errorf(fault.NotFound, "the subject token is not valid")
	}
	return text, c, err
}

func (k *keystone) validate(w http.ResponseWriter, r *api.Request) error {
	text, c, err := k.subject(r)
	if err != nil {
		return err
	}
	w.Header().Set("X-Subject-Token", text)
	return api.JSON(w, http.StatusOK, k.tokenDoc(r, c))
}

func (k *keystone) revoke(w http.ResponseWriter, r *api.Request) error {
	text, _, err := k.subject(r)
	if err != nil {
		return err
	}
	if err := k.Revoke(r.Context(), text); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// parseTime reads the times that Keystone's clients send.
func parseTime(s string) (time.Time, error) {
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.000000", "2006-01-02T15:04:05"} {
		if t, err := time.Parse(form, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fault.Field("expires_at", "%q is not a time such as 2030-01-31T12:00:00Z", s)
}
