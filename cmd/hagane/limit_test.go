package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/client"
	"github.com/hagane-cloud/hagane/lab"
)

// TestLimits lets nobody begin at the site: what tenants ask for is taken, waits in line and says its place, tenants take turns, and
// what is given up leaves the line. With one at a time, one after the other is served.
func TestLimits(t *testing.T) {
	c := startCloud(t, "")
	for _, n := range c.runRack(lab.Options{Nodes: 3, Machine: lab.Sim, DiskGB: 1}).Nodes {
		c.ready(c.node(n.Name).UUID, "manage", "inspect", "provide")
	}
	c.says(c.printed("limit", "list"), `(?m)^site +\(each\) +250 +250 +0 +0`, `(?m)^tenant +\(each\) +200`, `(?m)^image-store `, `(?m)^switch `, `(?m)^bmc-network `)
	c.printed("limit", "set", "site", "0")
	many, one := c.tenant("many"), c.tenant("one")
	ask := func(who *client.Cloud, g ground, name, place string) (server, node string) {
		server = must[serverDoc](c, who, "POST", "baremetal-server", "/servers", g.body(name)).Server.ID
		node = must[struct {
			Server struct {
				NodeID string `json:"node_id"`
			}
		}](c, c.admin, "GET", "operator", "/v1/servers/"+server, nil).Server.NodeID
		c.until(60*time.Second, name+" to be in line", func() bool { return strings.Contains(c.printed("why", node), place) })
		return server, node
	}
	mine, yours := c.ground(many), c.ground(one)
	first, a := ask(many, mine, "first", "1 of 1 in line for site default, where an operator lets nobody begin")
	second, _ := ask(many, mine, "second", "2 of 2 in line for site default")
	third, b := ask(one, yours, "third", "2 of 3 in line for site default")
	c.says(c.printed("run", "list"), `deploy/\d +queued +step 1 of 11, fetch the image .* in line for site default`)
	c.says(c.printed("limit", "list"), `(?m)^site +\(each\) +0 +250 +0 +3 +\d{4}-`, `(?m)^site +default +0 +250 +0 +3`)
	c.says(c.printed("why", a), `deploying since .*step 1 of 11`, `next: power off`)

	must[any](c, one, "DELETE", "baremetal-server", "/servers/"+third, nil)
	c.until(60*time.Second, "what was given up to leave the line for deployments", func() bool {
		return strings.Contains(c.printed("why", b), "cleaning since") && strings.Contains(c.printed("why", b), "in line for site default")
	})
	c.printed("limit", "set", "site", "default", "1")
	most := regexp.MustCompile(`(?m)^site +default +1 +250 +(\d+) `)
	for _, s := range []string{first, second} {
		c.until(3*time.Minute, "a server to be served", func() bool {
			if m := most.FindStringSubmatch(c.printed("limit", "list")); m != nil && m[1] != "0" && m[1] != "1" {
				t.Fatalf("%s are at work at once", m[1])
			}
			return must[serverDoc](c, many, "GET", "baremetal-server", "/servers/"+s, nil).Server.Status == "ACTIVE"
		})
	}
	c.nodeUntil(b, "available")
	c.printed("limit", "reset", "site", "default")
	c.printed("limit", "reset", "site")
	c.says(c.printed("limit", "list"), `(?m)^site +\(each\) +250 +250 +0 +0 `)
	for _, bad := range [][]string{{"moon", "3"}, {"site", "many"}, {"site", "-4"}} {
		if out, err := c.command(append([]string{"limit", "set"}, bad...)...); err == nil {
			t.Errorf("limit set %v was taken: %s", bad, out)
		}
	}
}
