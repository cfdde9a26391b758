package derive

import (
	"go/types"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// typeSchema is the form of a type as encoding/json writes it, or, of a request, reads it.
func typeSchema(t types.Type, request bool, within []types.Type) schema {
	if t == nil || slices.ContainsFunc(within, func(o types.Type) bool { return types.Identical(o, t) }) {
		return schema{}
	}
	within = append(slices.Clip(within), t)
	switch t.String() {
	case "time.Time", "github.com/uptrace/bun.NullTime":
		return schema{"type": "string", "format": "date-time"}
	case "encoding/json.RawMessage":
		return schema{}
	}
	switch {
	case has(t, "MarshalJSON"):
		return schema{}
	case has(t, "MarshalText"):
		return schema{"type": "string"}
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		return basic(u)
	case *types.Pointer:
		return nullable(typeSchema(u.Elem(), request, within), !request)
	case *types.Slice:
		if b, ok := u.Elem().(*types.Basic); ok && b.Kind() == types.Byte {
			return nullable(schema{"type": "string", "contentEncoding": "base64"}, !request)
		}
		return nullable(list(typeSchema(u.Elem(), request, within)), !request)
	case *types.Array:
		return list(typeSchema(u.Elem(), request, within))
	case *types.Map:
		return nullable(schema{"type": "object", "additionalProperties": typeSchema(u.Elem(), request, within)}, !request)
	case *types.Struct:
		return structSchema(u, request, within)
	}
	return schema{}
}

// has reports whether a type, or a pointer to it, has a method, by which it writes itself.
func has(t types.Type, method string) bool {
	m, _, _ := types.LookupFieldOrMethod(t, true, nil, method)
	_, ok := m.(*types.Func)
	return ok
}

func basic(b *types.Basic) schema {
	switch info := b.Info(); {
	case info&types.IsBoolean != 0:
		return schema{"type": "boolean"}
	case info&types.IsInteger != 0:
		return schema{"type": "integer"}
	case info&types.IsFloat != 0:
		return schema{"type": "number"}
	case info&types.IsString != 0:
		return schema{"type": "string"}
	}
	return schema{}
}

func structSchema(st *types.Struct, request bool, within []types.Type) schema {
	properties, required := schema{}, []string{}
	for i := range st.NumFields() {
		f := st.Field(i)
		tag, options, _ := strings.Cut(reflect.StructTag(st.Tag(i)).Get("json"), ",")
		if tag == "-" || (!f.Exported() && !f.Embedded()) {
			continue
		}
		if f.Embedded() && tag == "" {
			if inner, ok := deref(f.Type()).Underlying().(*types.Struct); ok {
				more := structSchema(inner, request, within)
				if p, ok := more["properties"].(schema); ok {
					maps.Copy(properties, p)
				}
				continue
			}
		}
		name := tag
		if name == "" {
			name = f.Name()
			if request {
				name = strings.ToLower(name) // any case is read
			}
		}
		properties[name] = typeSchema(f.Type(), request, within)
		if !request && !strings.Contains(options, "omit") {
			required = append(required, name)
		}
	}
	out := schema{"type": "object"}
	if len(properties) > 0 {
		out["properties"] = properties
	}
	if len(required) > 0 {
		slices.Sort(required)
		out["required"] = required
	}
	return out
}
