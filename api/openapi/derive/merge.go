package derive

import (
	"maps"
	"reflect"
	"slices"
)

// merge is the form of what has one form or the other.
func merge(a, b schema) schema {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0, reflect.DeepEqual(a, b):
		return a
	case is(a, "object") && is(b, "object"):
		return nullable(mergeObjects(a, b), is(a, "null") || is(b, "null"))
	case is(a, "array") && is(b, "array"):
		ai, _ := a["items"].(schema)
		bi, _ := b["items"].(schema)
		return nullable(list(merge(ai, bi)), is(a, "null") || is(b, "null"))
	case a["type"] == "null" && b["type"] != nil:
		return nullable(b, true)
	case b["type"] == "null" && a["type"] != nil:
		return nullable(a, true)
	}
	if types, ok := simple(a, b); ok {
		return types
	}
	return schema{"anyOf": alternatives(a, b)}
}

// is reports whether a form may be of a type.
func is(s schema, kind string) bool {
	switch t := s["type"].(type) {
	case string:
		return t == kind
	case []string:
		return slices.Contains(t, kind)
	}
	return false
}

// nullable is a form that may be null as well.
func nullable(s schema, yes bool) schema {
	if !yes || is(s, "null") || s["type"] == nil {
		return s
	}
	out := maps.Clone(s)
	kinds, ok := s["type"].([]string)
	if !ok {
		kinds = []string{s["type"].(string)}
	}
	out["type"] = slices.Sorted(slices.Values(append(slices.Clone(kinds), "null")))
	return out
}

// simple joins two forms that are no more than types.
func simple(a, b schema) (schema, bool) {
	var all []string
	format := ""
	for _, one := range []schema{a, b} {
		switch t := one["type"].(type) {
		case string:
			all = append(all, t)
		case []string:
			all = append(all, t...)
		default:
			return nil, false
		}
		for key := range one {
			if key == "format" {
				format = one[key].(string)
			} else if key != "type" {
				return nil, false
			}
		}
	}
	slices.Sort(all)
	out := schema{"type": slices.Compact(all)}
	if format != "" {
		out["format"] = format
	}
	return out, true
}

func alternatives(a, b schema) []schema {
	var out []schema
	for _, one := range []schema{a, b} {
		if inner, ok := one["anyOf"].([]schema); ok {
			out = append(out, inner...)
			continue
		}
		if !slices.ContainsFunc(out, func(have schema) bool { return reflect.DeepEqual(have, one) }) {
			out = append(out, one)
		}
	}
	return out
}

func mergeObjects(a, b schema) schema {
	out := schema{"type": "object"}
	pa, _ := a["properties"].(schema)
	pb, _ := b["properties"].(schema)
	properties := maps.Clone(pa)
	if properties == nil {
		properties = schema{}
	}
	for name, v := range pb {
		have, _ := properties[name].(schema)
		one, _ := v.(schema)
		properties[name] = merge(have, one)
	}
	if len(properties) > 0 {
		out["properties"] = properties
	}
	for _, one := range []schema{a, b} {
		more, ok := one["additionalProperties"]
		have, both := out["additionalProperties"].(schema)
		inner, free := more.(schema)
		switch {
		case ok && both && free:
			out["additionalProperties"] = merge(have, inner)
		case ok:
			out["additionalProperties"] = more
		}
	}
	// What only one of them has is optional. One that only adds members to the other has no list.
	ra, hasA := a["required"].([]string)
	rb, hasB := b["required"].([]string)
	switch {
	case hasA && hasB:
		ra = slices.DeleteFunc(slices.Clone(ra), func(name string) bool { return !slices.Contains(rb, name) })
	case hasB:
		ra = rb
	}
	if hasA || hasB {
		out["required"] = ra
	}
	return out
}

// without is a document from which a member may be missing.
func without(s schema, name string) schema {
	required, ok := s["required"].([]string)
	if !ok {
		return s
	}
	out := maps.Clone(s)
	out["required"] = slices.DeleteFunc(slices.Clone(required), func(r string) bool { return r == name })
	return out
}

// pruned drops the lists of required members that are empty.
func pruned(v any) any {
	switch v := v.(type) {
	case schema:
		out := schema{}
		for key, inner := range v {
			if list, ok := inner.([]string); ok && key == "required" && len(list) == 0 {
				continue
			}
			out[key] = pruned(inner)
		}
		return out
	case map[string]schema:
		out := schema{}
		for key, inner := range v {
			out[key] = pruned(inner)
		}
		return out
	case []schema:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = pruned(inner)
		}
		return out
	}
	return v
}
