package main

import (
	"bytes"
	"encoding/base64"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hagane-cloud/hagane/client"
	"github.com/hagane-cloud/hagane/fault"
	labclient "github.com/hagane-cloud/hagane/lab/client"
)

// rescuePassword is long enough to be found where it must not be.
const rescuePassword = "correct horse battery staple"

// act asks for an action of the compute service.
func (c *testCloud) act(who *client.Cloud, id, action string, body any) error {
	return who.Do(c.Context(), "POST", "compute", "/servers/"+id+"/action", object{action: body}, nil)
}

// TestRescue has a tenant enter the rescue system of a server by SSH on the tenant's own network, and come back to what is
// on its disk. The password lies nowhere.
func TestRescue(t *testing.T) {
	c := startCloud(t, "")
	name := c.runLab(1).Nodes[0].Name
	id := c.node(name).UUID
	c.ready(id, "manage", "inspect", "provide")
	tenant, other := c.tenant("tenant"), c.tenant("other")
	g := c.ground(tenant)
	body := g.body("web")
	body["server"].(object)["user_data"] = base64.StdEncoding.EncodeToString([]byte("#!/bin/sh\n"))
	body["server"].(object)["networks"] = []object{{"uuid": g.network, "fixed_ip": "10.20.0.77"}}
	s := must[serverDoc](c, tenant, "POST", "baremetal-server", "/servers", body).Server.ID
	c.serverUntil(tenant, s, "ACTIVE")

	wantFault(t, c.act(other, s, "rescue", nil), fault.NotFound)
	wantFault(t, c.act(tenant, s, "unrescue", nil), fault.Conflict)
	wantFault(t, c.act(tenant, s, "rescue", object{"rescue_image_ref": g.image}), fault.Invalid)
	began := time.Now()
	var given struct {
		AdminPass string `json:"adminPass"`
	}
	if err := tenant.Do(t.Context(), "POST", "compute", "/servers/"+s+"/action", object{"rescue": object{"adminPass": rescuePassword}}, &given); err != nil || given.AdminPass != rescuePassword {
		t.Fatal(given, err)
	}
	c.computeUntil(tenant, s, "RESCUE")
	c.letIn(tenant, c.defaultGroup(tenant), nil)
	t.Logf("rescued after %s", time.Since(began).Round(10*time.Millisecond))

	road, err := labclient.New(c.data).Forward(t.Context(), labclient.Forward{VLAN: c.vlan(g.network), Address: "10.20.0.77", Port: 22, Source: "10.20.0.250/24"})
	if err != nil {
		t.Fatal(err)
	}
	var hostKey string
	enter := func(user, password string) (string, error) {
		sc, err := ssh.Dial("tcp", road.Listen, &ssh.ClientConfig{User: user, Auth: []ssh.AuthMethod{ssh.Password(password)}, Timeout: 5 * time.Second,
			HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error { hostKey = ssh.FingerprintSHA256(key); return nil }})
		if err != nil {
			return "", err
		}
		defer func() { _ = sc.Close() }()
		session, err := sc.NewSession()
		if err != nil {
			return "", err
		}
		out, err := session.CombinedOutput("hostname")
		return string(out), err
	}
	c.until(30*time.Second, "the rescue system to let the tenant in", func() bool {
		out, err := enter("rescue", rescuePassword)
		return err == nil && out == "rescue\n"
	})
	t.Logf("entered after %s", time.Since(began).Round(10*time.Millisecond))
	for user, password := range map[string]string{"rescue": "guess", "root": rescuePassword} {
		if _, err := enter(user, password); err == nil || !strings.Contains(err.Error(), "unable to authenticate") {
			t.Errorf("%s with %q: %v", user, password, err)
		}
	}
	events := must[struct{ Events []struct{ Kind, Text string } }](c, c.admin, "GET", "operator", "/v1/nodes/"+id+"/events", nil).Events
	if !slices.ContainsFunc(events, func(e struct{ Kind, Text string }) bool {
		return e.Kind == "rescue" && strings.HasSuffix(e.Text, hostKey)
	}) {
		t.Errorf("the host key %s is in none of %+v", hostKey, events)
	}
	for _, refused := range []string{"os-stop", "os-start", "reboot"} {
		wantFault(t, c.act(tenant, s, refused, map[bool]any{true: object{"type": "HARD"}}[refused == "reboot"]), fault.Conflict)
	}
	if got := c.listed(tenant, "status=RESCUE"); len(got) != 1 {
		t.Errorf("listed as RESCUE: %v", got)
	}
	if got := c.listed(tenant, "status=ACTIVE"); len(got) != 0 {
		t.Errorf("listed as ACTIVE: %v", got)
	}
	if err := c.act(tenant, s, "unrescue", nil); err != nil {
		t.Fatal(err)
	}
	c.computeUntil(tenant, s, "ACTIVE")
	c.until(30*time.Second, "the server to boot from its disk", func() bool {
		text, err := labclient.New(c.data).Console(t.Context(), name, 0)
		return err == nil && strings.Count(string(text), "web: ready") == 2
	})
	c.nowhere(rescuePassword)

	// A server is deleted on its way into the rescue system, and from within it.
	if err := c.act(tenant, s, "rescue", nil); err != nil {
		t.Fatal(err)
	}
	must[any](c, tenant, "DELETE", "compute", "/servers/"+s, nil)
	c.serverUntil(tenant, s, "")
	c.nodeUntil(id, "available")
	s = must[serverDoc](c, tenant, "POST", "baremetal-server", "/servers", g.body("again")).Server.ID
	c.serverUntil(tenant, s, "ACTIVE")
	if err := c.act(tenant, s, "rescue", nil); err != nil {
		t.Fatal(err)
	}
	c.computeUntil(tenant, s, "RESCUE")
	must[any](c, tenant, "DELETE", "compute", "/servers/"+s, nil)
	c.nodeUntil(id, "available")
}

