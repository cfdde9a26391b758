package main

import (
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/client"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab"
)

// shown is what the compute service says that a server's console showed.
func (c *testCloud) shown(who *client.Cloud, id string, length any) (string, error) {
	var out struct{ Output string }
	err := who.Do(c.Context(), "POST", "compute", "/servers/"+id+"/action", object{"os-getConsoleOutput": object{"length": length}}, &out)
	return out.Output, err
}

// TestConsoleLog records what a server writes to its serial console, over its simulated BMC's serial over LAN, for its
// tenant and nobody else.
func TestConsoleLog(t *testing.T) {
	t.Parallel()
	c := startCloud(t, "")
	id := c.node(c.runRack(lab.Options{Nodes: 1, Machine: lab.Sim, DiskGB: 1, Mix: "bios"}).Nodes[0].Name).UUID
	c.ready(id, "manage", "inspect", "provide")
	tenant, other := c.tenant("tenant"), c.tenant("other")
	g := c.ground(tenant)
	type state struct {
		Recorded              bool
		Trouble, Text, Server string
		ServerText            string `json:"server_text"`
	}
	look := func() state {
		return must[state](c, c.admin, "GET", "operator", "/v1/nodes/"+id+"/console", nil)
	}
	enable := func(on bool) {
		bm[any](c, c.admin, "PUT", "/nodes/"+id+"/states/console", object{"enabled": on})
	}
	if s := look(); s.Recorded || s.Trouble == "" {
		t.Errorf("a node that nobody has: %+v", s)
	}
	s := must[serverDoc](c, tenant, "POST", "compute", "/servers", g.body("web")).Server.ID
	c.computeUntil(tenant, s, "ACTIVE")
	var text string
	c.until(60*time.Second, "the console of the server that boots", func() bool {
		// What was written before the recording began is not there: it is booted again until it is.
		if err := c.act(tenant, s, "reboot", object{"type": "HARD"}); err != nil && !fault.Is(err, fault.Conflict) {
			t.Fatal(err)
		}
		text, _ = c.shown(tenant, s, nil)
		return strings.Contains(text, "web: ready\n")
	})
	if last, err := c.shown(tenant, s, "1"); err != nil || strings.Count(last, "\n") > 1 || last == "" {
		t.Errorf("the last line: %q, %v", last, err)
	}
	if strings.Contains(text, "hagane.claim") || strings.Contains(text, "agent") {
		t.Errorf("the tenant sees what the agent wrote: %s", text)
	}
	_, err := c.shown(other, s, nil)
	wantFault(t, err, fault.NotFound)
	_, err = c.shown(tenant, s, "many")
	wantFault(t, err, fault.Invalid)
	c.nowhere("web: ready\n{") // of the database, where the text is sealed
	info := bm[struct {
		Enabled bool `json:"console_enabled"`
		Info    struct{ Type, URL string }
	}](c, c.admin, "GET", "/nodes/"+id+"/states/console", nil)
	if !info.Enabled {
		t.Errorf("%+v", info)
	}

	// It gives way to who was given the BMC's own console, and is switched off and on.
	c.computeUntil(tenant, s, "ACTIVE")
	must[any](c, tenant, "POST", "baremetal-server", "/servers/"+s+"/action", object{"os-getManagementConsole": nil})
	enable(false)
	if got := look(); got.Recorded || !strings.Contains(got.Trouble, "switched") || !strings.Contains(got.ServerText, "web: ready") {
		t.Errorf("switched off: %+v", got)
	}
	enable(true)

	// Nothing of it is left for the next one, and what the node writes between tenants is the operator's.
	must[any](c, tenant, "DELETE", "compute", "/servers/"+s, nil)
	c.nodeUntil(id, "available")
	next := must[serverDoc](c, other, "POST", "compute", "/servers", c.ground(other).body("next")).Server.ID
	c.computeUntil(other, next, "ACTIVE")
	if got, err := c.shown(other, next, -1); err != nil || strings.Contains(got, "web") {
		t.Errorf("the next tenant reads %q, %v", got, err)
	}
}
