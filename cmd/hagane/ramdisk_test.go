package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hagane-cloud/hagane/client"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// TestIronicsOwnAgent has an agent of Ironic's look up its node and send heartbeats while the node is inspected, without
// having logged in; and the network service tell of a port.
func TestIronicsOwnAgent(t *testing.T) {
	c := &testCloud{T: t, data: t.TempDir()}
	var stuck atomic.Bool
	c.serveWith(serveOptions{roles: allRoles, wired: func(inner *cloud) {
		inner.engine.Interrupt = func(workflow.Run) error {
			if stuck.Load() {
				return errors.New("this step never ends")
			}
			return nil
		}
	}})
	c.reconnect()
	const mac = "02:00:00:00:00:01"
	id := c.fakeNode("n1", mac)
	c.target(c.admin, id, object{"target": "manage"}, "manageable")
	type found struct {
		Node   struct{ UUID string }
		Config struct {
			Token   string `json:"agent_token"`
			Timeout int    `json:"heartbeat_timeout"`
		}
	}
	lookup := func(query string, want int) (f found) {
		t.Helper()
		a := c.ask("", "GET", "/baremetal/v1/lookup?"+query, "")
		if a.status != want || (want == http.StatusOK && json.Unmarshal([]byte(a.body), &f) != nil) {
			t.Errorf("looking up %q: %d %s, want %d", query, a.status, a.body, want)
		}
		return f
	}
	beat := func(node string, body object, want int) {
		t.Helper()
		raw, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		if a := c.ask("", "POST", "/baremetal/v1/heartbeat/"+node, string(raw)); a.status != want {
			t.Errorf("a heartbeat %s: %d %s, want %d", raw, a.status, a.body, want)
		}
	}
	lookup("addresses="+mac, http.StatusNotFound) // nothing waits for an agent
	stuck.Store(true)
	bm[any](c, c.admin, "PUT", "/nodes/"+id+"/states/provision", object{"target": "inspect"})
	f := lookup("addresses=02:00:00:00:00:99,"+strings.ToUpper(mac), http.StatusOK)
	if f.Node.UUID != id || len(f.Config.Token) < 20 || f.Config.Timeout == 0 {
		t.Fatalf("%+v", f)
	}
	if again := lookup("node_uuid="+id, http.StatusOK); again.Config.Token == f.Config.Token || again.Node.UUID != id {
		t.Errorf("the second lookup: %+v", again)
	}
	told := object{"callback_url": "https://198.18.0.9:9999", "agent_version": "11.2.0", "agent_token": f.Config.Token, "agent_status": "start", "agent_verify_ca": "PEM"}
	beat(id, told, http.StatusAccepted)
	for what, want := range map[string]int{"agent_token": 404, "agent_status": 400, "callback_url": 400, "extra": 400} {
		wrong := object{}
		for k, v := range told {
			wrong[k] = v
		}
		wrong[what] = map[string]any{"agent_token": "guess", "agent_status": "sleepy", "callback_url": "", "extra": 1}[what]
		beat(id, wrong, want)
	}
	beat("n1", told, http.StatusNotFound)
	lookup("", http.StatusBadRequest)
	lookup("node_uuid=n1", http.StatusBadRequest)
	seen := must[object](c, c.admin, "GET", "operator", "/v1/nodes/"+id+"/agent", nil)
	if seen["version"] != "11.2.0" || seen["url"] != "https://198.18.0.9:9999" || seen["current"] != true {
		t.Errorf("what was heard: %v", seen)
	}
	c.nowhere(f.Config.Token)
	stuck.Store(false)
	c.nodeUntil(id, "manageable")
	beat(id, told, http.StatusNotFound)

	event := object{"event": "network.bind_port", "port_id": id, "mac_address": mac, "status": "ACTIVE"}
	send := func(who *client.Cloud, e object) error {
		err := who.Do(t.Context(), "POST", "baremetal", "/v1/events", object{"events": []object{e}}, nil)
		if err != nil && strings.Contains(err.Error(), "reading the cloud's answer") {
			return nil // 204 has no body
		}
		return err
	}
	if err := send(c.admin, event); err != nil {
		t.Error(err)
	}
	wantFault(t, send(c.tenant("tenant"), event), fault.Denied)
	wantFault(t, send(c.admin, object{"event": "network.burn", "port_id": id, "mac_address": mac, "status": "ACTIVE"}), fault.Invalid)
	events := must[struct{ Events []struct{ Kind, Text string } }](c, c.admin, "GET", "operator", "/v1/nodes/"+id+"/events", nil).Events
	if len(events) == 0 || events[0].Kind != "network" || !strings.Contains(events[0].Text, "ACTIVE") {
		t.Errorf("%+v", events)
	}
}
