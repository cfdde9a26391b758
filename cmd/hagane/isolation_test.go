package main

import (
	"cmp"
	"encoding/json"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/api/keystone"
	"github.com/hagane-cloud/hagane/api/nova"
	"github.com/hagane-cloud/hagane/client"
)

// actor is someone who tries a route.
type actor struct {
	name, token, project string
	may                  []api.Who // the permissions that the actor has
}

// isolation is a cloud with a victim's things in it.
type isolation struct {
	*testCloud
	routes []isolatedRoute
	ids    map[string]string // of what the victim has, by the path segment before the id
	victim string            // project
	*contract
	compared int // answers with what describes them
}

type isolatedRoute struct {
	api.Route
	prefix string
}

// TestIsolation takes every route of every service, tries it as no one, with a wrong token, and as a reader, another
// tenant's member and admin, and an operator, and compares the outcome with the permission that is written beside it.
// What another tenant is told about the victim's things must be what it is told about things that do not exist. Answers
// are compared with the OpenAPI documents on the way.
func TestIsolation(t *testing.T) {
	t.Parallel()
	c := startIsolation(t)
	c.contract = newContract(t)
	actors := c.actors()
	tried := 0
	for _, rt := range c.routes {
		if rt.prefix == "/media" {
			continue // its links hold a secret of their own
		}
		path := rt.prefix + rt.Path
		t.Run(rt.Verb+" "+path, func(t *testing.T) {
			nowhere := c.fill(path, "", nil)
			if a := c.ask("", rt.Verb, nowhere, "{}"); (a.status == http.StatusUnauthorized) == (rt.Who == api.Anyone) && rt.Verb != "POST" {
				t.Errorf("no one got %d", a.status)
			}
			if a := c.ask("nonsense", rt.Verb, nowhere, "{}"); (a.status == http.StatusUnauthorized) == (rt.Who == api.Anyone) && rt.Verb != "POST" {
				t.Errorf("a wrong token got %d", a.status)
			}
			for _, who := range actors {
				c.tries(t, who, rt, path)
				tried++
			}
		})
	}
	t.Logf("%d routes, %d tries as someone", len(c.routes), tried)
	t.Logf("%d answers are as the OpenAPI documents say", c.compared)
	if tried < 500 || c.compared < 100 {
		t.Errorf("only %d tries and %d comparisons", tried, c.compared)
	}
}

// tries has an actor try a route, with the victim's ids and with ids of nothing.
func (c *isolation) tries(t *testing.T, who actor, rt isolatedRoute, at string) {
	t.Helper()
	allowed := rt.Who == api.Anyone
	for _, p := range who.may {
		allowed = allowed || p == rt.Who
	}
	nothing := uuid.NewString()
	other := func(string) string { return nothing }
	no := c.ask(who.token, rt.Verb, c.fill(at, who.project, other), "{}")
	if refused := no.status == http.StatusForbidden; !allowed && !refused {
		t.Errorf("%s, who may not: %d %s", who.name, no.status, no.body)
	}
	if no.status >= http.StatusInternalServerError && no.status != http.StatusServiceUnavailable {
		t.Errorf("%s: %d %s", who.name, no.status, no.body)
	}
	c.described(t, rt, no)
	if rt.Verb == "GET" && allowed && (who.name == "operator" || who.name == "reader" && c.known(at)) {
		own := c.ask(who.token, rt.Verb, c.fill(at, who.project, c.own), "")
		if own.status == http.StatusNotFound && who.name == "reader" && !slices.Contains([]string{"inventory", "allocation"}, path.Base(rt.Path)) && // the node has neither
			at != nova.Prefix+"/v2.1/os-keypairs/{name}" && !strings.Contains(at, "/users/") { // a member's own, and the reader is another user
			t.Errorf("the victim's own reader: %d %s: the test does not try the victim's things", own.status, own.body)
		}
		c.described(t, rt, own)
	}
	if !strings.HasPrefix(who.name, "other") {
		return
	}
	yes := c.ask(who.token, rt.Verb, c.fill(at, who.project, c.own), "{}")
	told := yes.body
	for _, id := range c.ids {
		told = strings.ReplaceAll(told, id, nothing)
	}
	if yes.status != no.status || (told != no.body && strings.Contains(rt.Path, "{") && c.known(at)) {
		t.Errorf("%s is told %d %s of the victim's, and %d %s of what does not exist", who.name, yes.status, yes.body, no.status, no.body)
	}
	if !strings.Contains(rt.Path, "{id}") && rt.prefix != "/audit" { // which tells what the actor itself has asked for
		for what, id := range c.ids {
			if strings.Contains(yes.body, id) && yes.status < http.StatusBadRequest {
				t.Errorf("%s finds the victim's %s in the answer: %s", who.name, what, yes.body)
			}
		}
	}
	if rt.prefix != keystone.Prefix && (strings.Contains(at, "{project}") || strings.Contains(at, "{tenant}")) && rt.Who != api.Anyone {
		if a := c.ask(who.token, rt.Verb, c.fill(at, c.victim, c.own), "{}"); a.status < http.StatusBadRequest {
			t.Errorf("%s names the victim's project in the path and gets %d %s", who.name, a.status, a.body)
		}
	}
}

