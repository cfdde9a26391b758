package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/client"
	"github.com/hagane-cloud/hagane/fault"
)

// identityAPI speaks to the identity service in whatever scope.
type identityAPI struct {
	*testCloud
	url string
}

// ask makes a request and returns the status, the answer and the token in its header.
func (k *identityAPI) ask(token, verb, path string, in any) (int, object, string) {
	k.Helper()
	raw, err := json.Marshal(in)
	if err != nil {
		k.Fatal(err)
	}
	req, err := http.NewRequestWithContext(k.Context(), verb, k.url+path, bytes.NewReader(raw))
	if err != nil {
		k.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", token)
	req.Header.Set("X-Subject-Token", token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		k.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err = io.ReadAll(res.Body)
	if err != nil {
		k.Fatal(err)
	}
	var out object
	if len(raw) > 0 && json.Unmarshal(raw, &out) != nil {
		k.Fatalf("%s %s: not JSON: %s", verb, path, raw)
	}
	return res.StatusCode, out, res.Header.Get("X-Subject-Token")
}

// login gets a token by a password, in a scope.
func (k *identityAPI) login(user, password string, scope any) string {
	k.Helper()
	status, doc, token := k.ask("", "POST", "/auth/tokens", object{"auth": object{"scope": scope,
		"identity": object{"methods": []string{"password"}, "password": object{"user": object{"id": user, "password": password}}}}})
	if status != http.StatusCreated {
		k.Fatalf("logging in: %d %v", status, doc)
	}
	return token
}

// make makes something and returns its id.
func (k *identityAPI) make(token, kind string, fields object) string {
	k.Helper()
	status, doc, _ := k.ask(token, "POST", "/"+kind+"s", object{kind: fields})
	if status != http.StatusCreated {
		k.Fatalf("making a %s: %d %v", kind, status, doc)
	}
	return doc[kind].(object)["id"].(string)
}

const word = "everyone's word"

// TestWhoMayWhat asks for the same things in every role and scope.
func TestWhoMayWhat(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		c := startCloud(t, dsn)
		a, err := client.ReadAccess(c.data, cloudName)
		if err != nil {
			t.Fatal(err)
		}
		k := &identityAPI{c, a.AuthURL}
		_, _, op := k.ask("", "POST", "/auth/tokens", object{"auth": object{"scope": object{"system": object{"all": true}},
			"identity": object{"methods": []string{"password"}, "password": object{"user": object{"name": a.Username, "domain": object{"id": "default"}, "password": a.Password}}}}})
		acme := k.make(op, "domain", object{"name": "acme"})
		rival := k.make(op, "domain", object{"name": "rival"})
		project := k.make(op, "project", object{"name": "works", "domain_id": acme})
		foreign := k.make(op, "user", object{"name": "foreign", "domain_id": rival, "password": word})
		worker := k.make(op, "user", object{"name": "worker", "domain_id": acme, "password": word})
		crew := k.make(op, "group", object{"name": "crew", "domain_id": acme})
		// An operator whose account is in the domain: the domain's administrator must not become one through it.
		hidden := k.make(op, "user", object{"name": "hidden", "domain_id": acme, "password": word})
		operators := k.make(op, "group", object{"name": "operators", "domain_id": acme})
		k.ask(op, "PUT", "/system/users/"+hidden+"/roles/role-admin", nil)
		k.ask(op, "PUT", "/system/groups/"+operators+"/roles/role-admin", nil)

		tokens := map[string]string{"operator": op}
		inDomain, inProject, inSystem := object{"domain": object{"id": acme}}, object{"project": object{"id": project}}, object{"system": object{"all": true}}
		for _, who := range []struct {
			name, target, role string
			scope              object
		}{
			{"system reader", "system", "reader", inSystem}, {"domain admin", "domains/" + acme, "admin", inDomain}, {"domain reader", "domains/" + acme, "reader", inDomain},
			{"domain member", "domains/" + acme, "member", inDomain}, {"project admin", "projects/" + project, "admin", inProject}, {"service", "projects/" + project, "service", inProject},
			{"member", "projects/" + project, "member", inProject},
		} {
			u := k.make(op, "user", object{"name": who.name, "domain_id": acme, "password": word})
			if status, doc, _ := k.ask(op, "PUT", "/"+who.target+"/users/"+u+"/roles/role-"+who.role, nil); status != http.StatusNoContent {
				t.Fatalf("granting: %d %v", status, doc)
			}
			tokens[who.name] = k.login(u, word, who.scope)
		}
		k.permissions(tokens, map[string]string{"acme": acme, "rival": rival, "project": project, "foreign": foreign, "worker": worker, "crew": crew, "hidden": hidden, "operators": operators})
	})
}

