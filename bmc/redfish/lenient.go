package redfish

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// unmarshal reads a document. Invalid JSON is repaired once: Lenovo's XCC leaves commas before brackets,
// others write byte order marks and control characters.
func unmarshal(body []byte, v any) error {
	_, err := unmarshalNoting(body, v)
	return err
}

// unmarshalNoting also reports whether the document had to be repaired.
func unmarshalNoting(body []byte, v any) (repaired bool, err error) {
	if err = json.Unmarshal(body, v); err == nil {
		return false, nil
	}
	if trimmed := bytes.TrimSpace(body); len(trimmed) == 0 || trimmed[0] == '<' {
		return false, err // a web page, or nothing
	}
	return true, json.Unmarshal(repair(body), v)
}

// repair drops what stands between a document and JSON: a byte order mark, control characters, and commas
// before a closing bracket.
func repair(body []byte) []byte {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	out := make([]byte, 0, len(body))
	text, escaped := false, false
	for _, c := range body {
		switch {
		case c < ' ' && text, c < ' ' && c != '\n' && c != '\t' && c != '\r':
			continue
		case text:
			if c == '"' && !escaped {
				text = false
			}
			escaped = c == '\\' && !escaped
		case c == '"':
			text = true
		case c == ']' || c == '}':
			if kept := bytes.TrimRight(out, " \n\t\r"); len(kept) > 0 && kept[len(kept)-1] == ',' {
				out = kept[:len(kept)-1]
			}
		}
		out = append(out, c)
	}
	return out
}

// text is a string, however it is written: some BMCs send numbers, or a list of one member. What vendors
// write when they have nothing to say is "".
type text string

func (t *text) UnmarshalJSON(raw []byte) error {
	*t = ""
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return nil
	}
	switch v := v.(type) {
	case string:
		*t = text(clean(v))
	case float64, bool:
		*t = text(raw)
	case []any:
		if len(v) == 1 {
			if m, ok := v[0].(map[string]any); ok {
				if s, ok := m["Member"].(string); ok {
					*t = text(clean(s))
				}
			} else if s, ok := v[0].(string); ok {
				*t = text(clean(s))
			}
		}
	}
	return nil
}

// clean trims a string and drops what vendors write when they have nothing to say.
func clean(s string) string {
	s = strings.TrimSpace(s)
	switch strings.ToLower(s) {
	case "n/a", "na", "none", "unknown", "not available", "not specified", "to be filled by o.e.m.", "default string", "null":
		return ""
	}
	return s
}

// number is a number, also where it is written as a string; nothing else makes it set.
type number struct {
	value float64
	set   bool
}

func (n *number) UnmarshalJSON(raw []byte) error {
	*n = number{}
	s := strings.Trim(string(raw), `" `)
	if v, err := strconv.ParseFloat(s, 64); err == nil {
		*n = number{v, true}
	}
	return nil
}

// ptr returns the value, nil when there is none.
func (n number) ptr() *float64 {
	if !n.set {
		return nil
	}
	v := n.value
	return &v
}

// flag is a boolean, also where it is written as a string; nil when it is not there.
type flag struct{ set, value bool }

func (f *flag) UnmarshalJSON(raw []byte) error {
	switch strings.ToLower(strings.Trim(string(raw), `" `)) {
	case "true", "yes", "enabled", "1":
		*f = flag{true, true}
	case "false", "no", "disabled", "0":
		*f = flag{true, false}
	default:
		*f = flag{}
	}
	return nil
}

// many is a list, also where it is null, one object, or holds members that can not be read.
type many[T any] []T

func (m *many[T]) UnmarshalJSON(raw []byte) error {
	*m = nil
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return nil
	}
	parts := []json.RawMessage{raw}
	if raw[0] == '[' {
		parts = nil
		if json.Unmarshal(raw, &parts) != nil {
			return nil
		}
	}
	for _, p := range parts {
		var v T
		if json.Unmarshal(p, &v) == nil {
			*m = append(*m, v)
		}
	}
	return nil
}

// link is the path of a resource: an object with @odata.id, or a bare string as Inspur writes. It is sent
// exactly as the BMC wrote it, but for doubled slashes, which HPE answers 404.
type link string

func (l *link) UnmarshalJSON(raw []byte) error {
	*l = ""
	var v struct {
		ID  string `json:"@odata.id"`
		Ref string `json:"extref"`
	}
	var s string
	switch {
	case json.Unmarshal(raw, &s) == nil:
	case json.Unmarshal(raw, &v) == nil && v.ID != "":
		s = v.ID
	default:
		s = v.Ref
	}
	s = local(s)
	tail := strings.HasSuffix(s, "/") && !strings.HasSuffix(s, "//")
	for strings.Contains(s, "//") {
		s = strings.ReplaceAll(s, "//", "/")
	}
	if !tail {
		s = strings.TrimSuffix(s, "/")
	}
	*l = link(s)
	return nil
}

// key is what two spellings of a path have in common: HPE mixes cases and trailing slashes.
func (l link) key() string { return strings.ToLower(strings.TrimSuffix(string(l), "/")) }

// under returns the path of something below a resource.
func (l link) under(rest string) link { return link(strings.TrimSuffix(string(l), "/") + "/" + rest) }

// last returns the last part of a path.
func (l link) last() string {
	s := strings.TrimSuffix(string(l), "/")
	return s[strings.LastIndexByte(s, '/')+1:]
}

// moment is a time; zero where the BMC has none or writes nonsense, such as 0000-00-00.
type moment struct{ time.Time }

func (m *moment) UnmarshalJSON(raw []byte) error {
	m.Time = time.Time{}
	s := strings.Trim(string(raw), `"`)
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05-0700", "2006-01-02T15:04:05", "2006-01-02 15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			if t.Year() > 1970 {
				m.Time = t.UTC()
			}
			return nil
		}
	}
	return nil
}

// status is a resource's condition in whatever words.
type status struct{ State, Health, HealthRollup text }

func (s *status) UnmarshalJSON(raw []byte) error {
	type plain status // without this method
	return json.Unmarshal(raw, (*plain)(s))
}

// word returns ok, warning, critical or unknown: the worst of both healths, as Dell's BOSS cards hide failed
// drives in one of them. H3C swaps Health and State: a value that is no health is unknown, not critical.
func (s status) word() string {
	rank := map[string]int{"unknown": 0, "ok": 1, "warning": 2, "critical": 3}
	worst := "unknown"
	for _, h := range []text{s.Health, s.HealthRollup} {
		if w := strings.ToLower(string(h)); rank[w] > rank[worst] {
			worst = w
		}
	}
	return worst
}

// here reports whether the part exists: slots without a part are resources too.
func (s status) here() bool { return !strings.EqualFold(string(s.State), "Absent") }