// described compares an answer with what the documents say of it.
func (c *isolation) described(t *testing.T, rt isolatedRoute, a answer) {
	t.Helper()
	told, err := c.check(rt, a)
	if err != nil {
		t.Errorf("the answer %d %s is not as described: %v", a.status, a.body, err)
	}
	if told {
		c.compared++
	}
}

// known reports whether all ids in a path can be those of the victim's things.
func (c *isolation) known(path string) bool {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if strings.HasPrefix(s, "{") && !ownProject(segments, s) && c.own(segments[1]+" "+segments[i-1]) == "" {
			return false
		}
	}
	return strings.Contains(path, "{")
}

// own is the id of the victim's thing of a kind: of the service, where two have things of that name.
func (c *isolation) own(kind string) string {
	_, plain, _ := strings.Cut(kind, " ")
	return cmp.Or(c.ids[kind], c.ids[plain])
}

// ownProject reports whether a part of a path is the caller's project; the identity service has projects as things.
func ownProject(segments []string, s string) bool {
	return s == "{tenant}" || s == "{project}" && segments[1] != "identity"
}

// fill puts ids into a path: the project, and for others what id returns for the service and the segment before them.
func (c *isolation) fill(path, project string, id func(kind string) string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		switch {
		case ownProject(segments, s):
			segments[i] = project
			if project == "" {
				segments[i] = "p"
			}
		case strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}"):
			segments[i] = uuid.Nil.String()
			if id != nil {
				if v := id(segments[1] + " " + segments[i-1]); v != "" {
					segments[i] = v
				}
			}
		}
	}
	return strings.Join(segments, "/")
}

