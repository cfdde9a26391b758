package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hagane-cloud/hagane/client"
	"github.com/hagane-cloud/hagane/fault"
)

// computeServers is a page of a list by the compute service.
type computeServers struct {
	Servers []struct{ ID, Name, Status string }
	Links   []struct{ Rel, Href string } `json:"servers_links"`
}

func (l computeServers) names() []string {
	out := []string{}
	for _, s := range l.Servers {
		out = append(out, s.Name)
	}
	return out
}

// listed are the names of the servers that a query selects.
func (c *testCloud) listed(who *client.Cloud, query string) []string {
	c.Helper()
	return must[computeServers](c, who, "GET", "compute", "/servers/detail?"+query, nil).names()
}

// computeUntil waits until a server of the compute service has a status.
func (c *testCloud) computeUntil(who *client.Cloud, id, want string) serverDoc {
	c.Helper()
	var s serverDoc
	c.until(patience, "the server "+id+" to be "+want, func() bool {
		s = must[serverDoc](c, who, "GET", "compute", "/servers/"+id, nil)
		return s.Server.Status == want
	})
	return s
}

// paged returns the names in a list of servers, following its links from page to page.
func (c *testCloud) paged(who *client.Cloud, service, query string) (names []string) {
	c.Helper()
	for more := true; more; {
		page := must[computeServers](c, who, "GET", service, "/servers?"+query, nil)
		names = append(names, page.names()...)
		if more = len(page.Links) > 0; more {
			_, query, _ = strings.Cut(page.Links[0].Href, "?")
		}
	}
	return names
}

// TestComputeLists makes servers together, and finds them by what they are.
func TestComputeLists(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		c := startCloud(t, dsn)
		for i := range 3 {
			c.fakeNode(fmt.Sprint("n", i), fmt.Sprintf("02:00:00:00:00:0%d", i+1))
		}
		tenant, other := c.tenant("tenant"), c.tenant("other")
		g := c.ground(tenant)
		several := func(name string, n int, tags ...string) object {
			b := g.body(name)
			b["server"].(object)["min_count"], b["server"].(object)["tags"] = n, tags
			return b
		}
		err := tenant.Do(t.Context(), "POST", "compute", "/servers", several("many", 4), nil)
		if wantFault(t, err, fault.Conflict); len(c.listed(tenant, "")) != 0 {
			t.Errorf("some of four servers were left when there are three nodes: %v", c.listed(tenant, ""))
		}
		must[serverDoc](c, tenant, "POST", "compute", "/servers", several("web_a", 2, "blue", "front"))
		third := must[serverDoc](c, tenant, "POST", "compute", "/servers", several("Db%", 1, "blue")).Server.ID
		c.until(patience, "all to be active", func() bool { return len(c.listed(tenant, "status=ACTIVE")) == 3 })
		if err := tenant.Do(t.Context(), "POST", "compute", "/servers/"+third+"/action", object{"os-stop": nil}, nil); err != nil {
			t.Fatal(err)
		}
		c.computeUntil(tenant, third, "SHUTOFF")
		for query, want := range map[string]string{
			"sort_key=display_name&sort_dir=asc": "Db% web_a-1 web_a-2", "sort_key=display_name&sort_dir=desc": "web_a-2 web_a-1 Db%",
			"status=SHUTOFF": "Db%", "status=shutoff&status=active&sort_key=name&sort_dir=asc": "Db% web_a-1 web_a-2", "status=PAUSED": "", "status=ERROR": "",
			"name=WEB_A-1": "web_a-1", "name=%5Eweb&sort_key=name&sort_dir=asc": "web_a-1 web_a-2", "name=%5Ea-1": "", "name=b%25": "Db%", "name=a%25": "", "name=1%24": "web_a-1",
			"tags=blue,front&sort_key=name&sort_dir=asc": "web_a-1 web_a-2", "not-tags=front": "Db%", "tags-any=front,none&limit=1&sort_key=name&sort_dir=asc": "web_a-1",
			"flavor=" + g.flavor + "&name=db": "Db%", "image=none": "", "uuid=" + third: "Db%", "deleted=true": "", "deleted=False&name=db": "Db%",
			"ip=10.20.0&name=db": "Db%", "ip=10.99.": "", "changes-since=2099-01-01T00:00:00Z": "", "availability_zone=elsewhere": "",
		} {
			if got := strings.Join(c.listed(tenant, query), " "); got != want {
				t.Errorf("%s: %q, want %q", query, got, want)
			}
		}
		if seen := c.paged(tenant, "compute", "limit=1&sort_key=name&sort_dir=asc"); !slices.Equal(seen, []string{"Db%", "web_a-1", "web_a-2"}) {
			t.Errorf("by pages of one: %v", seen)
		}
		for query, want := range map[string][]string{ // ECL2.0's lists
			"limit=1": {"Db%", "web_a-1", "web_a-2"}, "limit=1&status=active&name=b": {"Db%", "web_a-1", "web_a-2"}, "limit=2&name=web": {"web_a-1", "web_a-2"},
			"status=BUILD": nil, "status=GONE": nil, "image=" + g.image + "&flavor=none": nil, "flavor=http://x/flavors/" + g.flavor + "&name=Db": {"Db%"},
		} {
			if seen := slices.Sorted(slices.Values(c.paged(tenant, "baremetal-server", query))); !slices.Equal(seen, want) {
				t.Errorf("ECL2.0's list, %s: %v, want %v", query, seen, want)
			}
		}
		wantFault(t, tenant.Do(t.Context(), "GET", "baremetal-server", "/servers?marker=none", nil, nil), fault.Invalid)
		if got := c.listed(other, ""); len(got) != 0 {
			t.Errorf("another tenant sees %v", got)
		}
		wantFault(t, other.Do(t.Context(), "GET", "compute", "/servers?all_tenants=1", nil, nil), fault.Denied)
		wantFault(t, tenant.Do(t.Context(), "GET", "compute", "/servers?power_state=1", nil, nil), fault.Invalid)
		if all, own := c.listed(c.admin, "all_tenants=1"), c.listed(c.admin, ""); len(all) != 3 || len(own) != 0 {
			t.Errorf("the operator sees %v of all, %v of its own", all, own)
		}
	})
}

