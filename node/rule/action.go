package rule

import (
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/fault"
)

// actions are all that can be done.
var actions = map[string]operator[func(w *World, args map[string]any) error]{
	"fail": {[]string{"msg"}, 0, func(_ *World, args map[string]any) error {
		return fault.Errorf(fault.Invalid, "%s", text(args["msg"]))
	}},
	"log": {[]string{"msg", "level"}, 1, func(w *World, args map[string]any) error {
		w.Log(text(args["level"]), text(args["msg"]))
		return nil
	}},
	"set-attribute":    {[]string{"path", "value"}, 0, onNode(set)},
	"extend-attribute": {[]string{"path", "value", "unique"}, 1, onNode(extend)},
	"del-attribute":    {[]string{"path"}, 0, onNode(unset)},
	"set-capability": {[]string{"name", "value"}, 0, func(w *World, args map[string]any) error {
		return w.capability(text(args["name"]), text(args["name"])+":"+text(args["value"]))
	}},
	"unset-capability": {[]string{"name"}, 0, func(w *World, args map[string]any) error {
		return w.capability(text(args["name"]), "")
	}},
	"add-trait": {[]string{"name"}, 0, func(w *World, args map[string]any) error {
		if name := text(args["name"]); !slices.Contains(w.Traits, name) {
			w.Traits = append(w.Traits, name)
		}
		return nil
	}},
	"remove-trait": {[]string{"name"}, 0, func(w *World, args map[string]any) error {
		w.Traits = slices.DeleteFunc(w.Traits, func(t string) bool { return t == text(args["name"]) })
		return nil
	}},
	"set-plugin-data":       {[]string{"path", "value"}, 0, onPluginData(set)},
	"extend-plugin-data":    {[]string{"path", "value", "unique"}, 1, onPluginData(extend)},
	"unset-plugin-data":     {[]string{"path"}, 0, onPluginData(unset)},
	"set-port-attribute":    {[]string{"port_id", "path", "value"}, 0, onPort(set)},
	"extend-port-attribute": {[]string{"port_id", "path", "value", "unique"}, 1, onPort(extend)},
	"del-port-attribute":    {[]string{"port_id", "path"}, 0, onPort(unset)},
}

// change changes the value of a key.
type change func(in map[string]any, key string, args map[string]any) error

func set(in map[string]any, key string, args map[string]any) error {
	in[key] = args["value"]
	return nil
}

func unset(in map[string]any, key string, _ map[string]any) error {
	delete(in, key)
	return nil
}

func extend(in map[string]any, key string, args map[string]any) error {
	list, ok := in[key].([]any)
	if !ok && in[key] != nil {
		return fault.Errorf(fault.Invalid, "%q is no list", key)
	}
	if args["unique"] == true && slices.ContainsFunc(list, func(v any) bool { return same(v, args["value"]) }) {
		return nil
	}
	in[key] = append(list, args["value"])
	return nil
}

func onNode(do change) func(w *World, args map[string]any) error {
	return func(w *World, args map[string]any) error { return at(w.Node, args, do) }
}

func onPluginData(do change) func(w *World, args map[string]any) error {
	return func(w *World, args map[string]any) error { return at(w.PluginData, args, do) }
}

// onPort changes the port with a UUID or MAC address.
func onPort(do change) func(w *World, args map[string]any) error {
	return func(w *World, args map[string]any) error {
		ref := strings.ToLower(text(args["port_id"]))
		for id, port := range w.Ports {
			if id == ref || port["address"] == ref {
				return at(port, args, do)
			}
		}
		return fault.Errorf(fault.Invalid, "the node has no port %.60q", ref)
	}
}

// at changes what a path leads to, through objects that are made where there are none. Slashes and dots part its words.
func at(doc map[string]any, args map[string]any, do change) error {
	path := text(args["path"])
	apart := "/"
	if !strings.Contains(path, "/") {
		apart = "."
	}
	words := strings.Split(strings.TrimPrefix(path, "/"), apart)
	if slices.Contains(words, "") {
		return fault.Errorf(fault.Invalid, "%.60q is no path such as /extra/rack", path)
	}
	for _, word := range words[:len(words)-1] {
		inner, ok := doc[word].(map[string]any)
		if !ok && doc[word] != nil {
			return fault.Errorf(fault.Invalid, "%q is no object", word)
		}
		if !ok {
			inner = map[string]any{}
			doc[word] = inner
		}
		doc = inner
	}
	return do(doc, words[len(words)-1], args)
}

// capability puts a capability in place of the one with its name; "" takes that away.
func (w *World) capability(name, whole string) error {
	if name == "" || strings.ContainsAny(name, ":,") || strings.Contains(whole, ",") {
		return fault.Errorf(fault.Invalid, "the capability %.60q must have no colon and no comma in it", name)
	}
	props, ok := w.Node["properties"].(map[string]any)
	if !ok {
		props = map[string]any{}
		w.Node["properties"] = props
	}
	var kept []string
	for _, c := range strings.Split(text(props["capabilities"]), ",") {
		if have, _, _ := strings.Cut(c, ":"); c != "" && have != name {
			kept = append(kept, c)
		}
	}
	if whole != "" {
		kept = append(kept, whole)
	}
	props["capabilities"] = strings.Join(kept, ",")
	return nil
}