func startIsolation(t *testing.T) *isolation {
	t.Helper()
	c := &isolation{testCloud: &testCloud{T: t, data: t.TempDir()}, ids: map[string]string{}}
	c.serveWith(serveOptions{roles: allRoles, wired: func(inner *cloud) {
		for _, d := range inner.dialects() {
			for _, rt := range d.Routes {
				c.routes = append(c.routes, isolatedRoute{rt, d.Prefix})
			}
		}
	}})
	c.reconnect()
	c.fakeNode("n1", "02:00:00:00:00:01")
	victim := c.tenant("victim")
	c.victim = victim.ProjectID
	g := c.ground(victim)
	s := must[serverDoc](c.testCloud, victim, "POST", "baremetal-server", "/servers", g.body("victims-server"))
	c.serverUntil(victim, s.Server.ID, "ACTIVE")
	must[any](c.testCloud, victim, "POST", "baremetal-server", "/os-keypairs", object{"keypair": object{"name": "victims-key"}})
	c.ids["networks"], c.ids["images"], c.ids["servers"], c.ids["os-keypairs"] = g.network, g.image, s.Server.ID, "victims-key"
	must[any](c.testCloud, victim, "POST", "network", "/v2.0/subnetpools", object{"subnetpool": object{"name": "p", "prefixes": []string{"10.30.0.0/16"}, "default_prefixlen": 24}})
	c.floating(victim, g.network, object{})
	for _, kind := range []string{"subnets", "ports", "security-groups", "security-group-rules", "subnetpools", "routers", "floatingips"} {
		var doc map[string][]struct{ ID string }
		key := strings.ReplaceAll(kind, "-", "_")
		if err := victim.Do(t.Context(), "GET", "network", "/v2.0/"+kind, nil, &doc); err != nil || len(doc[key]) == 0 {
			t.Fatalf("the victim has no %s: %v", kind, err)
		}
		c.ids[kind] = doc[key][0].ID
	}
	us := must[struct{ Users []struct{ ID string } }](c.testCloud, c.admin, "GET", "identity", "/users?name=victim", nil)
	c.ids["users"] = us.Users[0].ID
	c.ids["projects"] = c.victim
	must[any](c.testCloud, victim, "PUT", "compute", "/servers/"+s.Server.ID+"/tags/victims-tag", nil)
	sg := must[struct {
		Group struct{ ID string } `json:"server_group"`
	}](c.testCloud, victim, "POST", "compute", "/os-server-groups", object{"server_group": object{"name": "victims-group", "policies": []string{"anti-affinity"}}})
	acts := must[struct {
		Actions []struct {
			Request string `json:"request_id"`
		} `json:"instanceActions"`
	}](c.testCloud, victim, "GET", "compute", "/servers/"+s.Server.ID+"/os-instance-actions", nil)
	c.ids["compute tags"], c.ids["os-server-groups"], c.ids["os-instance-actions"], c.ids["os-interface"] = "victims-tag", sg.Group.ID, acts.Actions[0].Request, c.ids["ports"]
	c.ids["members"] = "0123456789abcdef0123456789abcdef"
	must[any](c.testCloud, victim, "POST", "image", "/v2/images/"+g.image+"/members", object{"member": c.ids["members"]})
	brought := must[struct{ ID string }](c.testCloud, victim, "POST", "image", "/v2/images", object{"disk_format": "raw", "container_format": "bare"})
	inward := object{"method": object{"name": "web-download", "uri": "http://127.0.0.1/"}}
	if err := victim.Do(t.Context(), "POST", "image", "/v2/images/"+brought.ID+"/import", inward, nil); err != nil {
		t.Fatal(err)
	}
	c.ids["image tasks"] = must[struct{ Tasks []struct{ ID string } }](c.testCloud, victim, "GET", "image", "/v2/images/"+brought.ID+"/tasks", nil).Tasks[0].ID
	nodes := must[struct{ Nodes []struct{ UUID string } }](c.testCloud, c.admin, "GET", "baremetal", "/v1/nodes", nil)
	c.ids["nodes"] = nodes.Nodes[0].UUID
	c.ids["baremetal-server chassis"] = c.ids["nodes"]
	nics := must[struct{ Ports []struct{ UUID string } }](c.testCloud, c.admin, "GET", "baremetal", "/v1/ports", nil)
	c.ids["baremetal ports"] = nics.Ports[0].UUID
	lease := []object{{"op": "add", "path": "/lessee", "value": c.victim}}
	if err := c.admin.Do(t.Context(), "PATCH", "baremetal", "/v1/nodes/"+c.ids["nodes"], lease, nil); err != nil {
		t.Fatal(err)
	}
	return c
}

// actors logs everyone in.
func (c *isolation) actors() []actor {
	c.Helper()
	everyone := []api.Who{api.Anyone, api.Authenticated, api.Readers, api.Auditors, api.NodeReaders}
	c.tenant("other-member")
	c.roleOn("victim", "reader", "reader")
	c.roleOn("other-member", "other-admin", "admin")
	a, err := client.ReadAccess(c.data, cloudName)
	if err != nil {
		c.Fatal(err)
	}
	out := []actor{
		{name: "reader", may: everyone}, {name: "other-member", may: append(everyone[:5:5], api.Members, api.NodeMembers)}, {name: "other-admin", may: append(everyone[:5:5], api.Members, api.NodeMembers)},
		{name: "operator", may: append(everyone[:5:5], api.Members, api.NodeMembers, api.Operators, api.OperatorsRead, api.DomainAdmins, api.DomainReaders, api.Services)},
	}
	for i, project := range []string{"victim", "other-member", "other-member", a.ProjectName} {
		user, password := out[i].name, "password of "+out[i].name
		if out[i].name == "operator" {
			user, password = a.Username, a.Password
		}
		var got answer
		if out[i].token, got = c.login(user, password, project); out[i].token == "" {
			c.Fatalf("%s: %d %s", user, got.status, got.body)
		}
		var doc struct {
			Token struct{ Project struct{ ID string } }
		}
		if err := json.Unmarshal([]byte(got.body), &doc); err != nil {
			c.Fatal(err)
		}
		out[i].project = doc.Token.Project.ID
	}
	return out
}
