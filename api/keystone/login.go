package keystone

import (
	"maps"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

type domainRef struct{ ID, Name string }

type userRef struct {
	ID, Name string
	Password *string
	Passcode string
	Domain   domainRef
}

func (u userRef) ref() identity.UserRef {
	return identity.UserRef{ID: u.ID, Name: u.Name, Domain: identity.DomainRef(u.Domain)}
}

// authRequest is read loosely: fields that newer clients add mean nothing to us.
type authRequest struct {
	Auth struct {
		Identity struct {
			Methods  []string
			Password *struct{ User userRef }
			TOTP     *struct{ User userRef }
			Token    *struct{ ID string }
			AppCred  *struct {
				ID, Name, Secret string
				User             userRef
			} `json:"application_credential"`
		}
		Scope any
	}
}

// login translates a request.
func (a *authRequest) login() (identity.Login, error) {
	var l identity.Login
	id := a.Auth.Identity
	if len(id.Methods) == 0 {
		return l, fault.Field("auth.identity.methods", "must name the methods: password, totp, token or application_credential")
	}
	for i, method := range id.Methods {
		var user identity.UserRef
		switch {
		case method == "password" && id.Password != nil && id.Password.User.Password != nil:
			user, l.Password = id.Password.User.ref(), id.Password.User.Password
		case method == "totp" && id.TOTP != nil && id.TOTP.User.Passcode != "":
			user, l.Passcode = id.TOTP.User.ref(), id.TOTP.User.Passcode
		case method == "token" && id.Token != nil && id.Token.ID != "" && len(id.Methods) == 1:
			l.Token = id.Token.ID
		case method == "application_credential" && id.AppCred != nil && id.AppCred.Secret != "" && len(id.Methods) == 1:
			c := id.AppCred
			l.AppCred = &identity.AppCredRef{ID: c.ID, Name: c.Name, Secret: c.Secret, User: c.User.ref()}
		default:
			return l, fault.Field("auth.identity", "has no credentials for the method %q, or the method can not be used with others", method)
		}
		if i > 0 && user != l.User {
			return l, fault.Field("auth.identity", "all methods must name the same user in the same way")
		}
		l.User = user
	}
	var err error
	l.Scope, err = scopeOf(a.Auth.Scope)
	return l, err
}

// scopeOf reads the scope, which is the word "unscoped" or an object with one of project, domain, system, a trust, unscoped.
func scopeOf(v any) (identity.Scope, error) {
	var sc identity.Scope
	if v == nil || v == "" {
		return sc, nil
	}
	if v == "unscoped" {
		return identity.Scope{Unscoped: true}, nil
	}
	s, ok := v.(map[string]any)
	maps.DeleteFunc(s, func(_ string, v any) bool { return v == nil }) // some clients send all kinds, all but one null
	if !ok || len(s) == 0 {
		return sc, fault.Field("auth.scope", "must be an object with project, domain, system or OS-TRUST:trust")
	}
	text := func(m map[string]any, key string) string { t, _ := m[key].(string); return t }
	object := func(m map[string]any, key string) map[string]any { o, _ := m[key].(map[string]any); return o }
	if len(s) > 1 {
		return sc, fault.Field("auth.scope", "must have one of project, domain, system or OS-TRUST:trust, not several")
	}
	switch {
	case s["project"] != nil:
		p := object(s, "project")
		sc.ProjectID, sc.ProjectName = text(p, "id"), text(p, "name")
		sc.Domain = identity.DomainRef{ID: text(object(p, "domain"), "id"), Name: text(object(p, "domain"), "name")}
		if sc.ProjectID == "" && sc.ProjectName == "" {
			return sc, fault.Field("auth.scope.project", "needs an id or a name")
		}
	case s["domain"] != nil:
		d := object(s, "domain")
		sc.ToDomain, sc.Domain = true, identity.DomainRef{ID: text(d, "id"), Name: text(d, "name")}
		if sc.Domain == (identity.DomainRef{}) {
			return sc, fault.Field("auth.scope.domain", "needs an id or a name")
		}
	case s["system"] != nil:
		sc.System = true
	case s["OS-TRUST:trust"] != nil:
		if sc.Trust = text(object(s, "OS-TRUST:trust"), "id"); sc.Trust == "" {
			return sc, fault.Field("auth.scope.OS-TRUST:trust", "needs an id")
		}
	default:
		if _, ok := s["unscoped"]; !ok {
			return sc, fault.Field("auth.scope", "must be an object with project, domain, system or OS-TRUST:trust")
		}
		sc.Unscoped = true
	}
	return sc, nil
}
