package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/client"
	"github.com/hagane-cloud/hagane/fault"
)

// bm makes a call to the bare metal service that has to succeed.
func bm[T any](c *testCloud, who *client.Cloud, verb, path string, in any) T {
	c.Helper()
	var out T
	var to any = &out
	if verb == "PUT" || verb == "DELETE" {
		to = nil
	}
	if err := who.Do(c.Context(), verb, "baremetal", "/v1"+path, in, to); err != nil {
		c.Fatal(err)
	}
	return out
}

// target asks for a change of state, and waits for the state.
func (c *testCloud) target(who *client.Cloud, id string, body object, want string) {
	c.Helper()
	bm[any](c, who, "PUT", "/nodes/"+id+"/states/provision", body)
	c.nodeUntil(id, want)
}

type allocationDoc struct {
	UUID, State string
	Node        string `json:"node_uuid"`
	LastError   string `json:"last_error"`
}

// decided waits until an allocation has a node, or none.
func (c *testCloud) decided(id string) (a allocationDoc) {
	c.Helper()
	c.until(patience, "the allocation to be decided", func() bool {
		a = bm[allocationDoc](c, c.admin, "GET", "/allocations/"+id, nil)
		return a.State != "allocating"
	})
	return a
}

// TestOperatorDeploysByIronic leads a node through an operator's life without servers: allocated, deployed with an image and
// a config drive, serviced, rebuilt, taken back; cleaned by steps; adopted; retired.
func TestOperatorDeploysByIronic(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		c := startCloud(t, dsn)
		id := c.fakeNode("n1", "02:00:00:00:00:01")
		g := c.ground(c.admin)
		port := must[struct{ Port struct{ ID string } }](c, c.admin, "POST", "network", "/v2.0/ports", object{"port": object{"network_id": g.network}})

		a := bm[allocationDoc](c, c.admin, "POST", "/allocations", object{"name": "a1", "resource_class": "baremetal"})
		if a.State != "allocating" || a.Node != "" {
			t.Errorf("a new allocation: %+v", a)
		}
		if a = c.decided(a.UUID); a.State != "active" || a.Node != id {
			t.Fatalf("%+v", a)
		}
		if b := c.decided(bm[allocationDoc](c, c.admin, "POST", "/allocations", object{"resource_class": "baremetal"}).UUID); b.State != "error" || !strings.Contains(b.LastError, "of resource class baremetal no node is free") || !strings.Contains(b.LastError, "1 in use") {
			t.Errorf("an allocation for which there is no node: %+v", b)
		}
		bm[any](c, c.admin, "PUT", "/nodes/"+id+"/traits/CUSTOM_TIDY", object{})
		patch := []object{{"op": "add", "path": "/instance_info/image_source", "value": g.image}}
		bm[any](c, c.admin, "PATCH", "/nodes/"+id, patch)
		if err := c.admin.Do(t.Context(), "POST", "baremetal", "/v1/nodes/"+id+"/vifs", object{"id": port.Port.ID}, nil); err != nil && !strings.Contains(err.Error(), "reading the cloud's answer") {
			t.Fatal(err) // 204 has no body
		}
		c.target(c.admin, id, object{"target": "active", "configdrive": object{"meta_data": object{"role": "db"}, "user_data": "#!/bin/sh\n"}}, "active")
		if n := c.node(id); n.InstanceUUID != a.UUID {
			t.Errorf("the instance is %q, not the allocation %s", n.InstanceUUID, a.UUID)
		}
		bound := must[struct {
			Port struct {
				Device string `json:"device_id"`
			}
		}](c, c.admin, "GET", "network", "/v2.0/ports/"+port.Port.ID, nil)
		if bound.Port.Device != a.UUID {
			t.Errorf("the port belongs to %q", bound.Port.Device)
		}
		vifs := "/v1/nodes/" + id + "/vifs"
		for _, vif := range []struct {
			verb, path string
			body       any
			want       int
		}{{"DELETE", vifs + "/" + port.Port.ID, nil, 0}, {"POST", vifs, object{"id": port.Port.ID}, 1}} { // of a node that is active, at once
			if err := c.admin.Do(t.Context(), vif.verb, "baremetal", vif.path, vif.body, nil); err != nil && !strings.Contains(err.Error(), "reading the cloud's answer") {
				t.Fatal(err)
			}
			owned := must[struct{ Ports []any }](c, c.admin, "GET", "network", "/v2.0/ports?id="+port.Port.ID+"&device_id="+a.UUID, nil)
			if len(owned.Ports) != vif.want {
				t.Errorf("after %s %s the instance has %d ports", vif.verb, vif.path, len(owned.Ports))
			}
		}
		wantFault(t, c.admin.Do(t.Context(), "DELETE", "baremetal", "/v1/allocations/a1", nil, nil), fault.Conflict)
		c.target(c.admin, id, object{"target": "service", "service_steps": []object{{"interface": "deploy", "step": "reboot"}, {"interface": "power", "step": "power_off"}}}, "active")
		for field, says := range map[string]string{"boot_iso": "vmedia", "kernel": "whole disk"} {
			bm[any](c, c.admin, "PATCH", "/nodes/"+id, []object{{"op": "add", "path": "/instance_info/" + field, "value": "http://192.0.2.1/x"}})
			err := c.admin.Do(t.Context(), "PUT", "baremetal", "/v1/nodes/"+id+"/states/provision", object{"target": "rebuild"}, nil)
			if wantFault(t, err, fault.Invalid); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("deploying with %s: %v", field, err)
			}
			bm[any](c, c.admin, "PATCH", "/nodes/"+id, []object{{"op": "remove", "path": "/instance_info/" + field}})
		}
		drive, err := os.ReadFile("../../server/iso/testdata/ironicclient.iso.gz")
		if err != nil {
			t.Fatal(err)
		}
		c.target(c.admin, id, object{"target": "rebuild", "configdrive": base64.StdEncoding.EncodeToString(drive)}, "active")
		for text, says := range map[string]string{"http://192.0.2.1/drive": "not fetched", "H4sI?": "base64", base64.StdEncoding.EncodeToString(drive[:99]): "damaged", "eA==": "no image"} {
			err := c.admin.Do(t.Context(), "PUT", "baremetal", "/v1/nodes/"+id+"/states/provision", object{"target": "rebuild", "configdrive": text}, nil)
			if wantFault(t, err, fault.Invalid); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("the config drive %.30q: %v, want it to say %q", text, err, says)
			}
		}

		bm[any](c, c.admin, "PATCH", "/nodes/"+id, []object{{"op": "replace", "path": "/protected", "value": true}, {"op": "add", "path": "/protected_reason", "value": "precious"}})
		err = c.admin.Do(t.Context(), "PUT", "baremetal", "/v1/nodes/"+id+"/states/provision", object{"target": "deleted"}, nil)
		if wantFault(t, err, fault.Denied); err == nil || !strings.Contains(err.Error(), "precious") {
			t.Errorf("undeploying a protected node: %v", err)
		}
		bm[any](c, c.admin, "PATCH", "/nodes/"+id, []object{{"op": "replace", "path": "/protected", "value": false}, {"op": "replace", "path": "/retired", "value": true}})
		c.target(c.admin, id, object{"target": "deleted"}, "manageable") // cleaned, and not offered
		wantFault(t, c.admin.Do(t.Context(), "PUT", "baremetal", "/v1/nodes/"+id+"/states/provision", object{"target": "provide"}, nil), fault.Conflict)
		wantFault(t, c.admin.Do(t.Context(), "GET", "baremetal", "/v1/allocations/a1", nil, nil), fault.NotFound)
		bound = must[struct {
			Port struct {
				Device string `json:"device_id"`
			}
		}](c, c.admin, "GET", "network", "/v2.0/ports/"+port.Port.ID, nil)
		if bound.Port.Device != "" {
			t.Errorf("the port still belongs to %q", bound.Port.Device)
		}
		bm[any](c, c.admin, "PATCH", "/nodes/"+id, []object{{"op": "replace", "path": "/retired", "value": false}})

		steps := []object{{"interface": "bios", "step": "apply_configuration", "args": object{"settings": []object{{"name": "LogicalProc", "value": "Disabled"}}}}, {"interface": "deploy", "step": "erase_devices"}}
		c.target(c.admin, id, object{"target": "clean", "clean_steps": steps}, "manageable")
		wantFault(t, c.admin.Do(t.Context(), "PUT", "baremetal", "/v1/nodes/"+id+"/states/provision", object{"target": "clean", "clean_steps": []object{{"interface": "deploy", "step": "dance"}}}, nil), fault.Invalid)
		bm[any](c, c.admin, "POST", "/runbooks", object{"name": "CUSTOM_TIDY", "steps": []object{{"interface": "management", "step": "clear_job_queue", "order": 1}}})
		c.target(c.admin, id, object{"target": "clean", "runbook": "CUSTOM_TIDY"}, "manageable")
		held := []object{{"interface": "power", "step": "power_on"}, {"interface": "deploy", "step": "hold"}, {"interface": "power", "step": "power_off"}}
		c.target(c.admin, id, object{"target": "clean", "clean_steps": held}, "clean hold")
		if p := bm[map[string]any](c, c.admin, "GET", "/nodes/"+id, nil); p["power_state"] != "power on" {
			t.Errorf("held after the first step, the power is %v", p["power_state"])
		}
		c.target(c.admin, id, object{"target": "unhold"}, "manageable")
		if p := bm[map[string]any](c, c.admin, "GET", "/nodes/"+id, nil); p["power_state"] != "power off" {
			t.Errorf("after the last step, the power is %v", p["power_state"])
		}
		wantFault(t, c.admin.Do(t.Context(), "PATCH", "baremetal", "/v1/nodes/"+id, []object{{"op": "add", "path": "/disable_power_off", "value": true}}, nil), fault.Invalid)
		c.target(c.admin, id, object{"target": "adopt"}, "active")
		if n := c.node(id); n.InstanceUUID == "" {
			t.Error("an adopted node has no instance")
		}
	})
}

