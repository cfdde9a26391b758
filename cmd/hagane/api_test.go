package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hagane-cloud/hagane/client"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
)

// TestTwoServersAndOneNode asks for two servers at the same instant when one node is left.
func TestTwoServersAndOneNode(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		c := startCloud(t, dsn)
		node := c.fakeNode("n1", "02:00:00:00:00:01")
		tenant := c.tenant("tenant")
		g := c.ground(tenant)
		var wg sync.WaitGroup
		errs := make([]error, 2)
		servers := make([]serverDoc, 2)
		for i := range errs {
			wg.Go(func() {
				errs[i] = tenant.Do(t.Context(), "POST", "baremetal-server", "/servers", g.body(fmt.Sprint("s", i)), &servers[i])
			})
		}
		wg.Wait()
		won := 0
		if errs[0] != nil {
			won = 1
		}
		if errs[won] != nil {
			t.Fatalf("neither got the node: %v", errors.Join(errs...))
		}
		if err := errs[1-won]; !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "0 of 1 nodes match (1 in use)") {
			t.Fatalf("the other got %v, want a conflict that says why", err)
		}
		c.serverUntil(tenant, servers[won].Server.ID, "ACTIVE")
		if got := c.node(node).InstanceUUID; got != servers[won].Server.ID {
			t.Errorf("the node is lent to %q, want %q", got, servers[won].Server.ID)
		}
		var ports struct{ Ports []object }
		if err := tenant.Do(t.Context(), "GET", "network", "/v2.0/ports", nil, &ports); err != nil || len(ports.Ports) != 1 {
			t.Errorf("there are %d ports (%v); the loser's must be gone with it", len(ports.Ports), err)
		}
		must[any](c, tenant, "DELETE", "baremetal-server", "/servers/"+servers[won].Server.ID, nil)
		c.serverUntil(tenant, servers[won].Server.ID, "")
		c.nodeUntil(node, "available")
	})
}