// permissions tries requests as everyone. A request that somebody may make is one that may be made several times.
func (k *identityAPI) permissions(tokens, id map[string]string) {
	k.Helper()
	const all = "operator,system reader,domain admin,domain reader,domain member,project admin,service,member"
	for _, tt := range []struct {
		verb, path string
		body       any
		may        string // who may; the others get 403 or 404
	}{
		{"GET", "/users?domain_id=" + id["acme"], nil, "operator,system reader,domain admin,domain reader,domain member"},
		{"GET", "/users/" + id["worker"], nil, "operator,system reader,domain admin,domain reader,domain member"},
		{"GET", "/users/" + id["foreign"], nil, "operator,system reader"},
		{"PATCH", "/users/" + id["worker"], object{"user": object{"description": "x"}}, "operator,domain admin"},
		{"PATCH", "/users/" + id["foreign"], object{"user": object{"description": "x"}}, "operator"},
		{"PATCH", "/users/" + id["hidden"], object{"user": object{"password": "taken over"}}, "operator"},
		{"PATCH", "/groups/" + id["crew"], object{"group": object{"description": "x"}}, "operator,domain admin"},
		{"PUT", "/groups/" + id["crew"] + "/users/" + id["worker"], nil, "operator,domain admin"},
		{"PUT", "/groups/" + id["crew"] + "/users/" + id["foreign"], nil, "operator"},
		{"PUT", "/groups/" + id["operators"] + "/users/" + id["worker"], nil, "operator"},
		{"PATCH", "/projects/" + id["project"], object{"project": object{"description": "x"}}, "operator,domain admin"},
		{"GET", "/projects/" + id["project"], nil, all},
		{"PATCH", "/projects/" + id["acme"], object{"project": object{"description": "x"}}, "operator"},
		{"PATCH", "/domains/" + id["acme"], object{"domain": object{"description": "x"}}, "operator"},
		{"GET", "/domains/" + id["acme"], nil, all},
		{"GET", "/domains/" + id["rival"], nil, "operator,system reader"},
		{"PUT", "/projects/" + id["project"] + "/users/" + id["worker"] + "/roles/role-admin", nil, "operator,domain admin"},
		{"PUT", "/projects/" + id["project"] + "/users/" + id["worker"] + "/roles/role-service", nil, "operator"},
		{"PUT", "/projects/" + id["project"] + "/users/" + id["foreign"] + "/roles/role-member", nil, "operator"},
		{"PUT", "/OS-INHERIT/domains/" + id["acme"] + "/groups/" + id["crew"] + "/roles/role-member/inherited_to_projects", nil, "operator,domain admin"},
		{"PUT", "/domains/" + id["rival"] + "/users/" + id["worker"] + "/roles/role-member", nil, "operator"},
		{"PUT", "/domains/default/users/" + id["worker"] + "/roles/role-member", nil, "operator"},
		{"PUT", "/system/users/" + id["foreign"] + "/roles/role-reader", nil, "operator"},
		{"GET", "/role_assignments?scope.project.id=" + id["project"], nil, "operator,system reader,domain admin,domain reader,domain member"},
		{"GET", "/roles", nil, all},
		{"PATCH", "/roles/role-member", object{"role": object{"name": "x"}}, ""},
		{"GET", "/services", nil, "operator,system reader"},
		{"DELETE", "/services/image", nil, ""},
		{"GET", "/OS-REVOKE/events", nil, "operator,service"},
		{"GET", "/auth/tokens", nil, all},
		{"GET", "/credentials", nil, all},
		{"GET", "/limits", nil, all},
		{"GET", "/users/" + id["worker"] + "/application_credentials", nil, "operator"},
		{"GET", "/users/" + id["worker"] + "/credentials/OS-EC2", nil, "operator"},
	} {
		for who, token := range tokens {
			status, doc, _ := k.ask(token, tt.verb, tt.path, tt.body)
			allowed := status < http.StatusBadRequest
			if want := slices.Contains(strings.Split(tt.may, ","), who); allowed != want || (!allowed && status != http.StatusForbidden && status != http.StatusNotFound) {
				k.Errorf("%s: %s %s: %d %v, want allowed %v", who, tt.verb, tt.path, status, doc, want)
			}
		}
	}
	// Others' tokens: operators, readers of the system and services may look at them.
	for who, token := range tokens {
		req, err := http.NewRequestWithContext(k.Context(), "HEAD", k.url+"/auth/tokens", nil)
		if err != nil {
			k.Fatal(err)
		}
		req.Header.Set("X-Auth-Token", token)
		req.Header.Set("X-Subject-Token", tokens["operator"])
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			k.Fatal(err)
		}
		_ = res.Body.Close()
		if allowed, want := res.StatusCode == http.StatusOK, slices.Contains([]string{"operator", "system reader", "service"}, who); allowed != want {
			k.Errorf("%s looks at the operator's token: %d", who, res.StatusCode)
		}
	}
}

