// Package rule decides what is to be changed about a node after its inspection, by rules that operators write in Ironic's form:
// conditions over the node and its inventory, and actions. It changes documents only. The noun node keeps the rules, checks them by
// this package, and has them applied by a step of the inspection.
//
// Source: Ironic's documentation, "Inspection Rules".
package rule

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/fault"
)

// Rule has its actions carried out when all of its conditions hold; without conditions always.
type Rule struct {
	Conditions []Condition
	Actions    []Action
}

// Condition is an operator and its arguments. An exclamation mark before the operator turns it round.
type Condition struct {
	Op       string          `json:"op"`
	Args     json.RawMessage `json:"args"`           // an object, or a list in the order of the operator's arguments
	Loop     json.RawMessage `json:"loop,omitempty"` // a list or object, for each item of which it is asked
	Multiple string          `json:"multiple,omitempty"`
}

// Action is what to do.
type Action struct {
	Op   string          `json:"op"`
	Args json.RawMessage `json:"args"`
	Loop json.RawMessage `json:"loop,omitempty"`
}

// World is what rules read, and change. All values are as JSON has them.
type World struct {
	Node       map[string]any            // the node's attributes
	Ports      map[string]map[string]any // attributes of its ports, by UUID; each has its address
	Inventory  map[string]any
	PluginData map[string]any
	Traits     []string
	Log        func(level, text string)
}

// operator is a condition or an action: the names of its arguments in order, those that may be left out last.
type operator[T any] struct {
	args     []string
	optional int
	do       T
}

// Check reports what is wrong with a rule before it is applied.
func (r Rule) Check() error {
	if len(r.Actions) == 0 {
		return fault.Field("actions", "there are none")
	}
	for _, c := range r.Conditions {
		name, _ := c.name()
		if err := checkOp("conditions", name, c.Args, c.Loop, conditions); err != nil {
			return err
		}
		if !slices.Contains([]string{"", "any", "all", "first", "last"}, c.Multiple) {
			return fault.Field("conditions", "multiple: %q is not possible; possible: any, all, first, last", c.Multiple)
		}
	}
	for _, a := range r.Actions {
		if err := checkOp("actions", a.Op, a.Args, a.Loop, actions); err != nil {
			return err
		}
	}
	return nil
}

func checkOp[T any](field, name string, args, loop json.RawMessage, all map[string]operator[T]) error {
	op, ok := all[name]
	if !ok {
		var names []string
		for n := range all {
			names = append(names, n)
		}
		slices.Sort(names)
		return fault.Field(field, "the op %.40q is not possible; possible: %s", name, strings.Join(names, ", "))
	}
	if _, err := named(op.args, op.optional, args); err != nil {
		return fault.Field(field, "%s: %s", name, fault.Message(err))
	}
	_, err := items(loop)
	return err
}

// named returns arguments by their names. A list gives them in order; where the first is values, all of the list are those.
func named(names []string, optional int, raw json.RawMessage) (map[string]any, error) {
	var v any
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, fault.Errorf(fault.Invalid, "args must be an object or a list")
		}
	}
	out := map[string]any{}
	switch args := v.(type) {
	case nil:
	case map[string]any:
		out = args
	case []any:
		if names[0] == "values" {
			out["values"] = args
			break
		}
		if len(args) > len(names) {
			return nil, fault.Errorf(fault.Invalid, "%d args are too many; they are %s", len(args), strings.Join(names, ", "))
		}
		for i, a := range args {
			out[names[i]] = a
		}
	default:
		return nil, fault.Errorf(fault.Invalid, "args must be an object or a list")
	}
	for i, name := range names {
		if _, ok := out[name]; !ok && i < len(names)-optional {
			return nil, fault.Errorf(fault.Invalid, "the argument %s is missing", name)
		}
	}
	for name := range out {
		if !slices.Contains(names, name) {
			return nil, fault.Errorf(fault.Invalid, "there is no argument %.40q; they are %s", name, strings.Join(names, ", "))
		}
	}
	return out, nil
}

// items returns what is looped over: one item that is nil where there is no loop.
func items(raw json.RawMessage) ([]any, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return []any{nil}, nil
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, fault.Field("loop", "must be a list or an object")
	}
	switch loop := v.(type) {
	case []any:
		return loop, nil
	case map[string]any:
		return []any{loop}, nil
	}
	return nil, fault.Field("loop", "must be a list or an object")
}

// Apply carries the actions out when the conditions hold, and reports whether they did. A fault is what the rule says that the
// inspection fails with, or that an action is impossible.
func (r Rule) Apply(w *World) (bool, error) {
	for _, c := range r.Conditions {
		holds, err := c.holds(w)
		if err != nil || !holds {
			return false, err
		}
	}
	for _, a := range r.Actions {
		if err := a.carryOut(w); err != nil {
			return true, fault.Wrap(a.Op, err)
		}
	}
	return true, nil
}

func (c Condition) name() (op string, inverted bool) {
	op, inverted = strings.CutPrefix(c.Op, "!")
	return strings.TrimSpace(op), inverted
}

func (c Condition) holds(w *World) (bool, error) {
	name, inverted := c.name()
	op := conditions[name]
	all, err := items(c.Loop)
	if err != nil {
		return false, err
	}
	args, err := named(op.args, op.optional, c.Args)
	if err != nil {
		return false, err
	}
	held := false
	for i, item := range all {
		one, err := op.do(w.filled(args, item).(map[string]any))
		if err != nil {
			return false, fault.Wrap(name, err)
		}
		one = one != inverted
		switch c.Multiple {
		case "all":
			held = one && (held || i == 0)
		case "first":
			held = held || one && i == 0
		case "last":
			held = one
		default:
			held = held || one
		}
	}
	return held, nil
}

func (a Action) carryOut(w *World) error {
	op := actions[a.Op]
	all, err := items(a.Loop)
	if err != nil {
		return err
	}
	args, err := named(op.args, op.optional, a.Args)
	if err != nil {
		return err
	}
	for _, item := range all {
		if err := op.do(w, w.filled(args, item).(map[string]any)); err != nil {
			return err
		}
	}
	return nil
}
