package main

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/client"
)

// answer is what came of a plain HTTP request.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask makes a plain HTTP request with a token.
func (c *testCloud) ask(token, verb, path, body string, header ...string) answer {
	c.Helper()
	a, err := client.ReadAccess(c.data, cloudName)
	if err != nil {
		c.Fatal(err)
	}
	req, err := http.NewRequestWithContext(c.Context(), verb, strings.TrimSuffix(a.AuthURL, "/identity/v3")+path, strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	if token != "" {
		req.Header.Set("X-Auth-Token", token)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.Fatal(err)
	}
	_ = res.Body.Close()
	return answer{res.StatusCode, res.Header, string(text)}
}

// login returns a token of a user for a project, or "" and the answer when there is none.
func (c *testCloud) login(user, password, project string) (string, answer) {
	c.Helper()
	body, err := json.Marshal(object{"auth": object{
		"identity": object{"methods": []string{"password"}, "password": object{"user": object{"name": user, "password": password, "domain": object{"id": "default"}}}},
		"scope":    object{"project": object{"name": project, "domain": object{"id": "default"}}}}})
	if err != nil {
		c.Fatal(err)
	}
	a := c.ask("", "POST", "/identity/v3/auth/tokens", string(body))
	return a.header.Get("X-Subject-Token"), a
}

// event is an audit record in CADF's form.
type event struct {
	ID, Action, Outcome, RequestPath string
	Initiator                        struct {
		ID, Name, RequestID string
		ProjectID           string `json:"project_id"`
		Request             string `json:"request_id"`
		Origin              string `json:"global_request_id"`
		Host                struct{ Address string }
	}
	Target struct{ TypeURI, ID string }
	Reason struct{ ReasonCode, Message string }
}

func (c *testCloud) events(token, query string) []event {
	c.Helper()
	a := c.ask(token, "GET", "/audit/v1/events"+query, "")
	var doc struct{ Events []event }
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil || a.status != http.StatusOK {
		c.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return doc.Events
}

// TestAudit sees that changes and refusals are recorded with who, what, from where and the outcome, and who may read that.
func TestAudit(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		c := startCloud(t, dsn)
		c.tenant("mine")
		c.tenant("other")
		mine, _ := c.login("mine", "password of mine", "mine")
		other, _ := c.login("other", "password of other", "other")
		const origin = "req-01234567-89ab-cdef-0123-456789abcdef"
		made := c.ask(mine, "POST", "/network/v2.0/networks", `{"network":{"name":"n"}}`, "X-OpenStack-Request-ID", origin)
		var n struct{ Network struct{ ID string } }
		if err := json.Unmarshal([]byte(made.body), &n); err != nil || made.status != http.StatusCreated {
			t.Fatalf("%d %s", made.status, made.body)
		}
		c.ask(mine, "GET", "/network/v2.0/networks", "")
		c.ask(mine, "DELETE", "/network/v2.0/networks/"+n.Network.ID, "")
		c.ask(mine, "DELETE", "/network/v2.0/networks/"+n.Network.ID, "")
		c.ask(mine, "POST", "/baremetal/v1/nodes", `{}`)

		got := c.events(mine, "")
		logins := len(got)
		got = slices.DeleteFunc(got, func(e event) bool { return e.Action == "authenticate" })
		if logins == len(got) {
			t.Error("there is no record of the login")
		}
		if len(got) != 4 {
			t.Fatalf("%d events, not 4: %+v", len(got), got)
		}
		for i, want := range []struct{ action, outcome, code, target string }{
			{"create", "failure", "403", ""}, {"delete", "failure", "404", n.Network.ID}, {"delete", "success", "204", n.Network.ID}, {"create", "success", "201", n.Network.ID},
		} {
			e := got[i]
			if e.Action != want.action || e.Outcome != want.outcome || e.Reason.ReasonCode != want.code || e.Target.ID != want.target {
				t.Errorf("event %d is %+v, want %+v", i, e, want)
			}
			if e.Initiator.Name != "mine" || e.Initiator.Host.Address != "127.0.0.1" || e.Initiator.Request == "" {
				t.Errorf("event %d was begun by %+v", i, e.Initiator)
			}
		}
		if e := got[3]; e.Initiator.Origin != origin || e.Initiator.Request != made.header.Get("X-Openstack-Request-Id") {
			t.Errorf("the request ids are %+v", e.Initiator)
		}
		if all := c.events(other, "?service=network"); len(all) != 0 {
			t.Errorf("another tenant sees %+v", all)
		}
		if a := c.ask(other, "GET", "/audit/v1/events/"+got[0].ID, ""); a.status != http.StatusNotFound {
			t.Errorf("another tenant reads one: %d", a.status)
		}
		if a := c.ask(other, "GET", "/audit/v1/events?project_id="+got[0].Initiator.ProjectID, ""); a.status != http.StatusForbidden {
			t.Errorf("another tenant asks for them: %d", a.status)
		}
		if a := c.ask(mine, "GET", "/audit/v1/events?colour=red", ""); a.status != http.StatusBadRequest {
			t.Errorf("an unknown filter: %d", a.status)
		}
		operator, err := client.ReadAccess(c.data, cloudName)
		if err != nil {
			t.Fatal(err)
		}
		admin, _ := c.login(operator.Username, operator.Password, operator.ProjectName)
		if all := c.events(admin, "?service=network&outcome=success&project_id="+got[0].Initiator.ProjectID); len(all) != 2 {
			t.Errorf("the operator sees %+v", all)
		}
		first := c.events(mine, "?limit=3")
		if rest := c.events(mine, "?limit=1&marker="+first[2].ID); len(rest) != 1 || rest[0].ID != got[3].ID {
			t.Errorf("the second page is %+v", rest)
		}
	})
}

