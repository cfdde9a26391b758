package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/client"
)

// TestNetworkRefusals sends what the network service refuses, and expects Neutron's status and type.
func TestNetworkRefusals(t *testing.T) {
	c := startCloud(t, "")
	tenant, other := c.tenant("tenant"), c.tenant("other")
	g := c.ground(tenant)
	net, id := func(more object) object { return object{"network": more} }, g.network
	group := must[struct {
		Groups []struct{ ID string } `json:"security_groups"`
	}](c, tenant, "GET", "network", "/v2.0/security-groups", nil).Groups[0].ID
	must[any](c, tenant, "PUT", "network", "/v2.0/networks/"+id, net(object{"tags": object{"k": "v"}}))
	must[any](c, c.admin, "PUT", "network", "/v2.0/quotas/"+other.ProjectID, object{"quota": object{"network": 1, "port": 0, "force": true}})
	must[any](c, other, "POST", "network", "/v2.0/networks", net(object{"name": "full"}))
	for _, tt := range []struct {
		who        *client.Cloud
		verb, path string
		body       any
		says       []string
	}{
		{tenant, "POST", "/networks", net(object{"colour": "red", "age": 1}), []string{"400", "Unrecognized attribute(s) 'age, colour'"}},
		{tenant, "POST", "/networks", net(object{"id": "x"}), []string{"400", "Attribute 'id' not allowed in POST"}},
		{tenant, "PUT", "/networks/" + id, net(object{"status": "DOWN"}), []string{"400", "Attribute 'status' not allowed in PUT"}},
		{tenant, "PUT", "/networks/" + id, net(object{"tenant_id": "x"}), []string{"400", "read-only attribute tenant_id"}},
		{tenant, "PUT", "/networks/" + id, net(object{"plane": "storage"}), []string{"400", "plane"}},
		{tenant, "POST", "/networks", net(object{"mtu": 60}), []string{"400", "mtu"}},
		{tenant, "POST", "/networks", net(object{"name": 5}), []string{"400", "name"}},
		{tenant, "POST", "/networks", object{"subnet": object{}}, []string{"400", "Unrecognized attribute(s) 'subnet'"}},
		{tenant, "POST", "/networks", object{"networks": []object{}}, []string{"400", "networks"}},
		{tenant, "POST", "/networks", net(object{"provider:segmentation_id": 7}), []string{"403", "PolicyNotAuthorized"}},
		{tenant, "POST", "/networks", net(object{"shared": true}), []string{"403", "PolicyNotAuthorized"}},
		{tenant, "POST", "/networks", net(object{"tenant_id": other.ProjectID}), []string{"403", "PolicyNotAuthorized"}},
		{tenant, "GET", "/networks?colour=red", nil, []string{"400", "colour"}},
		{tenant, "GET", "/networks?provider:segmentation_id=100", nil, []string{"400", "only an operator"}},
		{tenant, "GET", "/networks?limit=-1", nil, []string{"400", "limit"}},
		{tenant, "GET", "/networks?sort_key=name&sort_dir=up", nil, []string{"400", "sort_dir"}},
		{tenant, "GET", "/networks?marker=none", nil, []string{"404", "NetworkNotFound"}},
		{tenant, "GET", "/networks/none", nil, []string{"404", "NetworkNotFound"}},
		{other, "GET", "/networks/" + id, nil, []string{"404", "NetworkNotFound"}},
		{other, "PUT", "/networks/" + id + "/tags/x", nil, []string{"404", "TagResourceNotFound"}},
		{other, "PUT", "/networks/none/tags/x", nil, []string{"404", "TagResourceNotFound"}},
		{other, "POST", "/ports", object{"port": object{"network_id": id}}, []string{"404", "NetworkNotFound"}},
		{other, "GET", "/security-groups/" + group, nil, []string{"404", "SecurityGroupNotFound"}},
		{other, "POST", "/security-group-rules", object{"security_group_rule": object{"security_group_id": group, "direction": "ingress"}}, []string{"404", "SecurityGroupNotFound"}},
		{other, "POST", "/rbac-policies", object{"rbac_policy": object{"object_type": "network", "object_id": id, "action": "access_as_shared", "target_tenant": other.ProjectID}},
			[]string{"404", "RbacPolicyObjectNotFound"}},
		{other, "POST", "/networks", net(object{"name": "more"}), []string{"409", "OverQuota", "['network']"}},
		{other, "GET", "/quotas/" + tenant.ProjectID, nil, []string{"403", "PolicyNotAuthorized"}},
		{other, "PUT", "/quotas/" + other.ProjectID, object{"quota": object{"network": 5}}, []string{"403", "PolicyNotAuthorized"}},
		{c.admin, "PUT", "/quotas/x", object{"quota": object{"unicorn": 5}}, []string{"400", "Unrecognized attribute(s) 'unicorn'"}},
		{c.admin, "PUT", "/quotas/x", object{"quota": object{"network": -2}}, []string{"400", "network"}},
		{tenant, "PUT", "/networks/" + id + "/tags/x", nil, []string{"409", "TagConflict"}},
		{tenant, "GET", "/trunks", nil, []string{"404"}},
		{tenant, "GET", "/agents", nil, []string{"404"}},
		{tenant, "GET", "/routers/x/tags", nil, []string{"404"}},
		{tenant, "GET", "/network-ip-availabilities", nil, []string{"403", "PolicyNotAuthorized"}},
	} {
		err := tt.who.Do(t.Context(), tt.verb, "network", "/v2.0"+tt.path, tt.body, nil)
		if err == nil {
			t.Errorf("%s %s %v was not refused", tt.verb, tt.path, tt.body)
			continue
		}
		for _, says := range tt.says {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%s %s %v: %v does not say %q", tt.verb, tt.path, tt.body, err, says)
			}
		}
	}
}

