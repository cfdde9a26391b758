package keystone

import (
	"net/http"
	"time"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

func (k *keystone) tokenRoutes() []api.Route {
	return []api.Route{
		{"GET", "", api.Anyone, k.versions},
		{"GET", "/v3", api.Anyone, k.version},

		{"POST", "/v3/auth/tokens", api.Anyone, k.issue},
		{"GET", "/v3/auth/tokens", api.Authenticated, k.validate},
		{"DELETE", "/v3/auth/tokens", api.Authenticated, k.revoke},
		{"GET", "/v3/auth/catalog", api.Authenticated, k.showCatalog},
		{"GET", "/v3/auth/projects", api.Authenticated, k.myProjects},
		{"GET", "/v3/auth/domains", api.Authenticated, k.myDomains},
		{"GET", "/v3/auth/system", api.Authenticated, k.mySystem},
		{"POST", "/v3/ec2tokens", api.Services, k.ec2Token},
		{"POST", "/v3/s3tokens", api.Services, k.s3Token},
		{"GET", "/v3/OS-REVOKE/events", api.Services, k.revocations},
	}
}

func (k *keystone) issue(w http.ResponseWriter, r *api.Request) error {
	var req authRequest
	if err := api.DecodeLoose(w, r, &req); err != nil {
		return err
	}
	l, err := req.login()
	if err != nil {
		return err
	}
	text, caller, err := k.Authenticate(r.Context(), l)
	if err != nil {
		return err
	}
	r.Caller = caller // for the audit record
	return k.answerToken(w, r, http.StatusCreated, text, caller)
}

// answerToken shows a token, whose text goes into a header.
func (k *keystone) answerToken(w http.ResponseWriter, r *api.Request, status int, text string, c identity.Caller) error {
	doc, err := k.tokenDoc(r, c)
	if err != nil {
		return err
	}
	w.Header().Set("X-Subject-Token", text)
	w.Header().Set("Vary", "X-Auth-Token")
	return api.JSON(w, status, doc)
}

func (k *keystone) tokenDoc(r *api.Request, c identity.Caller) (api.Object, error) {
	domain := func(id, name string) api.Object { return api.Object{"id": id, "name": name} }
	audit := []string{c.Token.AuditID}
	if c.Token.AuditParent != "" {
		audit = append(audit, c.Token.AuditParent)
	}
	t := api.Object{
		"methods": c.Token.Methods, "issued_at": stamped(c.Token.IssuedAt), "expires_at": stamped(c.Token.ExpiresAt), "audit_ids": audit,
		"user": api.Object{"id": c.User.ID, "name": c.User.Name, "domain": domain(c.User.DomainID, c.User.DomainName), "password_expires_at": stamped(c.User.PasswordExpiresAt.Time)},
	}
	if len(c.Roles) > 0 {
		var roles []api.Object
		for _, v := range c.Roles {
			roles = append(roles, api.Object{"id": v.ID, "name": v.Name})
		}
		t["roles"] = roles
	}
	switch {
	case c.Project != nil:
		t["project"] = api.Object{"id": c.Project.ID, "name": c.Project.Name, "domain": domain(c.Project.DomainID, c.Project.DomainName)}
		t["is_domain"] = false
	case c.Domain != nil:
		t["domain"] = domain(c.Domain.ID, c.Domain.Name)
	case c.System:
		t["system"] = api.Object{"all": true}
	}
	if c.Token.Target != "" && !asked(r.URL.Query(), "nocatalog") {
		catalog, err := k.catalogDoc(r, c)
		if err != nil {
			return nil, err
		}
		t["catalog"] = catalog
	}
	if a := c.AppCred; a != nil {
		doc := api.Object{"id": a.ID, "name": a.Name, "restricted": !a.Unrestricted}
		if a.Rules != nil {
			rules := []api.Object{}
			for _, v := range a.Access {
				rules = append(rules, api.Object{"id": v.ID, "service": v.Service, "method": v.Method, "path": v.Path})
			}
			doc["access_rules"] = rules
		}
		t["application_credential"] = doc
	}
	if tr := c.Trust; tr != nil {
		t["OS-TRUST:trust"] = api.Object{"id": tr.ID, "impersonation": tr.Impersonation, "trustor_user": api.Object{"id": tr.TrustorID}, "trustee_user": api.Object{"id": tr.TrusteeID}}
	}
	return api.Object{"token": t}, nil
}

// subject returns whom the token in X-Subject-Token speaks for; a caller may look at its own tokens; who may look at everything, and programs with the
// role service, at all.
func (k *keystone) subject(r *api.Request) (string, identity.Caller, error) {
	text := r.Header.Get("X-Subject-Token")
	if text == "" {
		return "", identity.Caller{}, fault.Errorf(fault.Invalid, "the request needs the token that it is about in the header X-Subject-Token")
	}
	find := k.Validate
	if asked(r.URL.Query(), "allow_expired") {
		find = k.ValidateExpired
	}
	c, err := find(r.Context(), text)
	allowed := c.User.ID == r.Caller.User.ID || r.Caller.ReadsAll() || r.Caller.Has(identity.ServiceRole)
	if fault.Is(err, fault.Unauthentic) || (err == nil && !allowed) {
		return "", c, fault.Errorf(fault.NotFound, "the subject token is not valid")
	}
	return text, c, err
}

func (k *keystone) validate(w http.ResponseWriter, r *api.Request) error {
	text, c, err := k.subject(r)
	if err != nil {
		return err
	}
	return k.answerToken(w, r, http.StatusOK, text, c)
}

func (k *keystone) revoke(w http.ResponseWriter, r *api.Request) error {
	_, c, err := k.subject(r)
	if err != nil {
		return err
	}
	if mine(r, c.User.ID) != nil {
		return fault.Errorf(fault.Denied, "a token is ended by its user or an operator")
	}
	return api.Gone(w, k.Revoke(r.Context(), c.Token))
}

func (k *keystone) myProjects(w http.ResponseWriter, r *api.Request) error {
	return k.projectsOf(w, r, r.Caller.User.ID, false)
}

func (k *keystone) myDomains(w http.ResponseWriter, r *api.Request) error {
	return k.projectsOf(w, r, r.Caller.User.ID, true)
}

func (k *keystone) mySystem(w http.ResponseWriter, r *api.Request) error {
	held, err := k.OnSystem(r.Context(), r.Caller.User.ID)
	if err != nil {
		return err
	}
	out := []api.Object{}
	if held {
		out = append(out, api.Object{"all": true})
	}
	return api.JSON(w, http.StatusOK, api.Object{"system": out, "links": self(r, "auth", "system")})
}

// signedRequest is what an EC2 or S3 service sends of a request that it was sent.
type signedRequest struct {
	Access    string            `json:"access"`
	Signature string            `json:"signature"`
	Host      string            `json:"host"`
	Verb      string            `json:"verb"`
	Path      string            `json:"path"`
	BodyHash  string            `json:"body_hash"`
	Params    map[string]string `json:"params"`
	Headers   map[string]string `json:"headers"`
	Token     []byte            `json:"token"`
}

func (b signedRequest) signature() *identity.EC2Signature {
	return &identity.EC2Signature{Access: b.Access, Signature: b.Signature, Host: b.Host, Verb: b.Verb, Path: b.Path, Body: b.BodyHash, Params: b.Params, Headers: b.Headers}
}

func readSigned(w http.ResponseWriter, r *api.Request) (signedRequest, error) {
	var b struct {
		Credentials    *signedRequest `json:"credentials"`
		EC2Credentials *signedRequest `json:"ec2Credentials"`
	}
	if err := api.DecodeLoose(w, r, &b); err != nil {
		return signedRequest{}, err
	}
	if b.Credentials == nil {
		b.Credentials = b.EC2Credentials
	}
	if b.Credentials == nil || b.Credentials.Access == "" || b.Credentials.Signature == "" {
		return signedRequest{}, fault.Field("credentials", "needs at least access and signature")
	}
	return *b.Credentials, nil
}

// ec2Token gives a token for a signed request. Only programs that were sent one may ask: whoever overhears one could otherwise
// turn it into a token.
func (k *keystone) ec2Token(w http.ResponseWriter, r *api.Request) error {
	b, err := readSigned(w, r)
	if err != nil {
		return err
	}
	text, c, err := k.Authenticate(r.Context(), identity.Login{EC2: b.signature()})
	if err != nil {
		return err
	}
	return k.answerToken(w, r, http.StatusOK, text, c)
}

// s3Token tells whom a string that was signed for S3 speaks for; it gives no token.
func (k *keystone) s3Token(w http.ResponseWriter, r *api.Request) error {
	b, err := readSigned(w, r)
	if err != nil {
		return err
	}
	if len(b.Token) == 0 {
		return fault.Field("credentials.token", "is missing: the string that was signed, in base64")
	}
	c, err := k.Signed(r.Context(), identity.EC2Signature{Access: b.Access, Signature: b.Signature, Token: b.Token})
	if err != nil {
		return err
	}
	doc, err := k.tokenDoc(r, c)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, doc)
}

// revocations lists which tokens were ended, for services that keep tokens in mind.
func (k *keystone) revocations(w http.ResponseWriter, r *api.Request) error {
	since := time.Now().Add(-identity.AllowExpired)
	if s := r.URL.Query().Get("since"); s != "" {
		var err error
		if since, err = parseTime(s); err != nil {
			return err
		}
	}
	rs, err := k.Revocations(r.Context(), since)
	if err != nil {
		return err
	}
	out := []api.Object{}
	for _, v := range rs {
		e := api.Object{"issued_before": stamped(v.IssuedBefore)}
		switch {
		case v.AuditID != "":
			e["audit_id"] = v.AuditID
		case v.Domain:
			e["domain_id"] = v.Target
		case v.Target != "" && v.Target != identity.System:
			e["project_id"] = v.Target
		}
		if v.AccountID != "" {
			e["user_id"] = v.AccountID
		}
		out = append(out, e)
	}
	return api.JSON(w, http.StatusOK, api.Object{"events": out, "links": self(r, "OS-REVOKE", "events")})
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