// TestAProjectNamedAdmin makes nobody an operator outside of the operators' own domain.
func TestAProjectNamedAdmin(t *testing.T) {
	c := startCloud(t, "")
	a, err := client.ReadAccess(c.data, cloudName)
	if err != nil {
		t.Fatal(err)
	}
	k := &identityAPI{c, a.AuthURL}
	_, _, op := k.ask("", "POST", "/auth/tokens", object{"auth": object{"identity": object{"methods": []string{"password"},
		"password": object{"user": object{"name": a.Username, "domain": object{"id": "default"}, "password": a.Password}}}}})
	acme := k.make(op, "domain", object{"name": "acme"})
	boss := k.make(op, "user", object{"name": "boss", "domain_id": acme, "password": word})
	k.ask(op, "PUT", "/domains/"+acme+"/users/"+boss+"/roles/role-admin", nil)
	domain := k.login(boss, word, object{"domain": object{"id": acme}})
	project := k.make(domain, "project", object{"name": "admin"})
	if status, doc, _ := k.ask(domain, "PUT", "/projects/"+project+"/users/"+boss+"/roles/role-admin", nil); status != http.StatusNoContent {
		t.Fatalf("granting: %d %v", status, doc)
	}
	token := k.login(boss, word, object{"project": object{"id": project}})
	if status, _, _ := k.ask(token, "GET", "/users", nil); status != http.StatusForbidden {
		t.Errorf("the admin of another project named admin lists users: %d", status)
	}
	if status, _, _ := k.ask(domain, "POST", "/users", object{"user": object{"name": "x", "domain_id": "default"}}); status != http.StatusNotFound {
		t.Errorf("a domain's administrator makes users in another: %d", status)
	}
	// The operators' own domain is the operators' to manage, whoever has a role on it.
	k.ask(op, "PUT", "/domains/default/users/"+boss+"/roles/role-admin", nil)
	home := k.login(boss, word, object{"domain": object{"id": "default"}})
	if status, _, _ := k.ask(home, "GET", "/users", nil); status != http.StatusOK {
		t.Errorf("a reader of the domain default lists its users: %d", status)
	}
	if status, _, _ := k.ask(home, "POST", "/users", object{"user": object{"name": "x"}}); status != http.StatusForbidden {
		t.Errorf("an administrator of the domain default makes a user in it: %d", status)
	}
}