// TestComputeQuotas asks for two servers at once where one is allowed, and for more key pairs and groups than are allowed.
func TestComputeQuotas(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		c := startCloud(t, dsn)
		c.fakeNode("n1", "02:00:00:00:00:01")
		c.fakeNode("n2", "02:00:00:00:00:02")
		tenant := c.tenant("tenant")
		g := c.ground(tenant)
		set := func(quotas object) {
			must[any](c, c.admin, "PUT", "compute", "/os-quota-sets/"+tenant.ProjectID, object{"quota_set": quotas})
		}
		wantFault(t, tenant.Do(t.Context(), "PUT", "compute", "/os-quota-sets/"+tenant.ProjectID, object{"quota_set": object{"instances": 9}}, nil), fault.Denied)
		set(object{"instances": 1, "key_pairs": 1, "server_groups": 0})
		errs := make([]error, 2)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				errs[i] = tenant.Do(t.Context(), "POST", "compute", "/servers", g.body(fmt.Sprint("s", i)), nil)
			})
		}
		wg.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("one of two servers must be refused: %v", errs)
		}
		for _, err := range errs {
			if err != nil && (!fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "Quota exceeded for instances: Requested 1, but already used 1 of 1 instances")) {
				t.Errorf("the refusal: %v", err)
			}
		}
		wantFault(t, tenant.Do(t.Context(), "POST", "baremetal-server", "/servers", g.body("by ECL2.0"), nil), fault.Denied)
		set(object{"instances": -1, "ram": 1024})
		wantFault(t, tenant.Do(t.Context(), "POST", "compute", "/servers", g.body("more memory"), nil), fault.Denied)
		must[any](c, tenant, "POST", "compute", "/os-keypairs", object{"keypair": object{"name": "one"}})
		wantFault(t, tenant.Do(t.Context(), "POST", "compute", "/os-keypairs", object{"keypair": object{"name": "two"}}, nil), fault.Denied)
		wantFault(t, tenant.Do(t.Context(), "POST", "compute", "/os-server-groups", object{"server_group": object{"name": "g", "policies": []string{"affinity"}}}, nil), fault.Denied)
		wantFault(t, c.admin.Do(t.Context(), "PUT", "compute", "/os-quota-sets/"+tenant.ProjectID, object{"quota_set": object{"instances": 0}}, nil), fault.Invalid)
		set(object{"instances": 0, "force": true})
		told := must[struct {
			Limits struct{ Absolute map[string]int }
		}](c, tenant, "GET", "baremetal-server", "/limits", nil).Limits.Absolute
		if told["maxTotalInstances"] != 0 || told["totalInstancesUsed"] != 1 || told["maxTotalKeypairs"] != 1 || told["maxServerMeta"] != 128 {
			t.Errorf("by ECL2.0 the limits are %v", told)
		}

		type quota struct{ Limit, InUse int }
		detail := must[struct {
			Set struct {
				Instances, Cores struct {
					Limit int
					InUse int `json:"in_use"`
				}
			} `json:"quota_set"`
		}](c, tenant, "GET", "compute", "/os-quota-sets/"+tenant.ProjectID+"/detail", nil)
		if got := (quota{detail.Set.Instances.Limit, detail.Set.Instances.InUse}); got != (quota{0, 1}) || detail.Set.Cores.InUse != 1 {
			t.Errorf("what is used: %+v", detail)
		}
		limits := must[struct {
			Limits struct{ Absolute map[string]int }
		}](c, tenant, "GET", "compute", "/limits", nil).Limits.Absolute
		for _, name := range []string{"maxTotalInstances", "maxSecurityGroups", "maxSecurityGroupRules", "maxTotalFloatingIps", "maxImageMeta"} { // of 2.1
			if _, ok := limits[name]; !ok {
				t.Errorf("the limits have no %s: %v", name, limits)
			}
		}
		must[any](c, c.admin, "DELETE", "compute", "/os-quota-sets/"+tenant.ProjectID, nil)
		must[any](c, c.admin, "PUT", "compute", "/os-quota-class-sets/default", object{"quota_class_set": object{"instances": 1}})
		wantFault(t, tenant.Do(t.Context(), "POST", "compute", "/servers", g.body("by default"), nil), fault.Denied)
	})
}