// nowhere looks for a secret in all files that the cloud keeps.
func (c *testCloud) nowhere(secret string) {
	c.Helper()
	err := filepath.WalkDir(c.data, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil && bytes.Contains(text, []byte(secret)) {
			c.Errorf("the secret stands in %s", path)
		}
		return err
	})
	if err != nil {
		c.Error(err)
	}
}

// TestRescueByIronic leads a node without hardware through Ironic's states of a rescue.
func TestRescueByIronic(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		c := startCloud(t, dsn)
		id := c.fakeNode("n1", "02:00:00:00:00:01")
		ask := func(body object) error {
			return c.admin.Do(t.Context(), "PUT", "baremetal", "/v1/nodes/"+id+"/states/provision", body, nil)
		}
		wantFault(t, ask(object{"target": "rescue", "rescue_password": "p"}), fault.Conflict)
		c.target(c.admin, id, object{"target": "active"}, "active")
		wantFault(t, ask(object{"target": "rescue"}), fault.Invalid)
		wantFault(t, ask(object{"target": "rescue", "rescue_password": strings.Repeat("x", 73)}), fault.Invalid)
		wantFault(t, ask(object{"target": "unrescue", "rescue_password": "p"}), fault.Invalid)
		wantFault(t, ask(object{"target": "unrescue"}), fault.Conflict)
		c.target(c.admin, id, object{"target": "rescue", "rescue_password": "p"}, "rescue")
		wantFault(t, c.admin.Do(t.Context(), "DELETE", "baremetal", "/v1/nodes/"+id, nil, nil), fault.Conflict)
		c.target(c.admin, id, object{"target": "rescue", "rescue_password": "q"}, "rescue")
		c.target(c.admin, id, object{"target": "unrescue"}, "active")
		c.target(c.admin, id, object{"target": "rescue", "rescue_password": "r"}, "rescue")
		c.target(c.admin, id, object{"target": "deleted"}, "available")
	})
}