// TestBadIdentities sends what is wrong about users, projects and what belongs to them, and expects to be told what.
func TestBadIdentities(t *testing.T) {
	c := startCloud(t, "")
	for _, tt := range []struct {
		name, verb, path string
		body             any
		kind             fault.Kind
		says             string
	}{
		{"wrong type", "POST", "/users", object{"user": object{"name": "x", "enabled": "yes"}}, fault.Invalid, "enabled"},
		{"no object", "POST", "/users", object{"name": "x"}, fault.Invalid, "user"},
		{"no such domain", "POST", "/users", object{"user": object{"name": "x", "domain_id": "none"}}, fault.Invalid, "none"},
		{"too much beside the fields", "POST", "/groups", object{"group": object{"name": "x", "note": strings.Repeat("x", 20<<10)}}, fault.Invalid, "bytes"},
		{"the name of the default domain", "POST", "/domains", object{"domain": object{"name": "DEFAULT"}}, fault.Conflict, "DEFAULT"},
		{"domain in a domain", "POST", "/projects", object{"project": object{"name": "x", "is_domain": true, "domain_id": "default"}}, fault.Invalid, "domain_id"},
		{"tag with a comma", "POST", "/projects", object{"project": object{"name": "x", "tags": []string{"a,b"}}}, fault.Invalid, "tags"},
		{"no such parent", "POST", "/projects", object{"project": object{"name": "x", "parent_id": "none"}}, fault.NotFound, "none"},
		{"limit of a page", "GET", "/users?limit=none", nil, fault.Invalid, "limit"},
		{"assignments without a root", "GET", "/role_assignments?include_subtree", nil, fault.Invalid, "include_subtree"},
		{"unknown field", "POST", "/credentials", object{"credential": object{"colour": "red"}}, fault.Invalid, "colour"},
		{"ec2 without a key", "POST", "/credentials", object{"credential": object{"type": "ec2", "blob": "{}", "project_id": "x"}}, fault.Invalid, "access"},
		{"endpoint that is no URL", "POST", "/endpoints", object{"endpoint": object{"interface": "public", "url": "x", "service_id": "image"}}, fault.Invalid, "url"},
		{"role option", "POST", "/roles", object{"role": object{"name": "x", "options": object{"colour": "red"}}}, fault.Invalid, "immutable"},
		{"trust for another", "POST", "/OS-TRUST/trusts", object{"trust": object{"trustor_user_id": "x", "trustee_user_id": "y", "impersonation": false}}, fault.Denied, "trustor_user_id"},
		{"scope of two kinds", "POST", "/auth/tokens", object{"auth": object{"identity": object{"methods": []string{"token"}, "token": object{"id": "x"}},
			"scope": object{"project": object{"id": "x"}, "system": object{"all": true}}}}, fault.Invalid, "scope"},
		{"two methods, two users", "POST", "/auth/tokens", object{"auth": object{"identity": object{"methods": []string{"totp", "password"},
			"password": object{"user": object{"id": "x", "password": "x"}}, "totp": object{"user": object{"id": "y", "passcode": "123456"}}}}}, fault.Invalid, "same user"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := c.admin.Do(t.Context(), tt.verb, "identity", tt.path, tt.body, nil)
			wantFault(t, err, tt.kind)
			if err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("the answer %q does not name %q", err, tt.says)
			}
		})
	}
}

