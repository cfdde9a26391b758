package rule

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/fault"
)

// world is a node with an inventory.
func world() *World {
	var w World
	for text, to := range map[string]any{
		`{"name": "n1", "driver": "redfish", "extra": {}, "properties": {"capabilities": "boot_mode:uefi,x:1"}}`: &w.Node,
		`{"p1": {"address": "02:00:00:00:00:01"}}`:                                                               &w.Ports,
		`{"cpu": {"count": 16}, "memory": {"physical_mb": 65536}, "bmc_address": "10.1.2.3", "disks": [{"name": "/dev/sda"}], "system_vendor": {"manufacturer": "Dell Inc."}}`: &w.Inventory,
		`{"empty": "", "list": []}`: &w.PluginData,
	} {
		if err := json.Unmarshal([]byte(text), to); err != nil {
			panic(err)
		}
	}
	return &w
}

// read reads a rule with conditions and actions.
func read(t *testing.T, conditions, actions string) Rule {
	t.Helper()
	var r Rule
	if err := json.Unmarshal(fmt.Appendf(nil, `{"Conditions": [%s], "Actions": [%s]}`, conditions, actions), &r); err != nil {
		t.Fatalf("%s, %s: %v", conditions, actions, err)
	}
	return r
}

const note = `{"op": "add-trait", "args": {"name": "CUSTOM_X"}}`

// TestConditions asks each condition what holds and what does not.
func TestConditions(t *testing.T) {
	for condition, want := range map[string]bool{
		`{"op": "eq", "args": {"values": ["{node.driver}", "redfish"]}}`:                                          true,
		`{"op": "!eq", "args": {"values": ["{node.driver}", "redfish"]}}`:                                         false,
		`{"op": "eq", "args": ["{inventory[cpu][count]}", 16, "16"]}`:                                             true,
		`{"op": "eq", "args": ["{inventory[cpu][count]}", 17]}`:                                                   false,
		`{"op": "lt", "args": {"values": [9, "{inventory[cpu][count]}", 100]}}`:                                   true,
		`{"op": "lt", "args": {"values": [9, "{inventory[cpu][count]}"], "force_strings": true}}`:                 true,
		`{"op": "gt", "args": {"values": ["{inventory[memory][physical_mb]}", 70000]}}`:                           false,
		`{"op": "! gt", "args": {"values": ["{inventory[memory][physical_mb]}", 70000]}}`:                         true,
		`{"op": "is-empty", "args": {"value": "{plugin_data[empty]}"}}`:                                           true,
		`{"op": "is-empty", "args": ["{plugin_data[list]}"]}`:                                                     true,
		`{"op": "is-empty", "args": ["{inventory[disks]}"]}`:                                                      false,
		`{"op": "is-none", "args": ["{inventory[nothing]}"]}`:                                                     true,
		`{"op": "is-true", "args": ["Yes"]}`:                                                                      true,
		`{"op": "is-true", "args": [0]}`:                                                                          false,
		`{"op": "is-false", "args": ["no"]}`:                                                                      true,
		`{"op": "is-false", "args": [1]}`:                                                                         false,
		`{"op": "matches", "args": {"value": "{inventory[system_vendor][manufacturer]}", "regex": "Dell"}}`:       false,
		`{"op": "matches", "args": {"value": "{inventory[system_vendor][manufacturer]}", "regex": "Dell.*"}}`:     true,
		`{"op": "contains", "args": {"value": "{inventory[system_vendor][manufacturer]}", "regex": "(?i)dell"}}`:  true,
		`{"op": "one-of", "args": {"value": "{inventory[disks][0][name]}", "values": ["/dev/sda", "b"]}}`:         true,
		`{"op": "in-net", "args": {"address": "{inventory[bmc_address]}", "subnet": "10.1.0.0/16"}}`:              true,
		`{"op": "in-net", "args": {"address": "{inventory[bmc_address]}", "subnet": "10.2.0.0/16"}}`:              false,
		`{"op": "eq", "args": {"values": ["{item}", "{node.name}"]}, "loop": ["n0", "n1"]}`:                       true,
		`{"op": "eq", "args": {"values": ["{item}", "{node.name}"]}, "loop": ["n0", "n1"], "multiple": "all"}`:    false,
		`{"op": "eq", "args": {"values": ["{item}", "{node.name}"]}, "loop": ["n0", "n1"], "multiple": "first"}`:  false,
		`{"op": "eq", "args": {"values": ["{item}", "{node.name}"]}, "loop": ["n0", "n1"], "multiple": "last"}`:   true,
		`{"op": "eq", "args": {"values": ["the {node.name} at {inventory[bmc_address]}", "the n1 at 10.1.2.3"]}}`: true,
		`{"op": "eq", "args": {"values": ["a{inventory[nothing]}", "a{inventory[nothing]}"]}}`:                    true,
		`{"op": "eq", "args": {"values": [1, 1]}}, {"op": "eq", "args": {"values": [1, 2]}}`:                      false,
	} {
		r := read(t, condition, note)
		if err := r.Check(); err != nil {
			t.Errorf("%s: %v", condition, err)
			continue
		}
		w := world()
		if held, err := r.Apply(w); err != nil || held != want || (len(w.Traits) > 0) != want {
			t.Errorf("%s: %v %v, want %v", condition, held, err, want)
		}
	}
}

