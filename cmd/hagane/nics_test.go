package main

import (
	"os"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab"
)

// TestServerOnTwoPlanes deploys a server with three of a machine's four NICs: two on the data plane and one on the storage
// plane, one of them with a fixed address, and looks at what the machine got.
func TestServerOnTwoPlanes(t *testing.T) {
	c := startCloud(t, "")
	n := c.runRack(lab.Options{Nodes: 1, Machine: lab.Sim, DiskGB: 1, NICs: 4}).Nodes[0]
	c.ready(c.node(n.Name).UUID, "manage", "inspect", "provide")
	tenant := c.tenant("tenant")
	g := c.ground(tenant)
	type networkDoc struct{ Network struct{ ID string } }
	add := func(name, plane, cidr string) string {
		net := must[networkDoc](c, tenant, "POST", "network", "/v2.0/networks", object{"network": object{"name": name, "plane": plane}})
		must[any](c, tenant, "POST", "network", "/v2.0/subnets", object{"subnet": object{"network_id": net.Network.ID, "cidr": cidr}})
		return net.Network.ID
	}
	second, storage := add("second", "data", "10.21.0.0/24"), add("storage", "storage", "10.22.0.0/24")
	body := g.body("s")
	networks := []object{{"uuid": g.network}, {"uuid": second, "fixed_ip": "10.21.0.77"}, {"uuid": storage, "plane": "storage"}}
	body["server"].(object)["networks"] = append(networks[:3:3], object{"uuid": second}) // three of the data plane are too many
	if err := tenant.Do(t.Context(), "POST", "baremetal-server", "/servers", body, nil); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "too few NICs") {
		t.Errorf("three NICs of the data plane: %v", err)
	}
	body["server"].(object)["networks"] = networks
	s := must[serverDoc](c, tenant, "POST", "baremetal-server", "/servers", body)
	c.serverUntil(tenant, s.Server.ID, "ACTIVE")
	type nic struct {
		MAC      string `json:"mac_addr"`
		Plane    string
		Attached []struct {
			Network string `json:"network_id"`
			IPs     []struct {
				Address string `json:"ip_address"`
			} `json:"fixed_ips"`
		} `json:"attached_ports"`
	}
	nics := must[struct {
		Ports []nic `json:"nic_physical_ports"`
	}](c, tenant, "GET", "baremetal-server", "/servers/"+s.Server.ID+"/nic_physical_ports", nil).Ports
	if len(nics) != 4 {
		t.Fatalf("%d NICs, not 4: %+v", len(nics), nics)
	}
	where := map[string]nic{}
	for _, one := range nics {
		for _, a := range one.Attached {
			where[a.Network] = one
		}
	}
	if len(where) != 3 || where[storage].Plane != "storage" || where[second].Plane != "data" || where[second].Attached[0].IPs[0].Address != "10.21.0.77" {
		t.Errorf("the NICs are %+v", nics)
	}
	c.until(patience, "the machine's system to have its addresses", func() bool {
		console, err := os.ReadFile(n.Console)
		if err != nil {
			t.Fatal(err)
		}
		text := string(console)
		return strings.Contains(text, where[g.network].MAC+" has 10.20.0.") && strings.Contains(text, where[second].MAC+" has 10.21.0.77/24") &&
			strings.Contains(text, where[storage].MAC+" has 10.22.0.")
	})
	must[any](c, tenant, "DELETE", "baremetal-server", "/servers/"+s.Server.ID, nil)
	c.serverUntil(tenant, s.Server.ID, "")
	c.nodeUntil(c.node(n.Name).UUID, "available")
}
