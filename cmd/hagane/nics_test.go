package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/client"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab"
	labclient "github.com/hagane-cloud/hagane/lab/client"
	"github.com/hagane-cloud/hagane/network/fabric"
	fabriclab "github.com/hagane-cloud/hagane/network/fabric/lab"
)

// TestServerOnTwoPlanes deploys a server with three of a machine's four NICs: two on the data plane and one on the storage
// plane, one of them with a fixed address, and looks at what the machine got.
func TestServerOnTwoPlanes(t *testing.T) {
	c := startCloud(t, "")
	l := c.runRack(lab.Options{Nodes: 1, Machine: lab.Sim, DiskGB: 1, NICs: 4})
	n := l.Nodes[0]
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
	c.replugs(tenant, l, s.Server.ID, second, where[second].MAC)
	must[any](c, tenant, "DELETE", "baremetal-server", "/servers/"+s.Server.ID, nil)
	c.serverUntil(tenant, s.Server.ID, "")
	c.nodeUntil(c.node(n.Name).UUID, "available")
}

// replugs takes a running server's interface off a network and gives it another one there, on the same NIC, and looks at the switch.
func (c *testCloud) replugs(tenant *client.Cloud, l labclient.Lab, server, network, mac string) {
	c.Helper()
	sw, err := fabriclab.Open(c.Context(), fabric.Access{Address: l.Switch})
	if err != nil {
		c.Fatal(err)
	}
	defer func() { _ = sw.Close() }()
	at := ""
	for _, nic := range l.Nodes[0].NICs {
		if nic.MAC == mac {
			at = nic.Port
		}
	}
	onVLAN := func(want int) {
		c.Helper()
		if p, err := sw.Port(c.Context(), at); err != nil || p.Access != want || (len(p.Filters) > 0) != (want > 0) {
			c.Errorf("the switch port %s is %+v (%v), want it on VLAN %d, and with a filter there", at, p, err, want)
		}
	}
	type iface struct {
		Port string `json:"port_id"`
		MAC  string `json:"mac_addr"`
		Net  string `json:"net_id"`
	}
	path := "/servers/" + server + "/os-interface"
	all := must[struct {
		Attachments []iface `json:"interfaceAttachments"`
	}](c, tenant, "GET", "compute", path, nil).Attachments
	i := slices.IndexFunc(all, func(one iface) bool { return one.Net == network })
	onVLAN(c.vlan(network))
	wantFault(c.T, tenant.Do(c.Context(), "POST", "compute", path, object{"interfaceAttachment": object{"net_id": network}}, nil), fault.Conflict) // no NIC is free
	must[any](c, tenant, "DELETE", "compute", path+"/"+all[i].Port, nil)
	onVLAN(0)
	wantFault(c.T, tenant.Do(c.Context(), "GET", "network", "/v2.0/ports/"+all[i].Port, nil, nil), fault.NotFound) // it was made for the server
	wantFault(c.T, tenant.Do(c.Context(), "DELETE", "compute", path+"/"+all[i].Port, nil, nil), fault.NotFound)
	wanted := object{"interfaceAttachment": object{"net_id": network, "fixed_ips": []object{{"ip_address": "10.21.0.88"}}}}
	got := must[struct {
		Attachment iface `json:"interfaceAttachment"`
	}](c, tenant, "POST", "compute", path, wanted).Attachment
	if got.MAC != mac || got.Net != network {
		c.Errorf("the new interface is %+v, want it on the NIC %s", got, mac)
	}
	onVLAN(c.vlan(network))
}