// TestPages follows a list from page to page, and finds that lists which have no pages name no next one.
func TestPages(t *testing.T) {
	c := startCloud(t, "")
	for _, name := range []string{"a", "b", "c", "d"} {
		must[any](c, c.admin, "POST", "identity", "/groups", object{"group": object{"name": name}})
	}
	type groups struct {
		Groups []struct{ ID, Name string }
		Links  struct{ Next *string }
	}
	var seen string
	for path := "/groups?limit=2"; ; {
		g := must[groups](c, c.admin, "GET", "identity", path, nil)
		for _, one := range g.Groups {
			seen += one.Name
		}
		if g.Links.Next == nil {
			break
		}
		_, rest, _ := strings.Cut(*g.Links.Next, "/v3/groups")
		path = "/groups" + rest
	}
	if seen != "abcd" {
		t.Errorf("page by page there are %q", seen)
	}
	for _, path := range []string{"/role_assignments?limit=1", "/services?limit=1", "/regions?limit=1"} {
		if l := must[groups](c, c.admin, "GET", "identity", path, nil); l.Links.Next != nil {
			t.Errorf("%s names a next page, %s", path, *l.Links.Next)
		}
	}
}

// TestDelegatedTokens keeps what a user let a program have from becoming more than that.
func TestDelegatedTokens(t *testing.T) {
	c := startCloud(t, "")
	a, err := client.ReadAccess(c.data, cloudName)
	if err != nil {
		t.Fatal(err)
	}
	k := &identityAPI{c, a.AuthURL}
	_, doc, admin := k.ask("", "POST", "/auth/tokens", object{"auth": object{"identity": object{"methods": []string{"password"},
		"password": object{"user": object{"name": a.Username, "domain": object{"id": "default"}, "password": a.Password}}}}})
	me := "/users/" + doc["token"].(object)["user"].(object)["id"].(string)
	robot := func(name string, fields object) string {
		t.Helper()
		fields["name"], fields["secret"] = name, word
		status, doc, _ := k.ask(admin, "POST", me+"/application_credentials", object{"application_credential": fields})
		if status != http.StatusCreated {
			t.Fatalf("making %s: %d %v", name, status, doc)
		}
		id := doc["application_credential"].(object)["id"]
		status, doc, token := k.ask("", "POST", "/auth/tokens", object{"auth": object{"identity": object{"methods": []string{"application_credential"},
			"application_credential": object{"id": id, "secret": word}}}})
		if status != http.StatusCreated {
			t.Fatalf("logging in as %s: %d %v", name, status, doc)
		}
		return token
	}
	restricted := robot("restricted", object{})
	free := robot("free", object{"unrestricted": true})
	ruled := robot("ruled", object{"access_rules": []object{{"service": "identity", "method": "GET", "path": "/v3/roles/*"}}})
	another := object{"application_credential": object{"name": "another"}}
	for _, tt := range []struct {
		name, token, verb, path string
		body                    any
		status                  int
	}{
		{"restricted makes another", restricted, "POST", me + "/application_credentials", another, http.StatusForbidden},
		{"unrestricted makes another", free, "POST", me + "/application_credentials", another, http.StatusCreated},
		{"restricted looks at keys", restricted, "GET", me + "/credentials/OS-EC2", nil, http.StatusForbidden},
		{"unrestricted looks at keys", free, "GET", "/credentials", nil, http.StatusForbidden},
		{"unrestricted makes a key", free, "POST", me + "/credentials/OS-EC2", object{"tenant_id": "x"}, http.StatusForbidden},
		{"within the rule", ruled, "GET", "/roles/role-member", nil, http.StatusOK},
		{"beside the rule", ruled, "GET", "/roles", nil, http.StatusForbidden},
		{"another verb than the rule's", ruled, "PATCH", "/roles/role-member", object{}, http.StatusForbidden},
	} {
		if status, doc, _ := k.ask(tt.token, tt.verb, tt.path, tt.body); status != tt.status {
			t.Errorf("%s: %d %v, want %d", tt.name, status, doc, tt.status)
		}
	}
}
