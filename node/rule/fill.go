package rule

import (
	"regexp"
	"strconv"
	"strings"
)

// field is a place in a text where a value is put: {node.name}, {inventory[cpu][count]}, {item}.
var field = regexp.MustCompile(`\{([a-z_]+)((?:\.[A-Za-z0-9_-]+|\[[^\[\]{}]+\])*)\}`)

// filled returns a value with all fields in its texts replaced. A text that is one field and nothing else becomes the value itself,
// nil where there is none; within a text, a field without a value stays as it is written.
func (w *World) filled(v, item any) any {
	switch v := v.(type) {
	case string:
		if m := field.FindStringSubmatch(v); m != nil && m[0] == v && w.root(m[1], item) != nil {
			return w.value(m, item)
		}
		return field.ReplaceAllStringFunc(v, func(written string) string {
			if found := w.value(field.FindStringSubmatch(written), item); found != nil {
				return text(found)
			}
			return written
		})
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = w.filled(v[i], item)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for key, inner := range v {
			out[key] = w.filled(inner, item)
		}
		return out
	}
	return v
}

// root is what the first word of a field means; nil when it means nothing.
func (w *World) root(word string, item any) any {
	switch word {
	case "node":
		return w.Node
	case "inventory":
		return w.Inventory
	case "plugin_data":
		return w.PluginData
	case "item":
		return item
	}
	return nil
}

// value looks a field up that was matched.
func (w *World) value(m []string, item any) any {
	at := w.root(m[1], item)
	for _, key := range strings.FieldsFunc(m[2], func(c rune) bool { return c == '.' || c == '[' || c == ']' }) {
		switch inner := at.(type) {
		case map[string]any:
			at = inner[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(inner) {
				return nil
			}
			at = inner[i]
		default:
			return nil
		}
	}
	return at
}
