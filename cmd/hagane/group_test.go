package main

import (
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hagane-cloud/hagane/client"
	"github.com/hagane-cloud/hagane/db/dbtest"
	labclient "github.com/hagane-cloud/hagane/lab/client"
)

// defaultGroup is the id of a tenant's default security group.
func (c *testCloud) defaultGroup(t *client.Cloud) string {
	c.Helper()
	gs := must[struct {
		Groups []struct{ ID string } `json:"security_groups"`
	}](c, t, "GET", "network", "/v2.0/security-groups?name=default", nil).Groups
	if len(gs) != 1 {
		c.Fatalf("%d default groups", len(gs))
	}
	return gs[0].ID
}

// letIn adds a rule for TCP to port 22 to a security group, with what else it is to say, and returns the rule's id.
func (c *testCloud) letIn(t *client.Cloud, group string, also object) string {
	c.Helper()
	rule := object{"security_group_id": group, "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp", "port_range_min": 22, "port_range_max": 22}
	for k, v := range also {
		rule[k] = v
	}
	return must[struct {
		Rule struct{ ID string } `json:"security_group_rule"`
	}](c, t, "POST", "network", "/v2.0/security-group-rules", object{"security_group_rule": rule}).Rule.ID
}

// vlan is the VLAN of a network.
func (c *testCloud) vlan(network string) int {
	c.Helper()
	return must[struct {
		Network struct {
			VLAN int `json:"provider:segmentation_id"`
		}
	}](c, c.admin, "GET", "network", "/v2.0/networks/"+network, nil).Network.VLAN
}

// entry is a way to log in to a server.
type entry struct {
	*testCloud
	signer ssh.Signer
	road   string
}

// dig makes a way from an address on a network to a server there.
func (c *testCloud) dig(signer ssh.Signer, vlan int, address, source string) entry {
	c.Helper()
	road, err := labclient.New(c.data).Forward(c.Context(), labclient.Forward{VLAN: vlan, Address: address, Port: 22, Source: source})
	if err != nil {
		c.Fatal(err)
	}
	return entry{c, signer, road.Listen}
}

// run runs a command on the server.
func (e entry) run(command string) (string, error) { return e.runWithin(10*time.Second, command) }

// shut fails the test when somebody gets in. Who does not within the time is kept out: the switch drops what it does not let through.
func (e entry) shut(what string) {
	e.Helper()
	if _, err := e.runWithin(2*time.Second, "hostname"); err == nil {
		e.Error(what)
	}
}

func (e entry) runWithin(limit time.Duration, command string) (string, error) {
	conn, err := net.DialTimeout("tcp", e.road, limit)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(limit))
	sc, channels, requests, err := ssh.NewClientConn(conn, e.road, &ssh.ClientConfig{User: "hagane", Auth: []ssh.AuthMethod{ssh.PublicKeys(e.signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		return "", err
	}
	session, err := ssh.NewClient(sc, channels, requests).NewSession()
	if err != nil {
		return "", err
	}
	out, err := session.CombinedOutput(command)
	return string(out), err
}

// reaches waits until a server can connect to another one, or can not any more.
func (e entry) reaches(what, address string, want bool) {
	e.Helper()
	const soon = 20 * time.Second
	e.until(soon, what, func() bool {
		out, err := e.run("connect " + address + ":22")
		return (err == nil && strings.HasPrefix(out, "SSH-2.0")) == want && (err == nil || out != "") // a login that fails tells nothing
	})
}

// TestSecurityGroups has two servers of a tenant, in groups of their own, connect to each other while rules, members and port security
// change; their neighbours on the network are no servers of the tenant's.
func TestSecurityGroups(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			dsn := ""
			if engine == "postgres" {
				dsn = dbtest.PostgresURL(t)
			}
			securityGroups(t, dsn)
		})
	}
}

// pair are two servers of a tenant on one network: the first in the default group, the second in one that is named web.
type pair struct {
	entry        // to the first one, from an address on the network
	outside      entry
	tenant       *client.Cloud
	servers      []string
	ports        []string
	group, web   string
	first, other string // addresses
}

func startPair(t *testing.T, dsn string) *pair {
	c := startCloud(t, dsn)
	for _, n := range c.runLab(2).Nodes {
		c.ready(c.node(n.Name).UUID, "manage", "inspect", "provide")
	}
	p := &pair{tenant: c.tenant("tenant"), first: "10.20.0.11", other: "10.20.0.12"}
	g := c.ground(p.tenant)
	signer, _ := c.keyPair(p.tenant, "mine")
	p.web = must[struct {
		Group struct{ ID string } `json:"security_group"`
	}](c, p.tenant, "POST", "network", "/v2.0/security-groups", object{"security_group": object{"name": "web"}}).Group.ID
	for _, address := range []string{p.first, p.other} {
		port := object{"network_id": g.network, "fixed_ips": []object{{"ip_address": address}}}
		if address == p.other {
			port["security_groups"] = []string{p.web}
		}
		id := must[struct{ Port struct{ ID string } }](c, p.tenant, "POST", "network", "/v2.0/ports", object{"port": port}).Port.ID
		body := g.body("s-" + address)
		body["server"].(object)["key_name"], body["server"].(object)["networks"] = "mine", []object{{"port": id}}
		p.ports = append(p.ports, id)
		p.servers = append(p.servers, must[serverDoc](c, p.tenant, "POST", "baremetal-server", "/servers", body).Server.ID)
	}
	for _, s := range p.servers {
		c.serverUntil(p.tenant, s, "ACTIVE")
	}
	p.group = c.defaultGroup(p.tenant)
	p.entry, p.outside = c.dig(signer, c.vlan(g.network), p.first, "10.20.0.250/24"), c.dig(signer, c.vlan(g.network), p.other, "10.20.0.251/24")
	return p
}

// change changes the second server's port.
func (p *pair) change(what object) {
	p.Helper()
	must[any](p.testCloud, p.tenant, "PUT", "network", "/v2.0/ports/"+p.ports[1], object{"port": what})
}

func securityGroups(t *testing.T, dsn string) {
	p := startPair(t, dsn)
	enters := func(e entry) func() bool {
		return func() bool { _, err := e.runWithin(2*time.Second, "hostname"); return err == nil }
	}
	p.shut("the default group lets in who is not in it")
	p.letIn(p.tenant, p.group, object{"remote_ip_prefix": "10.20.0.250/32"})
	p.until(20*time.Second, "the new rule to let us in", enters(p.entry))
	if out, err := p.run("metadata openstack/latest/meta_data.json"); err != nil || !strings.Contains(out, p.servers[0]) {
		t.Errorf("metadata: %s, %v", out, err)
	}
	p.reaches("the second server to be closed", p.other, false)
	rule := p.letIn(p.tenant, p.web, object{"remote_group_id": p.group})
	p.reaches("a rule that names the group to let the first server in", p.other, true)
	p.outside.shut("the rule lets in who is not in the group that it names")
	must[any](p.testCloud, p.tenant, "DELETE", "network", "/v2.0/security-group-rules/"+rule, nil)
	p.reaches("the rule that is gone to let nobody in", p.other, false)
	p.change(object{"security_groups": []string{p.group, p.web}})
	p.reaches("members of the default group to reach each other", p.other, true)
	p.change(object{"security_groups": []string{}, "port_security_enabled": false})
	p.until(20*time.Second, "a port without port security to let anybody in", enters(p.outside))
	p.change(object{"port_security_enabled": true})
	p.reaches("a port without groups to let nobody in", p.other, false)
	p.outside.shut("a port without groups lets somebody in")
}