// TestBadInput sends what is wrong, and expects to be told what and where.
func TestBadInput(t *testing.T) {
	c := startCloud(t, "")
	c.fakeNode("n1", "02:00:00:00:00:01")
	tenant, other := c.tenant("tenant"), c.tenant("other")
	g := c.ground(tenant)
	s := must[serverDoc](c, tenant, "POST", "baremetal-server", "/servers", g.body("mine"))
	c.serverUntil(tenant, s.Server.ID, "ACTIVE")
	with := func(field string, v any) object {
		b := g.body("x")
		b["server"].(object)[field] = v
		return b
	}
	for _, tt := range []struct {
		name                string
		who                 *client.Cloud
		verb, service, path string
		body                any
		kind                fault.Kind
		says                string
	}{
		{"unknown field", tenant, "POST", "baremetal-server", "/servers", with("colour", "red"), fault.Invalid, "colour"},
		{"wrong type", tenant, "POST", "baremetal-server", "/servers", with("networks", "front"), fault.Invalid, "networks"},
		{"an action's unknown field", tenant, "POST", "baremetal-server", "/servers/" + s.Server.ID + "/action", object{"reboot": object{"type": "HARD", "force": true}}, fault.Invalid, "force"},
		{"an action's field of another one", tenant, "POST", "baremetal-server", "/servers/" + s.Server.ID + "/action", object{"os-start": object{"type": "HARD"}}, fault.Invalid, "type"},
		{"an action that is a list", tenant, "POST", "baremetal-server", "/servers/" + s.Server.ID + "/action", object{"bmc-reset": []string{}}, fault.Invalid, "bmc-reset"},
		{"user data not base64", tenant, "POST", "baremetal-server", "/servers", with("user_data", "%%%"), fault.Invalid, "user_data"},
		{"disks laid out", tenant, "POST", "baremetal-server", "/servers", with("raid_arrays", []object{{"raid_level": 2}}), fault.Invalid, "raid_arrays[0].raid_level"},
		{"unknown field of an array", tenant, "POST", "baremetal-server", "/servers", with("raid_arrays", []object{{"size": "1G"}}), fault.Invalid, "size"},
		{"no such chassis", tenant, "POST", "baremetal-server", "/servers", with("chassis_id", "00000000-0000-0000-0000-000000000000"), fault.Invalid, "chassis_id"},
		{"no such image", tenant, "POST", "baremetal-server", "/servers", with("imageRef", "00000000-0000-0000-0000-000000000000"), fault.NotFound, "image"},
		{"no such switch driver", c.admin, "POST", "operator", "/v1/switches", object{"name": "tor", "driver": "none", "address": "x"}, fault.Invalid, "lab and ovs"},
		{"a switch's address", c.admin, "POST", "operator", "/v1/switches", object{"name": "tor", "driver": "ovs", "address": "/db.sock"}, fault.Invalid, "address"},
		{"a switch's certificate", c.admin, "POST", "operator", "/v1/switches", object{"name": "tor", "driver": "ovs", "address": "ssl:192.0.2.1", "password": "x"}, fault.Invalid, "private key"},
		{"no such key pair", tenant, "POST", "baremetal-server", "/servers", with("key_name", "none"), fault.Invalid, "key_name"},
		{"compute: unknown field", tenant, "POST", "compute", "/servers", with("colour", "red"), fault.Invalid, "colour"},
		{"compute: a volume", tenant, "POST", "compute", "/servers", with("block_device_mapping_v2", []object{{"uuid": "v", "source_type": "volume", "destination_type": "volume"}}), fault.Invalid, "no volumes"},
		{"compute: networks neither", tenant, "POST", "compute", "/servers", with("networks", "front"), fault.Invalid, "networks"},
		{"compute: a network's unknown field", tenant, "POST", "compute", "/servers", with("networks", []object{{"id": "x"}}), fault.Invalid, "networks"},
		{"compute: a host of one's choice", tenant, "POST", "compute", "/servers", with("host", "n1"), fault.Invalid, "host"},
		{"compute: too many", tenant, "POST", "compute", "/servers", with("min_count", 101), fault.Invalid, "max_count"},
		{"compute: a bad tag", tenant, "POST", "compute", "/servers", with("tags", []string{"a,b"}), fault.Invalid, "tags"},
		{"compute: a bad host name", tenant, "POST", "compute", "/servers", with("hostname", "-x_"), fault.Invalid, "hostname"},
		{"compute: no such security group", tenant, "POST", "compute", "/servers", with("security_groups", []object{{"name": "none"}}), fault.Invalid, "security_groups"},
		{"compute: other tenant's server", other, "GET", "compute", "/servers/" + s.Server.ID, nil, fault.NotFound, ""},
		{"compute: an interface", tenant, "POST", "compute", "/servers/" + s.Server.ID + "/os-interface", object{"interfaceAttachment": object{"port_id": "p", "net_id": "n"}}, fault.Invalid, "together"},
		{"compute: a bad marker", tenant, "GET", "compute", "/servers?marker=none", nil, fault.Invalid, "marker"},
		{"compute: a bad sort key", tenant, "GET", "compute", "/servers?sort_key=colour", nil, fault.Invalid, "sort_key"},
		{"compute: a bad public key", tenant, "POST", "compute", "/os-keypairs", object{"keypair": object{"name": "k", "public_key": "ssh-rsa x"}}, fault.Invalid, "public_key"},
		{"compute: a tenant's flavor", tenant, "POST", "compute", "/flavors", object{"flavor": object{"name": "f"}}, fault.Denied, ""},
		{"network unknown field", tenant, "POST", "network", "/v2.0/networks", object{"network": object{"colour": "red"}}, fault.Invalid, "colour"},
		{"subnet not a prefix", tenant, "POST", "network", "/v2.0/subnets", object{"subnet": object{"network_id": g.network, "cidr": "10.0.0.1/8"}}, fault.Invalid, "cidr"},
		{"node without a driver", c.admin, "POST", "baremetal", "/v1/nodes", object{"name": "x"}, fault.Invalid, "driver"},
		{"node with a foreign field", c.admin, "POST", "baremetal", "/v1/nodes", object{"driver": "fake-hardware", "colour": "red"}, fault.Invalid, "colour"},
		{"tenant enrols a node", tenant, "POST", "baremetal", "/v1/nodes", object{"driver": "fake-hardware"}, fault.Denied, ""},
		{"tenant makes a user", tenant, "POST", "identity", "/users", object{"user": object{"name": "x", "password": "long enough"}}, fault.Denied, ""},
		{"other tenant's server", other, "GET", "baremetal-server", "/servers/" + s.Server.ID, nil, fault.NotFound, ""},
		{"other tenant deletes it", other, "DELETE", "baremetal-server", "/servers/" + s.Server.ID, nil, fault.NotFound, ""},
		{"other tenant's network", other, "GET", "network", "/v2.0/networks/" + g.network, nil, fault.NotFound, ""},
		{"server on a foreign network", other, "POST", "baremetal-server", "/servers", g.body("x"), fault.NotFound, ""},
		{"other tenant's image", other, "GET", "image", "/v2/images/" + g.image, nil, fault.NotFound, ""},
		{"network in use", tenant, "DELETE", "network", "/v2.0/networks/" + g.network, nil, fault.Conflict, "1 ports"},
		{"no node left", tenant, "POST", "baremetal-server", "/servers", g.body("x"), fault.Conflict, "1 in use"},
		{"body too large", tenant, "POST", "baremetal-server", "/servers", with("name", strings.Repeat("x", 2<<20)), fault.TooLarge, ""},
		{"no metadata", tenant, "PUT", "baremetal-server", "/servers/" + s.Server.ID + "/metadata", object{}, fault.Invalid, "metadata is missing"},
		{"another key's metadata", tenant, "PUT", "baremetal-server", "/servers/" + s.Server.ID + "/metadata/a", object{"metadata": object{"b": "c"}}, fault.Invalid, "the key of the path"},
		{"compute: no metadata", tenant, "PUT", "compute", "/servers/" + s.Server.ID + "/metadata", object{}, fault.Invalid, "metadata is missing"},
		{"a CD without an image", tenant, "POST", "baremetal-server", "/servers/" + s.Server.ID + "/action", object{"media-attach": object{}}, fault.Invalid, "imageRef"},
		{"action without a name", tenant, "POST", "baremetal-server", "/servers/" + s.Server.ID + "/action", object{}, fault.Invalid, "action"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.who.Do(t.Context(), tt.verb, tt.service, tt.path, tt.body, nil)
			wantFault(t, err, tt.kind)
			if err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("the answer %q does not name %q", err, tt.says)
			}
		})
	}
	t.Run("wrong token", func(t *testing.T) {
		a, err := client.ReadAccess(c.data, cloudName)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), "GET", strings.TrimSuffix(a.AuthURL, "/identity/v3")+"/network/v2.0/networks", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Auth-Token", "nonsense")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("a wrong token gets %s, want 401", res.Status)
		}
		a.Password = "wrong password"
		_, err = client.Connect(t.Context(), a)
		wantFault(t, err, fault.Unauthentic)
	})
}