// TestComputeRules tries what may be done with a server when, and what projects and users keep from each other.
func TestComputeRules(t *testing.T) {
	c := startCloud(t, "")
	c.fakeNode("n1", "02:00:00:00:00:01")
	c.fakeNode("n2", "02:00:00:00:00:02")
	tenant := c.tenant("tenant")
	c.roleOn("tenant", "colleague", "member")
	colleague := c.inProject("colleague", "tenant")
	g := c.ground(tenant)
	must[any](c, tenant, "POST", "compute", "/os-keypairs", object{"keypair": object{"name": "mine"}})
	wantFault(t, colleague.Do(t.Context(), "GET", "compute", "/os-keypairs/mine", nil, nil), fault.NotFound)
	must[any](c, colleague, "POST", "compute", "/os-keypairs", object{"keypair": object{"name": "mine"}})
	wantFault(t, colleague.Do(t.Context(), "GET", "compute", "/os-keypairs?user_id=someone", nil, nil), fault.Denied)

	group := must[struct {
		Group struct{ ID string } `json:"server_group"`
	}](c, tenant, "POST", "compute", "/os-server-groups", object{"server_group": object{"name": "near", "policies": []string{"affinity"}}}).Group.ID
	near := g.body("near")
	near["os:scheduler_hints"] = object{"group": group}
	id := must[serverDoc](c, tenant, "POST", "compute", "/servers", near).Server.ID
	if err := tenant.Do(t.Context(), "POST", "compute", "/servers", near, nil); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "affinity") {
		t.Errorf("a second server with affinity: %v", err)
	}
	act := func(who *client.Cloud, action object) error {
		return who.Do(t.Context(), "POST", "compute", "/servers/"+id+"/action", action, nil)
	}
	c.computeUntil(tenant, id, "ACTIVE")
	do := func(who *client.Cloud, action object) {
		t.Helper()
		if err := act(who, action); err != nil {
			t.Error(err)
		}
	}
	do(tenant, object{"lock": object{"locked_reason": "mine"}})
	for _, action := range []object{{"os-stop": nil}, {"reboot": object{"type": "HARD"}}, {"rebuild": object{"imageRef": g.image}}, {"addSecurityGroup": object{"name": "default"}}} {
		wantFault(t, act(tenant, action), fault.Conflict)
	}
	wantFault(t, tenant.Do(t.Context(), "DELETE", "compute", "/servers/"+id, nil, nil), fault.Conflict)
	wantFault(t, tenant.Do(t.Context(), "DELETE", "baremetal-server", "/servers/"+id, nil, nil), fault.Conflict)
	do(c.admin, object{"lock": nil})
	wantFault(t, act(tenant, object{"unlock": nil}), fault.Denied)
	do(c.admin, object{"unlock": nil})
	wantFault(t, act(tenant, object{"migrate": nil}), fault.Conflict)
	wantFault(t, act(tenant, object{"dance": nil}), fault.Invalid)
	wantFault(t, c.admin.Do(t.Context(), "DELETE", "compute", "/flavors/"+g.flavor, nil, nil), fault.Conflict)
	must[any](c, tenant, "DELETE", "compute", "/servers/"+id, nil)
	c.until(patience, "the server to be gone", func() bool {
		return fault.Is(tenant.Do(t.Context(), "GET", "compute", "/servers/"+id, nil, nil), fault.NotFound)
	})
}

