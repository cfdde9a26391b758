package keystone

import (
	"net/http"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

func (k *keystone) secretRoutes() []api.Route {
	return []api.Route{
		{"GET", "/v3/users/{user}/application_credentials", api.Authenticated, k.appCredentials},
		{"POST", "/v3/users/{user}/application_credentials", api.Authenticated, k.createAppCredential},
		{"GET", "/v3/users/{user}/application_credentials/{id}", api.Authenticated, k.appCredential},
		{"DELETE", "/v3/users/{user}/application_credentials/{id}", api.Authenticated, k.deleteAppCredential},
		{"GET", "/v3/users/{user}/access_rules", api.Authenticated, k.accessRules},
		{"GET", "/v3/users/{user}/access_rules/{id}", api.Authenticated, k.accessRule},
		{"DELETE", "/v3/users/{user}/access_rules/{id}", api.Authenticated, k.deleteAccessRule},

		{"GET", "/v3/credentials", api.Authenticated, k.credentials},
		{"POST", "/v3/credentials", api.Authenticated, k.createCredential},
		{"GET", "/v3/credentials/{id}", api.Authenticated, k.credential},
		{"PATCH", "/v3/credentials/{id}", api.Authenticated, k.updateCredential},
		{"DELETE", "/v3/credentials/{id}", api.Authenticated, k.deleteCredential},
		{"GET", "/v3/users/{user}/credentials/OS-EC2", api.Authenticated, k.ec2Credentials},
		{"POST", "/v3/users/{user}/credentials/OS-EC2", api.Authenticated, k.createEC2Credential},
		{"GET", "/v3/users/{user}/credentials/OS-EC2/{access}", api.Authenticated, k.ec2Credential},
		{"DELETE", "/v3/users/{user}/credentials/OS-EC2/{access}", api.Authenticated, k.deleteEC2Credential},

		{"GET", "/v3/OS-TRUST/trusts", api.Authenticated, k.trusts},
		{"POST", "/v3/OS-TRUST/trusts", api.Authenticated, k.createTrust},
		{"GET", "/v3/OS-TRUST/trusts/{trust}", api.Authenticated, k.trust},
		{"DELETE", "/v3/OS-TRUST/trusts/{trust}", api.Authenticated, k.deleteTrust},
		{"GET", "/v3/OS-TRUST/trusts/{trust}/roles", api.Authenticated, k.trustRoles},
		{"GET", "/v3/OS-TRUST/trusts/{trust}/roles/{role}", api.Authenticated, k.trustRole},
	}
}

// roleRef names a role by id or name.
type roleRef struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// roleIDs finds the roles of the cloud that a request names.
func (k *keystone) roleIDs(r *api.Request, refs []roleRef) ([]string, error) {
	var ids []string
	for _, ref := range refs {
		if ref.ID == "" {
			rs, err := k.Roles(r.Context(), identity.Query{}.And("name", ref.Name).And("domain_id", ""))
			if err != nil {
				return nil, err
			}
			if len(rs) == 0 {
				return nil, fault.Errorf(fault.NotFound, "no role %q", ref.Name)
			}
			ref.ID = rs[0].ID
		}
		ids = append(ids, ref.ID)
	}
	return ids, nil
}

// asIs is for documents that were made already.
func asIs(_ *api.Request, doc api.Object) api.Object { return doc }

// roleDocs shows roles by their ids.
func (k *keystone) roleDocs(r *api.Request, ids []string) ([]api.Object, error) {
	rs, err := k.RolesByID(r.Context(), ids)
	out := []api.Object{}
	for _, v := range rs {
		out = append(out, roleDoc(r, v))
	}
	return out, err
}

func ruleDoc(r *api.Request, v identity.AccessRule) api.Object {
	return api.Object{"id": v.ID, "service": v.Service, "method": v.Method, "path": v.Path, "links": self(r, "users", v.AccountID, "access_rules", v.ID)}
}

func (k *keystone) appCredDoc(r *api.Request, c identity.AppCredential) (api.Object, error) {
	roles, err := k.roleDocs(r, c.Roles)
	doc := api.Object{"id": c.ID, "name": c.Name, "description": c.Description, "project_id": c.ProjectID, "user_id": c.AccountID, "roles": roles, "system": nil,
		"unrestricted": c.Unrestricted, "expires_at": nil, "links": self(r, "users", c.AccountID, "application_credentials", c.ID)}
	if at := c.ExpiresAt.Time; !at.IsZero() {
		doc["expires_at"] = strings.TrimSuffix(at.UTC().Format(stamp), "Z") // Keystone names no zone here, and gophercloud takes none
	}
	if c.Rules != nil {
		rules := []api.Object{}
		for _, v := range c.Access {
			rules = append(rules, ruleDoc(r, v))
		}
		doc["access_rules"] = rules
	}
	return doc, err
}

func (k *keystone) appCredentials(w http.ResponseWriter, r *api.Request) error {
	if err := mine(r, r.PathValue("user")); err != nil {
		return err
	}
	cs, err := k.AppCredentials(r.Context(), r.PathValue("user"), r.URL.Query().Get("name"))
	if err != nil {
		return err
	}
	var docs []api.Object
	for _, c := range cs {
		doc, err := k.appCredDoc(r, c)
		if err != nil {
			return err
		}
		docs = append(docs, doc)
	}
	return list(w, r, "application_credentials", docs, nil, asIs)
}

func (k *keystone) appCredential(w http.ResponseWriter, r *api.Request) error {
	if err := mine(r, r.PathValue("user")); err != nil {
		return err
	}
	c, err := k.AppCredential(r.Context(), r.PathValue("user"), r.PathValue("id"))
	if err != nil {
		return err
	}
	doc, err := k.appCredDoc(r, c)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"application_credential": doc})
}