// TestWrongBMCPassword verifies a node whose BMC refuses us.
func TestWrongBMCPassword(t *testing.T) {
	c := startCloud(t, "")
	l := c.runLab(2)
	for _, n := range l.Nodes {
		must[any](c, c.admin, "PATCH", "baremetal", "/v1/nodes/"+n.Name,
			[]object{{"op": "add", "path": "/driver_info/" + n.BMC.Driver + "_password", "value": "not the password"}})
		must[any](c, c.admin, "PUT", "baremetal", "/v1/nodes/"+n.Name+"/states/provision", object{"target": "manage"})
		var got nodeDoc
		c.until(patience, n.Name+" to fail", func() bool { got = c.node(n.Name); return got.LastError != "" })
		if got.ProvisionState != "enroll" || !strings.Contains(got.LastError, "refuses the user name or password") {
			t.Errorf("%s: %s with %q; want enroll and words about the password", n.BMC.Driver, got.ProvisionState, got.LastError)
		}
	}
}

// TestServerMovesOn deploys on nodes of which the first two fail: the server gets the third, the bad ones are held.
func TestServerMovesOn(t *testing.T) {
	t.Parallel()
	c := startCloud(t, "")
	l := c.runLab(3)
	for _, n := range l.Nodes {
		c.ready(c.node(n.Name).UUID, "manage", "inspect", "provide")
	}
	// Two nodes are told to write to a disk that they do not have.
	for _, n := range l.Nodes[:2] {
		must[any](c, c.admin, "PATCH", "baremetal", "/v1/nodes/"+n.Name, []object{{"op": "add", "path": "/properties/root_device", "value": object{"serial": "nowhere"}}})
	}
	tenant := c.tenant("tenant")
	s := must[serverDoc](c, tenant, "POST", "baremetal-server", "/servers", c.ground(tenant).body("s"))
	c.serverUntil(tenant, s.Server.ID, "ACTIVE")
	got := must[struct {
		Server struct {
			NodeID string   `json:"node_id"`
			Tried  []string `json:"tried"`
		}
	}](c, c.admin, "GET", "operator", "/v1/servers/"+s.Server.ID, nil)
	if want := c.node(l.Nodes[2].Name).UUID; got.Server.NodeID != want || len(got.Server.Tried) != 2 {
		t.Errorf("the server is on %s after %v, want %s after two others", got.Server.NodeID, got.Server.Tried, want)
	}
	for _, n := range l.Nodes[:2] {
		d := c.nodeUntil(c.node(n.Name).UUID, "available")
		if !d.Maintenance || !strings.Contains(d.Reason, "failed to deploy the server "+s.Server.ID) || !strings.Contains(d.Reason, "nowhere") {
			t.Errorf("%s is available without a hold that has the evidence: %+v", n.Name, d)
		}
	}
}

