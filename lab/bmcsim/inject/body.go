package inject

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// redfishError is an error body as DSP0266 describes it.
func redfishError(id, message string) string {
	text, err := json.Marshal(map[string]any{"error": map[string]any{
		"code": id, "message": message,
		"@Message.ExtendedInfo": []any{map[string]any{"MessageId": id, "Message": message, "Severity": "Critical", "Resolution": "Try again later."}},
	}})
	if err != nil {
		return ""
	}
	return string(text)
}

func messageError(id string) string {
	if !strings.Contains(id, ".") {
		id = "Base.1.8." + id
	}
	return redfishError(id, "The request failed: "+id[strings.LastIndexByte(id, '.')+1:]+".")
}

func htmlPage(status int) string {
	return fmt.Sprintf("<!DOCTYPE html>\n<html><head><title>%d %s</title></head><body><h1>%s</h1><p>The web server of this controller could not do that.</p></body></html>\n",
		status, http.StatusText(status), http.StatusText(status))
}

func xhtmlPage(status int) string {
	return fmt.Sprintf("<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n<html xmlns=\"http://www.w3.org/1999/xhtml\"><head><title>%d - %s</title></head><body><h1>%d - %s</h1></body></html>\n",
		status, http.StatusText(status), status, http.StatusText(status))
}

// Apply damages a body.
func (d Damage) Apply(body []byte) []byte {
	switch d {
	case Comma:
		at := bytes.LastIndexByte(body, ']')
		if at < 1 || len(bytes.TrimSpace(body[:at])) == 0 || bytes.HasSuffix(bytes.TrimSpace(body[:at]), []byte("[")) {
			at = bytes.LastIndexByte(body, '}')
		}
		if at < 1 {
			return body
		}
		return append(append(bytes.Clone(body[:at]), ','), body[at:]...)
	case Truncate:
		return body[:len(body)/2]
	case HTML:
		return []byte(htmlPage(http.StatusOK))
	case Null:
		return rewrite(body, func(v any) any {
			if _, list := v.([]any); list {
				return nil
			}
			return v
		})
	case Strings:
		return rewrite(body, func(v any) any {
			if n, ok := v.(json.Number); ok {
				return n.String()
			}
			return v
		})
	case Control:
		at := bytes.IndexByte(body, ' ')
		if at < 0 {
			at = bytes.IndexByte(body, ':') + 1
		}
		return append([]byte("\xef\xbb\xbf"), append(append(bytes.Clone(body[:at]), 1), body[at:]...)...)
	}
	return body
}

// rewrite changes every value of a JSON document; what is no JSON stays.
func rewrite(body []byte, change func(any) any) []byte {
	var doc any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if d.Decode(&doc) != nil {
		return body
	}
	var walk func(any) any
	walk = func(v any) any {
		switch v := change(v).(type) {
		case map[string]any:
			for key, inner := range v {
				v[key] = walk(inner)
			}
			return v
		case []any:
			for i, inner := range v {
				v[i] = walk(inner)
			}
			return v
		default:
			return v
		}
	}
	text, err := json.Marshal(walk(doc))
	if err != nil {
		return body
	}
	return text
}

// Merge merges a JSON patch into a JSON document as RFC 7386 says; what is no JSON stays.
func Merge(body []byte, patch json.RawMessage) []byte {
	var doc, change any
	if json.Unmarshal(body, &doc) != nil || json.Unmarshal(patch, &change) != nil {
		return body
	}
	text, err := json.Marshal(merge(doc, change))
	if err != nil {
		return body
	}
	return text
}

func merge(doc, change any) any {
	with, ok := change.(map[string]any)
	if !ok {
		return change
	}
	into, ok := doc.(map[string]any)
	if !ok {
		into = map[string]any{}
	}
	for key, value := range with {
		if value == nil {
			delete(into, key)
		} else {
			into[key] = merge(into[key], value)
		}
	}
	return into
}