// TestRebuild deploys a server anew on its node: in vain, and then well.
func TestRebuild(t *testing.T) {
	t.Parallel()
	c := startCloud(t, "")
	name := c.runLab(1).Nodes[0].Name
	node := c.node(name).UUID
	c.ready(node, "manage", "inspect", "provide")
	tenant := c.tenant("tenant")
	g := c.ground(tenant)
	id := must[serverDoc](c, tenant, "POST", "compute", "/servers", g.body("s")).Server.ID
	c.computeUntil(tenant, id, "ACTIVE")
	disk := func(serial object) {
		must[any](c, c.admin, "PATCH", "baremetal", "/v1/nodes/"+name, []object{{"op": "add", "path": "/properties/root_device", "value": serial}})
	}
	disk(object{"serial": "nowhere"})
	rebuild := object{"rebuild": object{"imageRef": g.image, "name": "anew", "adminPass": "another word"}}
	must[serverDoc](c, tenant, "POST", "compute", "/servers/"+id+"/action", rebuild)
	wantFault(t, tenant.Do(t.Context(), "POST", "compute", "/servers/"+id+"/action", rebuild, nil), fault.Conflict)
	got := c.computeUntil(tenant, id, "ERROR")
	if !strings.Contains(got.Server.Fault.Message, "could not be rebuilt") || !strings.Contains(got.Server.Fault.Message, "nowhere") {
		t.Errorf("the fault is %q", got.Server.Fault.Message)
	}
	if d := c.node(name); d.InstanceUUID != id {
		t.Errorf("the node is lent to %q; it must stay the server's", d.InstanceUUID)
	}
	acts := must[struct {
		Actions []struct{ Action, Message string } `json:"instanceActions"`
	}](c, tenant, "GET", "compute", "/servers/"+id+"/os-instance-actions", nil).Actions
	if len(acts) != 2 || acts[0].Action != "rebuild" || !strings.Contains(acts[0].Message, "nowhere") || acts[1].Message != "" {
		t.Errorf("what was asked of the server: %+v", acts)
	}
	disk(object{})
	must[serverDoc](c, tenant, "POST", "compute", "/servers/"+id+"/action", rebuild)
	c.computeUntil(tenant, id, "ACTIVE")
	if got := c.listed(tenant, ""); !slices.Equal(got, []string{"anew"}) {
		t.Errorf("the servers are %v", got)
	}
	must[any](c, tenant, "DELETE", "compute", "/servers/"+id, nil)
	c.nodeUntil(node, "available")
}