// TestLostImage asks for a server when the image's data have gone.
func TestLostImage(t *testing.T) {
	c := startCloud(t, "")
	c.fakeNode("n1", "02:00:00:00:00:01")
	tenant := c.tenant("tenant")
	g := c.ground(tenant)
	loseImages(t, c.data)
	err := tenant.Do(t.Context(), "POST", "baremetal-server", "/servers", g.body("s"), nil)
	wantFault(t, err, fault.Conflict)
	if err == nil || !strings.Contains(err.Error(), "are lost") {
		t.Errorf("the answer is %v, want words about lost data", err)
	}
	var servers struct{ Servers []object }
	if err := tenant.Do(context.Background(), "GET", "baremetal-server", "/servers", nil, &servers); err != nil || len(servers.Servers) != 0 {
		t.Errorf("a server was left behind: %v %v", servers.Servers, err)
	}
}

// TestImageLostDuringDeployment takes the image's data away between the request and the write.
func TestImageLostDuringDeployment(t *testing.T) {
	t.Parallel()
	c := startCloud(t, "")
	name := c.runLab(1).Nodes[0].Name
	id := c.node(name).UUID
	c.ready(id, "manage", "inspect", "provide")
	tenant := c.tenant("tenant")
	g := c.ground(tenant)
	s := must[serverDoc](c, tenant, "POST", "baremetal-server", "/servers", g.body("s"))
	loseImages(t, c.data)
	got := c.serverUntil(tenant, s.Server.ID, "ERROR")
	if !strings.Contains(got.Server.Fault.Message, "are lost") {
		t.Errorf("the fault is %q, want words about the lost image", got.Server.Fault.Message)
	}
	if d := c.nodeUntil(id, "available"); d.Maintenance {
		t.Errorf("the node is held for the image's fault: %s", d.Reason)
	}
	must[any](c, tenant, "DELETE", "baremetal-server", "/servers/"+s.Server.ID, nil)
	c.serverUntil(tenant, s.Server.ID, "")
}

// TestRolesApart runs API, conductor and DHCP agent as processes of their own would, on one PostgreSQL.
func TestRolesApart(t *testing.T) {
	dsn := dbtest.PostgresUpToDate(t)
	c := &testCloud{T: t, data: filepath.Join(t.TempDir(), "data")}
	for _, role := range allRoles {
		c.serve(dsn, role)
	}
	c.reconnect()
	l := c.runLab(1)
	c.ready(c.node(l.Nodes[0].Name).UUID, "manage", "inspect", "provide")
	tenant := c.tenant("tenant")
	s := must[serverDoc](c, tenant, "POST", "baremetal-server", "/servers", c.ground(tenant).body("s"))
	c.serverUntil(tenant, s.Server.ID, "ACTIVE")
}

// TestOneDataFolderOneCloud starts a second cloud on the SQLite database of the first.
func TestOneDataFolderOneCloud(t *testing.T) {
	c := startCloud(t, "")
	err := serve(t.Context(), serveOptions{data: c.data, listen: "127.0.0.1:0", roles: allRoles, workers: 1})
	wantFault(t, err, fault.Conflict)
}