type appCredBody struct {
	Name         string    `json:"name"`
	Description  string    `json:"description"`
	Secret       string    `json:"secret"`
	Roles        []roleRef `json:"roles"`
	ExpiresAt    *string   `json:"expires_at"`
	Unrestricted *bool     `json:"unrestricted"`
	ProjectID    string    `json:"project_id"` // clients send the token's, which it is in any case
	AccessRules  *[]struct {
		ID      string `json:"id"`
		Service string `json:"service"`
		Method  string `json:"method"`
		Path    string `json:"path"`
	} `json:"access_rules"`
}

func (k *keystone) createAppCredential(w http.ResponseWriter, r *api.Request) error {
	if r.PathValue("user") != r.Caller.User.ID {
		return fault.Errorf(fault.Denied, "a user makes application credentials for itself")
	}
	var body struct {
		Cred appCredBody `json:"application_credential"`
	}
	if err := api.Decode(w, r, &body); err != nil {
		return err
	}
	b := body.Cred
	c := identity.AppCredential{Name: b.Name, Description: b.Description}
	api.Set(&c.Unrestricted, b.Unrestricted)
	var err error
	if c.Roles, err = k.roleIDs(r, b.Roles); err != nil {
		return err
	}
	if b.AccessRules != nil {
		for _, v := range *b.AccessRules {
			c.Access = append(c.Access, identity.AccessRule{ID: v.ID, Service: v.Service, Method: v.Method, Path: v.Path})
		}
	}
	if b.ExpiresAt != nil {
		t, err := parseTime(*b.ExpiresAt)
		if err != nil {
			return err
		}
		c.ExpiresAt = bun.NullTime{Time: t}
	}
	c, text, err := k.CreateAppCredential(r.Context(), r.Caller, c, b.Secret)
	if err != nil {
		return err
	}
	doc, err := k.appCredDoc(r, c)
	if err != nil {
		return err
	}
	doc["secret"] = text
	return api.JSON(w, http.StatusCreated, api.Object{"application_credential": doc})
}

// unfettered refuses callers who may not delete what lets programs act for them.
func unfettered(r *api.Request) error {
	if err := mine(r, r.PathValue("user")); err != nil {
		return err
	}
	if r.Caller.Delegated() {
		return fault.Errorf(fault.Denied, "a restricted application credential, or a trust, can not be used for this")
	}
	return nil
}

func (k *keystone) deleteAppCredential(w http.ResponseWriter, r *api.Request) error {
	if err := unfettered(r); err != nil {
		return err
	}
	return api.Gone(w, k.DeleteAppCredential(r.Context(), r.PathValue("user"), r.PathValue("id")))
}

func (k *keystone) rulesOf(r *api.Request) ([]identity.AccessRule, error) {
	if err := mine(r, r.PathValue("user")); err != nil {
		return nil, err
	}
	return k.AccessRules(r.Context(), r.PathValue("user"))
}

func (k *keystone) accessRules(w http.ResponseWriter, r *api.Request) error {
	rules, err := k.rulesOf(r)
	return list(w, r, "access_rules", rules, err, ruleDoc)
}

func (k *keystone) accessRule(w http.ResponseWriter, r *api.Request) error {
	rules, err := k.rulesOf(r)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(rules, func(v identity.AccessRule) bool { return v.ID == r.PathValue("id") })
	if i < 0 {
		return fault.Errorf(fault.NotFound, "no access rule %q", r.PathValue("id"))
	}
	return api.JSON(w, http.StatusOK, api.Object{"access_rule": ruleDoc(r, rules[i])})
}

func (k *keystone) deleteAccessRule(w http.ResponseWriter, r *api.Request) error {
	if err := unfettered(r); err != nil {
		return err
	}
	return api.Gone(w, k.DeleteAccessRule(r.Context(), r.PathValue("user"), r.PathValue("id")))
}