// TestNetworkPages makes networks in one request, and follows the links of their pages there and back.
func TestNetworkPages(t *testing.T) {
	c := startCloud(t, "")
	tenant := c.tenant("tenant")
	var bodies []object
	var want []string
	for i := range 5 {
		want = append(want, fmt.Sprint("n", i))
		bodies = append(bodies, object{"name": want[i]})
	}
	slices.Reverse(bodies)
	must[any](c, tenant, "POST", "network", "/v2.0/networks", object{"networks": bodies})
	type page struct {
		Networks []struct{ Name string }
		Links    []struct{ Rel, Href string } `json:"networks_links"`
	}
	follow := func(path, rel string) (names []string, last string) {
		for path != "" {
			p := must[page](c, tenant, "GET", "network", path, nil)
			var on []string
			for _, n := range p.Networks {
				on = append(on, n.Name)
			}
			if rel == "next" {
				names = append(names, on...)
			} else {
				names = append(on, names...)
			}
			if len(on) > 0 {
				last = path
			}
			path = ""
			for _, l := range p.Links {
				if u, err := url.Parse(l.Href); err == nil && l.Rel == rel {
					path = strings.TrimPrefix(u.RequestURI(), "/network")
				}
			}
		}
		return names, last
	}
	got, last := follow("/v2.0/networks?limit=2&sort_key=name&sort_dir=asc&fields=name", "next")
	if !slices.Equal(got, want) {
		t.Errorf("pages: %v, want %v", got, want)
	}
	if back, _ := follow(last, "previous"); !slices.Equal(back, want) {
		t.Errorf("pages backwards: %v, want %v", back, want)
	}
	if one := must[page](c, tenant, "GET", "network", "/v2.0/networks?name=n1&name=n3&sort_key=name", nil); len(one.Networks) != 2 || one.Links != nil {
		t.Errorf("two names: %+v", one)
	}
}

// TestTagsTwoWays shows what each side's clients see of the other's tags.
func TestTagsTwoWays(t *testing.T) {
	c := startCloud(t, "")
	tenant := c.tenant("tenant")
	id := c.ground(tenant).network
	shown := func() string {
		return fmt.Sprint(must[struct{ Network struct{ Tags any } }](c, tenant, "GET", "network", "/v2.0/networks/"+id, nil).Network.Tags)
	}
	for _, step := range []struct {
		verb, path string
		body       any
		want       string
	}{
		{"GET", "/networks/" + id, nil, "<nil>"},
		{"PUT", "/networks/" + id + "/tags", object{"tags": []string{"b", "a"}}, "[a b]"},
		{"PUT", "/networks/" + id, object{"network": object{"tags": object{}}}, "[a b]"},
		{"DELETE", "/networks/" + id + "/tags", nil, "<nil>"},
		{"PUT", "/networks/" + id, object{"network": object{"tags": object{"k": "v"}}}, "map[k:v]"},
		{"DELETE", "/networks/" + id + "/tags", nil, "map[k:v]"},
		{"PUT", "/networks/" + id, object{"network": object{"tags": object{}}}, "<nil>"},
		{"PUT", "/networks/" + id + "/tags/x", nil, "[x]"},
	} {
		if err := tenant.Do(t.Context(), step.verb, "network", "/v2.0"+step.path, step.body, nil); err != nil {
			t.Fatal(err)
		}
		if got := shown(); got != step.want {
			t.Errorf("after %s %s %v: %s, want %s", step.verb, step.path, step.body, got, step.want)
		}
	}
}
