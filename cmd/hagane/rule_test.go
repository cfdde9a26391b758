package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab"
)

type ruleDoc struct {
	UUID       string
	Sensitive  bool
	Conditions []object
	Actions    []object
}

// inspected inspects a manageable node and returns what is known of it.
func (c *testCloud) inspected(id string) map[string]any {
	c.Helper()
	c.target(c.admin, id, object{"target": "inspect"}, "manageable")
	return bm[map[string]any](c, c.admin, "GET", "/nodes/"+id, nil)
}

// TestInspectionRules has rules change a simulated machine's node and port when it is inspected, in the order of their priorities,
// and one fail the inspection.
func TestInspectionRules(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		c := startCloud(t, dsn)
		id := c.node(c.runRack(lab.Options{Nodes: 1, Machine: lab.Sim, DiskGB: 1}).Nodes[0].Name).UUID
		c.ready(id, "manage")
		many := bm[ruleDoc](c, c.admin, "POST", "/inspection_rules", object{"description": "many things", "priority": 10,
			"conditions": []object{{"op": "gt", "args": object{"values": []any{"{inventory[memory][physical_mb]}", 0}}}, {"op": "!is-empty", "args": []string{"{inventory[disks]}"}}},
			"actions": []object{
				{"op": "set-attribute", "args": object{"path": "/extra/arch", "value": "{inventory[cpu][architecture]}"}},
				{"op": "set-attribute", "args": object{"path": "/driver_info/note", "value": "somebody"}},
				{"op": "set-attribute", "args": object{"path": "/description", "value": "first"}},
				{"op": "set-capability", "args": object{"name": "disks", "value": "many"}},
				{"op": "add-trait", "args": object{"name": "CUSTOM_SEEN"}},
				{"op": "set-port-attribute", "args": object{"port_id": "{inventory[interfaces][0][mac_address]}", "path": "/extra/slot", "value": 1}},
			}})
		bm[ruleDoc](c, c.admin, "POST", "/inspection_rules", object{"priority": 1, "actions": []object{{"op": "set-attribute", "args": []string{"/description", "{node.description} last"}}}})
		secret := bm[ruleDoc](c, c.admin, "POST", "/inspection_rules", object{"sensitive": true, "conditions": []object{{"op": "is-none", "args": []string{"{node.name}"}}},
			"actions": []object{{"op": "set-attribute", "args": []string{"/driver_info/redfish_password", "secret"}}}})
		if len(many.Actions) != 6 || !secret.Sensitive || secret.Actions != nil {
			t.Errorf("the new rules are shown as %+v, %+v", many, secret)
		}
		n := c.inspected(id)
		if n["description"] != "first last" || !strings.Contains(fmt.Sprint(n["extra"]), "arch:x86_64") || !strings.Contains(fmt.Sprint(n["traits"]), "CUSTOM_SEEN") ||
			!strings.Contains(fmt.Sprint(n["properties"]), "boot_mode:uefi,disks:many") || !strings.Contains(fmt.Sprint(n["driver_info"]), "note:somebody") {
			t.Errorf("after the inspection the node is %v", n)
		}
		if ports := bm[map[string]any](c, c.admin, "GET", "/ports/detail?node="+id, nil); !strings.Contains(fmt.Sprint(ports), "slot:1") {
			t.Errorf("its ports are %v", ports)
		}

		bm[ruleDoc](c, c.admin, "PATCH", "/inspection_rules/"+many.UUID, []object{{"op": "replace", "path": "/actions", "value": []object{{"op": "fail", "args": object{"msg": "{inventory[cpu][architecture]} is not wanted"}}}}})
		bm[any](c, c.admin, "PUT", "/nodes/"+id+"/states/provision", object{"target": "inspect"})
		var got nodeDoc
		c.until(patience, "the inspection to fail", func() bool { got = c.node(id); return got.ProvisionState == "inspect failed" })
		if !strings.Contains(got.LastError, many.UUID) || !strings.Contains(got.LastError, "x86_64 is not wanted") {
			t.Errorf("last_error is %q", got.LastError)
		}
		wantFault(t, c.admin.Do(t.Context(), "POST", "baremetal", "/v1/inspection_rules", object{"actions": []object{{"op": "dance"}}}, nil), fault.Invalid)
		wantFault(t, c.admin.Do(t.Context(), "PATCH", "baremetal", "/v1/inspection_rules/"+secret.UUID, []object{{"op": "replace", "path": "/sensitive", "value": false}}, nil), fault.Invalid)
		bm[any](c, c.admin, "DELETE", "/inspection_rules/"+many.UUID, nil)
		if all := bm[struct {
			Rules []ruleDoc `json:"inspection_rules"`
		}](c, c.admin, "GET", "/inspection_rules?detail=true&phase=main", nil); len(all.Rules) != 2 {
			t.Errorf("the rules are %+v", all)
		}
		bm[any](c, c.admin, "DELETE", "/inspection_rules", nil)
		wantFault(t, c.admin.Do(t.Context(), "GET", "baremetal", "/v1/inspection_rules/"+secret.UUID, nil, nil), fault.NotFound)
	})
}