// TestAllocationsComeAndGo deletes allocations before and after conductors decide them: no node stays claimed.
func TestAllocationsComeAndGo(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		c := startCloud(t, dsn)
		id := c.fakeNode("n1", "02:00:00:00:00:01")
		for i := range 10 {
			a := bm[allocationDoc](c, c.admin, "POST", "/allocations", object{"resource_class": "baremetal"})
			if i%2 == 1 {
				c.decided(a.UUID)
			}
			bm[any](c, c.admin, "DELETE", "/allocations/"+a.UUID, nil)
			if n := bm[map[string]any](c, c.admin, "GET", "/nodes/"+id, nil); n["instance_uuid"] != nil || n["allocation_uuid"] != nil {
				t.Fatalf("after the deletion of %s the node has %v, %v", a.UUID, n["instance_uuid"], n["allocation_uuid"])
			}
		}
	})
}

// TestNodesOfProjects sees that a project sees and deploys the nodes that it owns or leases, and no more.
func TestNodesOfProjects(t *testing.T) {
	c := startCloud(t, "")
	mine, other := c.fakeNode("mine", "02:00:00:00:00:01"), c.fakeNode("other", "02:00:00:00:00:02")
	tenant := c.tenant("tenant")
	bm[any](c, c.admin, "PATCH", "/nodes/"+mine, []object{{"op": "add", "path": "/lessee", "value": tenant.ProjectID}})
	list := bm[struct{ Nodes []struct{ UUID string } }](c, tenant, "GET", "/nodes", nil)
	if len(list.Nodes) != 1 || list.Nodes[0].UUID != mine {
		t.Errorf("the tenant sees %+v", list)
	}
	shown := bm[struct {
		Info map[string]any `json:"driver_info"`
	}](c, tenant, "GET", "/nodes/"+mine, nil)
	if len(shown.Info) != 1 || shown.Info["hidden"] == nil {
		t.Errorf("the tenant sees how the BMC is reached: %v", shown.Info)
	}
	c.target(tenant, mine, object{"target": "active"}, "active")
	for what, err := range map[string]error{
		"another's node": tenant.Do(t.Context(), "PUT", "baremetal", "/v1/nodes/"+other+"/states/power", object{"target": "power off"}, nil),
	} {
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, err := range map[string]error{
		"cleaning":    tenant.Do(t.Context(), "PUT", "baremetal", "/v1/nodes/"+mine+"/states/provision", object{"target": "clean"}, nil),
		"its driver":  tenant.Do(t.Context(), "PATCH", "baremetal", "/v1/nodes/"+mine, []object{{"op": "replace", "path": "/driver_info/x", "value": "y"}}, nil),
		"its lessee":  tenant.Do(t.Context(), "PATCH", "baremetal", "/v1/nodes/"+mine, []object{{"op": "remove", "path": "/lessee"}}, nil),
		"maintenance": tenant.Do(t.Context(), "PUT", "baremetal", "/v1/nodes/"+mine+"/maintenance", object{}, nil),
	} {
		if !fault.Is(err, fault.Denied) {
			t.Errorf("the lessee changes %s: %v", what, err)
		}
	}
	c.target(tenant, mine, object{"target": "deleted"}, "available")
	// A server of somebody else never comes to a node that is leased.
	g := c.ground(c.admin)
	for i := range 2 {
		err := c.admin.Do(t.Context(), "POST", "baremetal-server", "/servers", g.body(fmt.Sprint("s", i)), nil)
		if i == 1 && (err == nil || !strings.Contains(err.Error(), "1 kept for other projects")) {
			t.Errorf("the second server: %v", err)
		}
	}
}

// TestNodeLists pages, sorts and filters.
func TestNodeLists(t *testing.T) {
	c := startCloud(t, "")
	chassis := bm[struct{ UUID string }](c, c.admin, "POST", "/chassis", object{"description": "rack 1"})
	for i := range 7 {
		body := object{"name": fmt.Sprint("n", i), "driver": "fake-hardware", "resource_class": fmt.Sprint("c", i%2), "shard": fmt.Sprint("s", i%3), "description": fmt.Sprint("the ", i, "th")}
		if i < 2 {
			body["chassis_uuid"] = chassis.UUID
		}
		bm[any](c, c.admin, "POST", "/nodes", body)
	}
	bm[any](c, c.admin, "PUT", "/nodes/n3/maintenance", object{})
	if d := bm[map[string]any](c, c.admin, "GET", "/nodes/n3", nil); d["maintenance"] != true || d["maintenance_reason"] != nil {
		t.Errorf("maintenance without a reason is shown as %v, %q", d["maintenance"], d["maintenance_reason"])
	}
	bm[any](c, c.admin, "PUT", "/nodes/n3/maintenance", object{"reason": "it smells"})
	type page struct {
		Nodes []struct{ Name string }
		Next  string
	}
	names := func(p page) string {
		var out []string
		for _, n := range p.Nodes {
			out = append(out, n.Name)
		}
		return strings.Join(out, " ")
	}
	host := bm[struct{ Conductors []struct{ Hostname string } }](c, c.admin, "GET", "/conductors", nil).Conductors[0].Hostname
	bm[any](c, c.admin, "PATCH", "/nodes/n3", []object{{"op": "add", "path": "/conductor_group", "value": "elsewhere"}})
	for n, want := range map[string]any{"n0": host, "n3": nil} {
		if d := bm[map[string]any](c, c.admin, "GET", "/nodes/"+n, nil); d["conductor"] != want {
			t.Errorf("the conductor of %s is %v, not %v", n, d["conductor"], want)
		}
	}
	for query, want := range map[string]string{
		"":                                       "n0 n1 n2 n3 n4 n5 n6",
		"?sort_key=name&sort_dir=desc&limit=3":   "n6 n5 n4",
		"?resource_class=c1":                     "n1 n3 n5",
		"?shard=s1,s2&sort_key=name":             "n1 n2 n4 n5",
		"?sharded=false":                         "",
		"?maintenance=true":                      "n3",
		"?fault=operator":                        "n3",
		"?chassis_uuid=" + chassis.UUID:          "n0 n1",
		"?description_contains=5th":              "n5",
		"?provision_state=enroll&limit=1":        "n0",
		"?provision_state=active":                "",
		"?associated=false&driver=fake-hardware": "n0 n1 n2 n3 n4 n5 n6",
		"?conductor=" + host:                     "n0 n1 n2 n4 n5 n6",
		"?conductor=nobody":                      "",
	} {
		if got := names(bm[page](c, c.admin, "GET", "/nodes"+query, nil)); got != want {
			t.Errorf("%s: %s, not %s", query, got, want)
		}
	}
	first := bm[page](c, c.admin, "GET", "/nodes?sort_key=resource_class&limit=4", nil)
	_, query, _ := strings.Cut(first.Next, "?")
	second := bm[page](c, c.admin, "GET", "/nodes?"+query, nil)
	if all := names(first) + " " + names(second); len(strings.Fields(all)) != 7 || second.Next != "" {
		t.Errorf("two pages by class: %s, next %q", all, second.Next)
	}
	wantFault(t, c.admin.Do(t.Context(), "GET", "baremetal", "/v1/nodes?sort_key=password", nil, nil), fault.Invalid)
	shards := bm[struct {
		Shards []struct {
			Name  string
			Count int
		}
	}](c, c.admin, "GET", "/shards", nil)
	if len(shards.Shards) != 3 || shards.Shards[0].Count != 3 {
		t.Errorf("%+v", shards)
	}
	wantFault(t, c.admin.Do(t.Context(), "DELETE", "baremetal", "/v1/chassis/"+chassis.UUID, nil, nil), fault.Conflict)
}