// TestIdempotencyKey repeats creates with a key, in turn and at the same time.
func TestIdempotencyKey(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		c := startCloud(t, dsn)
		c.tenant("mine")
		c.tenant("other")
		mine, _ := c.login("mine", "password of mine", "mine")
		other, _ := c.login("other", "password of other", "other")
		const path, body = "/network/v2.0/networks", `{"network":{"name":"n"}}`
		first := c.ask(mine, "POST", path, body, "Idempotency-Key", "k1")
		again := c.ask(mine, "POST", path, body, "Idempotency-Key", "k1")
		if first.status != http.StatusCreated || again.status != http.StatusCreated || again.body != first.body || again.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("first %d %s, again %d %s", first.status, first.body, again.status, again.body)
		}
		if a := c.ask(mine, "POST", path, `{"network":{"name":"m"}}`, "Idempotency-Key", "k1"); a.status != http.StatusBadRequest || !strings.Contains(a.body, "Idempotency-Key") {
			t.Errorf("another call with the same key: %d %s", a.status, a.body)
		}
		if a := c.ask(other, "POST", path, body, "Idempotency-Key", "k1"); a.status != http.StatusCreated || a.body == first.body {
			t.Errorf("another tenant with the same key: %d %s", a.status, a.body)
		}
		// What was refused changed nothing, and may be asked for again.
		for _, want := range []int{http.StatusBadRequest, http.StatusBadRequest} {
			if a := c.ask(mine, "POST", path, `{"network":{"name":7}}`, "Idempotency-Key", "k2"); a.status != want || a.header.Get("Idempotency-Replayed") != "" {
				t.Errorf("a call that is refused: %d %s", a.status, a.body)
			}
		}
		var wg sync.WaitGroup
		answers := make([]answer, 8)
		for i := range answers {
			wg.Go(func() {
				answers[i] = c.ask(mine, "POST", path, `{"network":{"name":"at once"}}`, "Idempotency-Key", "k3")
			})
		}
		wg.Wait()
		for _, a := range answers {
			if a.status != http.StatusCreated && a.status != http.StatusConflict {
				t.Errorf("at the same time: %d %s", a.status, a.body)
			}
		}
		if list := c.ask(mine, "GET", path+"?name=at%20once", ""); strings.Count(list.body, `"at once"`) != 1 {
			t.Errorf("eight calls at once with one key made %s", list.body)
		}
		if a := c.ask(mine, "POST", path, body, "Idempotency-Key", strings.Repeat("x", 256)); a.status != http.StatusBadRequest {
			t.Errorf("a key that is too long: %d", a.status)
		}
	})
}

// TestRateLimits sees that who asks too often is told when to ask again, and nobody else is.
func TestRateLimits(t *testing.T) {
	c := &testCloud{T: t, data: t.TempDir()}
	c.serveWith(serveOptions{roles: allRoles, limits: api.Limits{User: api.Rate{PerSecond: 0.001, Burst: 20}, Guests: api.Rate{PerSecond: 0.001, Burst: 12}}})
	c.reconnect()
	c.tenant("mine") // logs in as well
	mine, _ := c.login("mine", "password of mine", "mine")
	limited := func(says string, ask func() answer) (after int) {
		t.Helper()
		for after = range 40 {
			if a := ask(); a.status == http.StatusTooManyRequests {
				if a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "try again in") || !strings.Contains(a.body, says) {
					t.Errorf("it says %v %s", a.header, a.body)
				}
				return after
			}
		}
		t.Error("there is no limit")
		return after
	}
	if n := limited("HTTPTooManyRequests", func() answer { return c.ask(mine, "GET", "/network/v2.0/networks", "") }); n != 20 {
		t.Errorf("%d requests were answered, not the burst of 20", n)
	}
	if n := limited("overLimit", func() answer { return c.ask(mine, "GET", "/baremetal-server/v2/mine/servers", "") }); n != 0 {
		t.Errorf("%d more were answered by ECL2.0's API", n)
	}
	if err := c.admin.Do(t.Context(), "GET", "baremetal", "/v1/nodes", nil, nil); err != nil {
		t.Errorf("another user: %v", err)
	}
	limited("Too Many Requests", func() answer { _, a := c.login("nobody", "guess", "mine"); return a })
}

// TestEveryAnswerHasARequestID asks all kinds of things.
func TestEveryAnswerHasARequestID(t *testing.T) {
	c := startCloud(t, "")
	seen := map[string]bool{}
	for _, ask := range []string{"GET /identity/v3", "GET /network/v2.0/networks", "GET /baremetal/v1", "GET /image/v2/images", "GET /image/v2/unicorns", "PUT /network/v2.0/networks"} {
		verb, path, _ := strings.Cut(ask, " ")
		id := c.ask("", verb, path, "").header.Get("X-Openstack-Request-Id")
		if !strings.HasPrefix(id, "req-") || seen[id] {
			t.Errorf("%s: %q", ask, id)
		}
		seen[id] = true
	}
}
