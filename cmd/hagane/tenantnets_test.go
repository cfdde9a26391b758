package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hagane-cloud/hagane/client"
	labclient "github.com/hagane-cloud/hagane/lab/client"
)

// keyPair makes a key pair of a tenant's, and returns its private part and the line of its public one.
func (c *testCloud) keyPair(tenant *client.Cloud, name string) (ssh.Signer, string) {
	c.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		c.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		c.Fatal(err)
	}
	public := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	must[any](c, tenant, "POST", "baremetal-server", "/os-keypairs", object{"keypair": object{"name": name, "public_key": public}})
	return signer, public
}

// TestTenantNetworkIsServed has a server boot from its tenant's network, where the firmware gets the port's address by DHCP,
// and read its metadata there; and be reached from an external network by a floating address.
func TestTenantNetworkIsServed(t *testing.T) {
	c := startCloud(t, "")
	name := c.runLab(1).Nodes[0].Name
	c.ready(c.node(name).UUID, "manage", "inspect", "provide")
	tenant := c.tenant("tenant")
	g := c.ground(tenant)
	signer, public := c.keyPair(tenant, "mine")
	body := g.body("web")
	body["server"].(object)["key_name"], body["server"].(object)["user_data"] = "mine", base64.StdEncoding.EncodeToString([]byte("#!/bin/sh\n"))
	body["server"].(object)["networks"] = []object{{"uuid": g.network, "fixed_ip": "10.20.0.77"}}
	s := must[serverDoc](c, tenant, "POST", "baremetal-server", "/servers", body)
	c.serverUntil(tenant, s.Server.ID, "ACTIVE")
	c.letIn(tenant, c.defaultGroup(tenant), nil)
	rack := labclient.New(c.data)
	way := c.dig(signer, c.vlan(g.network), "10.20.0.77", "10.20.0.250/24")
	var got string
	c.until(30*time.Second, "the metadata to be read", func() bool {
		var err error
		got, err = way.run("metadata openstack/latest/meta_data.json")
		return err == nil
	})
	if !strings.Contains(got, s.Server.ID) || !strings.Contains(got, public) || !strings.Contains(got, `"admin_pass":""`) {
		t.Errorf("meta_data.json: %s", got)
	}
	for path, want := range map[string]string{"latest/meta-data/local-ipv4": "10.20.0.77", "latest/meta-data/public-keys/0/openssh-key": public, "latest/user-data": "#!/bin/sh\n",
		"openstack/latest/user_data": "#!/bin/sh\n", "latest/meta-data/hostname": "web"} {
		if got, err := way.run("metadata " + path); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", path, got, err, want)
		}
	}
	if got, err := way.run("metadata openstack/latest/network_data.json"); err != nil || !strings.Contains(got, "10.20.0.77") {
		t.Errorf("network_data.json: %s, %v", got, err)
	}
	ports := must[struct{ Ports []struct{ ID string } }](c, tenant, "GET", "network", "/v2.0/ports?device_id="+s.Server.ID, nil)
	outside, address := c.floating(tenant, g.network, object{"port_id": ports.Ports[0].ID})
	in := c.dig(signer, c.vlan(outside), address, "203.0.113.250/24")
	c.until(30*time.Second, "the server to be reached by its floating address", func() bool {
		got, err := in.run("hostname")
		return err == nil && got == "web\n"
	})
	if err := tenant.Do(t.Context(), "POST", "baremetal-server", "/servers/"+s.Server.ID+"/action", object{"boot_mode": object{"type": "HARD", "boot_mode": "PXE"}}, nil); err != nil {
		t.Fatal(err)
	}
	c.until(30*time.Second, "the firmware to get the port's address by DHCP", func() bool {
		text, err := rack.Console(t.Context(), name, 0)
		return err == nil && strings.Contains(string(text), "DHCP gave 10.20.0.77/24")
	})
	c.until(30*time.Second, "the server to come back from its disk", func() bool {
		got, err := way.run("hostname")
		return err == nil && got == "web\n"
	})
}
