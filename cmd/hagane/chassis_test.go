package main

import (
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab"
)

type chassisDoc struct {
	ID      string
	Status  string
	Zone    string  `json:"availability_zone"`
	Flavor  string  `json:"flavor_name"`
	Server  *string `json:"server_id"`
	Name    *string `json:"server_name"`
	Years   *int    `json:"contract_year"`
	Start   *string `json:"start_time"`
	Summary struct {
		Disks struct{ Count, Size int }
	} `json:"hardware_summary"`
	Disks []struct {
		ID   string `json:"hardware_id"`
		Size int
	}
}

// TestChassis leases one of two nodes to a tenant, who asks for a server on just that one with a disk of its own choice, and
// sees that nobody else has it.
func TestChassis(t *testing.T) {
	t.Parallel()
	c := startCloud(t, "")
	rack := c.runRack(lab.Options{Nodes: 2, Machine: lab.Sim, DiskGB: 5, Disks: 3})
	leased := c.node(rack.Nodes[1].Name).UUID
	for _, n := range rack.Nodes {
		c.ready(c.node(n.Name).UUID, "manage", "inspect", "provide")
	}
	tenant, other := c.tenant("tenant"), c.tenant("other")
	g := c.ground(tenant)
	lease := []object{{"op": "add", "path": "/lessee", "value": tenant.ProjectID}, {"op": "add", "path": "/extra/contract_year", "value": 3},
		{"op": "add", "path": "/extra/start_time", "value": "2026-04-01T00:00:00Z"}}
	if err := c.admin.Do(t.Context(), "PATCH", "baremetal", "/v1/nodes/"+leased, lease, nil); err != nil {
		t.Fatal(err)
	}
	type list struct{ Chassis []chassisDoc }
	if all := must[list](c, other, "GET", "baremetal-server", "/chassis/detail", nil).Chassis; len(all) > 0 {
		t.Errorf("another tenant has %+v", all)
	}
	wantFault(t, other.Do(t.Context(), "GET", "baremetal-server", "/chassis/"+leased, nil, nil), fault.NotFound)
	plain := must[list](c, tenant, "GET", "baremetal-server", "/chassis", nil).Chassis
	if len(plain) != 1 || plain[0].ID != leased || plain[0].Status != "available" || plain[0].Server != nil || *plain[0].Years != 3 || *plain[0].Start != "2026-04-01T00:00:00Z" ||
		plain[0].Flavor == "" || plain[0].Zone == "" || plain[0].Disks != nil || plain[0].Summary.Disks.Count != 3 || plain[0].Summary.Disks.Size != 15 {
		t.Fatalf("the tenant's chassis are %+v", plain)
	}
	one := must[struct{ Chassis chassisDoc }](c, tenant, "GET", "baremetal-server", "/chassis/"+leased, nil).Chassis
	if len(one.Disks) != 3 || one.Disks[2].Size != 5 {
		t.Fatalf("the chassis in detail is %+v", one)
	}
	body := g.body("s")
	s := body["server"].(object)
	s["chassis_id"] = leased
	if err := tenant.Do(t.Context(), "POST", "baremetal-server", "/servers", body, nil); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "either") {
		t.Errorf("a chassis beside a flavor: %v", err)
	}
	delete(s, "flavorRef")
	s["raid_arrays"] = []object{{"disk_hardware_ids": []string{one.Disks[2].ID}, "partitions": []object{{"partition_label": "data"}}}}
	theirs := other.Do(t.Context(), "POST", "baremetal-server", "/servers", body, nil)
	wantFault(t, theirs, fault.NotFound)
	made := must[serverDoc](c, tenant, "POST", "baremetal-server", "/servers", body)
	c.serverUntil(tenant, made.Server.ID, "ACTIVE")
	if n := c.node(leased); n.InstanceUUID != made.Server.ID {
		t.Errorf("the server is not on its chassis: %+v", n)
	}
	if doc := must[laid](c, tenant, "GET", "baremetal-server", "/servers/"+made.Server.ID, nil).Server; len(doc.Arrays) != 1 || doc.Arrays[0].Disks[0] != one.Disks[2].ID || *doc.Arrays[0].Partitions[0].Size != 5 {
		t.Errorf("the disk is not the one that was asked for: %+v", doc)
	}
	used := must[list](c, tenant, "GET", "baremetal-server", "/chassis/detail", nil).Chassis
	if len(used) != 1 || used[0].Status != "in-use" || *used[0].Server != made.Server.ID || *used[0].Name != "s" {
		t.Errorf("the chassis in use is %+v", used)
	}
	if err := tenant.Do(t.Context(), "POST", "baremetal-server", "/servers", body, nil); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "1 in use") {
		t.Errorf("a second server on the chassis: %v", err)
	}
}
