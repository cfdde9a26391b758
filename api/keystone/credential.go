package keystone

import (
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

func credentialDoc(r *api.Request, c identity.Credential) api.Object {
	return api.Object{"id": c.ID, "user_id": c.AccountID, "project_id": orNull(c.ProjectID), "type": c.Kind, "blob": c.Text, "links": self(r, "credentials", c.ID)}
}

// credentials lists the caller's credentials; an operator sees all, or a user's.
func (k *keystone) credentials(w http.ResponseWriter, r *api.Request) error {
	if err := direct(r); err != nil {
		return err
	}
	q := r.URL.Query()
	user := q.Get("user_id")
	if !r.Caller.Operator() {
		user = r.Caller.User.ID
	}
	cs, err := k.Credentials(r.Context(), user, q.Get("type"))
	return list(w, r, "credentials", cs, err, credentialDoc)
}

type credentialBody struct {
	ID        string  `json:"id"` // some clients send one; it is made here
	UserID    *string `json:"user_id"`
	ProjectID *string `json:"project_id"`
	Type      *string `json:"type"`
	Blob      *string `json:"blob"`
}

func (b credentialBody) apply(c *identity.Credential) {
	api.Set(&c.AccountID, b.UserID)
	api.Set(&c.ProjectID, b.ProjectID)
	api.Set(&c.Kind, b.Type)
	api.Set(&c.Text, b.Blob)
}

// direct refuses tokens of application credentials and trusts: a user's own keys reach further than they do.
func direct(r *api.Request) error {
	if r.Caller.AppCred != nil || r.Caller.Trust != nil {
		return fault.Errorf(fault.Denied, "a token of an application credential or a trust can not be used for the user's credentials")
	}
	return nil
}

// ownKey refuses to keep a credential for somebody else.
func ownKey(r *api.Request, user string) error {
	if mine(r, user) != nil {
		return fault.Errorf(fault.Denied, "a user keeps credentials for itself")
	}
	return direct(r)
}

func (k *keystone) createCredential(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Credential credentialBody `json:"credential"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	c := identity.Credential{AccountID: r.Caller.User.ID}
	b.Credential.apply(&c)
	if err := ownKey(r, c.AccountID); err != nil {
		return err
	}
	c, err := k.CreateCredential(r.Context(), c)
	return show(w, r, http.StatusCreated, "credential", c, err, credentialDoc)
}

// seenCredential returns the credential of the path, if it is the caller's or the caller is an operator.
func (k *keystone) seenCredential(r *api.Request) (identity.Credential, error) {
	if err := direct(r); err != nil {
		return identity.Credential{}, err
	}
	c, err := k.Credential(r.Context(), r.PathValue("id"))
	if err == nil && mine(r, c.AccountID) != nil {
		err = fault.Errorf(fault.NotFound, "no credential %q", r.PathValue("id"))
	}
	return c, err
}

func (k *keystone) credential(w http.ResponseWriter, r *api.Request) error {
	c, err := k.seenCredential(r)
	return show(w, r, http.StatusOK, "credential", c, err, credentialDoc)
}

func (k *keystone) updateCredential(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Credential credentialBody `json:"credential"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	c, err := k.seenCredential(r)
	if err != nil {
		return err
	}
	b.Credential.apply(&c)
	if err := ownKey(r, c.AccountID); err != nil {
		return err
	}
	return show(w, r, http.StatusOK, "credential", c, k.UpdateCredential(r.Context(), c), credentialDoc)
}

func (k *keystone) deleteCredential(w http.ResponseWriter, r *api.Request) error {
	c, err := k.seenCredential(r)
	if err != nil {
		return err
	}
	return api.Gone(w, k.DeleteCredential(r.Context(), c.ID))
}

func ec2Doc(r *api.Request, c identity.Credential) api.Object {
	key := c.EC2()
	return api.Object{"user_id": c.AccountID, "tenant_id": c.ProjectID, "access": key.Access, "secret": key.Secret, "trust_id": nil,
		"links": self(r, "users", c.AccountID, "credentials", "OS-EC2", key.Access)}
}

func (k *keystone) ec2Credentials(w http.ResponseWriter, r *api.Request) error {
	if err := ownEC2(r); err != nil {
		return err
	}
	cs, err := k.Credentials(r.Context(), r.PathValue("user"), "ec2")
	return list(w, r, "credentials", cs, err, ec2Doc)
}

func (k *keystone) createEC2Credential(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		TenantID string `json:"tenant_id"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	if err := ownKey(r, r.PathValue("user")); err != nil {
		return err
	}
	c, err := k.NewEC2Credential(r.Context(), r.PathValue("user"), b.TenantID)
	return show(w, r, http.StatusCreated, "credential", c, err, ec2Doc)
}

// ownEC2 refuses to look at somebody else's EC2 credentials.
func ownEC2(r *api.Request) error {
	if err := mine(r, r.PathValue("user")); err != nil {
		return err
	}
	return direct(r)
}

func (k *keystone) seenEC2(r *api.Request) (identity.Credential, error) {
	if err := ownEC2(r); err != nil {
		return identity.Credential{}, err
	}
	return k.EC2Credential(r.Context(), r.PathValue("user"), r.PathValue("access"))
}

func (k *keystone) ec2Credential(w http.ResponseWriter, r *api.Request) error {
	c, err := k.seenEC2(r)
	return show(w, r, http.StatusOK, "credential", c, err, ec2Doc)
}

func (k *keystone) deleteEC2Credential(w http.ResponseWriter, r *api.Request) error {
	c, err := k.seenEC2(r)
	if err != nil {
		return err
	}
	return api.Gone(w, k.DeleteCredential(r.Context(), c.ID))
}