// TestActions carries each action out.
func TestActions(t *testing.T) {
	w := world()
	var logged []string
	w.Log = func(level, text string) { logged = append(logged, level+" "+text) }
	r := read(t, "", strings.Join([]string{
		note, note, `{"op": "add-trait", "args": ["CUSTOM_Y"]}`, `{"op": "remove-trait", "args": ["CUSTOM_Y"]}`,
		`{"op": "set-attribute", "args": {"path": "/extra/cpus", "value": "{inventory[cpu][count]}"}}`,
		`{"op": "set-attribute", "args": {"path": "extra.deep.er", "value": {"at": "{inventory[bmc_address]}"}}}`,
		`{"op": "set-attribute", "args": {"path": "{item[path]}", "value": "{item[value]}"}, "loop": [{"path": "/description", "value": "a"}, {"path": "/resource_class", "value": "b"}]}`,
		`{"op": "extend-attribute", "args": {"path": "/extra/list", "value": 1}}`, `{"op": "extend-attribute", "args": {"path": "/extra/list", "value": 1, "unique": true}}`,
		`{"op": "extend-attribute", "args": ["/extra/list", 2]}`, `{"op": "del-attribute", "args": ["/driver"]}`,
		`{"op": "set-capability", "args": ["x", 2]}`, `{"op": "set-capability", "args": ["y", "z"]}`, `{"op": "unset-capability", "args": ["boot_mode"]}`,
		`{"op": "set-port-attribute", "args": ["02:00:00:00:00:01", "/pxe_enabled", false]}`, `{"op": "set-port-attribute", "args": ["p1", "/extra/a", "b"]}`,
		`{"op": "extend-port-attribute", "args": ["P1", "/extra/l", "c"]}`, `{"op": "del-port-attribute", "args": ["p1", "/extra/a"]}`,
		`{"op": "set-plugin-data", "args": ["a", 1]}`, `{"op": "extend-plugin-data", "args": ["list", 1]}`, `{"op": "unset-plugin-data", "args": ["empty"]}`,
		`{"op": "log", "args": {"msg": "saw {node.name}", "level": "warning"}}`,
	}, ","))
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	if held, err := r.Apply(w); err != nil || !held {
		t.Fatal(held, err)
	}
	for what, c := range map[string]struct{ got, want any }{
		"the node": {w.Node, map[string]any{"name": "n1", "description": "a", "resource_class": "b", "properties": map[string]any{"capabilities": "x:2,y:z"},
			"extra": map[string]any{"cpus": 16.0, "list": []any{1.0, 2.0}, "deep": map[string]any{"er": map[string]any{"at": "10.1.2.3"}}}}},
		"the port":        {w.Ports["p1"], map[string]any{"address": "02:00:00:00:00:01", "pxe_enabled": false, "extra": map[string]any{"l": []any{"c"}}}},
		"the traits":      {w.Traits, []string{"CUSTOM_X"}},
		"the plugin data": {w.PluginData, map[string]any{"a": 1.0, "list": []any{1.0}}},
		"the log":         {logged, []string{"warning saw n1"}},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: %v, want %v", what, c.got, c.want)
		}
	}
}

// TestRefusals has what can not be: in a rule, and when it is applied.
func TestRefusals(t *testing.T) {
	for want, r := range map[string]Rule{
		"there are none":        {},
		"possible: contains":    read(t, `{"op": "like", "args": []}`, note),
		"possible: add-trait":   read(t, "", `{"op": "api-call", "args": {"url": "http://x"}}`),
		"value is missing":      read(t, "", `{"op": "set-attribute", "args": {"path": "/x"}}`),
		"no argument \"vaule\"": read(t, `{"op": "is-true", "args": {"value": 1, "vaule": 1}}`, note),
		"too many":              read(t, `{"op": "is-true", "args": [1, 2]}`, note),
		"possible: any":         read(t, `{"op": "is-true", "args": [1], "multiple": "most"}`, note),
		"a list or an object":   read(t, `{"op": "is-true", "args": [1], "loop": 3}`, note),
	} {
		if err := r.Check(); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	for want, r := range map[string]Rule{
		"fail: no n1 here":   read(t, "", `{"op": "fail", "args": {"msg": "no {node.name} here"}}`),
		"no port \"p2\"":     read(t, "", `{"op": "set-port-attribute", "args": ["p2", "/extra/a", 1]}`),
		"is no path":         read(t, "", `{"op": "set-attribute", "args": ["/extra//a", 1]}`),
		"\"name\" is no":     read(t, "", `{"op": "set-attribute", "args": ["/name/a", 1]}`),
		"\"driver\" is no l": read(t, "", `{"op": "extend-attribute", "args": ["/driver", 1]}`),
		"regex can not":      read(t, `{"op": "matches", "args": ["a", "("]}`, note),
		"is no subnet":       read(t, `{"op": "in-net", "args": ["10.0.0.1", "x"]}`, note),
		"two or more":        read(t, `{"op": "eq", "args": {"values": "x"}}`, note),
	} {
		if err := r.Check(); err != nil {
			t.Errorf("%s: refused before: %v", want, err)
		}
		if _, err := r.Apply(world()); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
