package api

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/fault"
)

// FuzzDecode reads whatever body into a document with fields of all kinds: bad input is Invalid or TooLarge, and names
// what is wrong.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"a":"x","b":1,"c":[true],"d":{"e":null}}`, `{"a":1}`, `{"z":1}`, `{}{}`, `[`, ``, `{"c":"x"}`, `{"d":{"e":"x","f":2}}`, `{"b":1e400}`, "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := &Request{Request: httptest.NewRequest("POST", "/", strings.NewReader(body))}
		var v struct {
			A string `json:"a"`
			B int    `json:"b"`
			C []bool `json:"c"`
			D *struct {
				E any `json:"e"`
			} `json:"d"`
		}
		err := Decode(httptest.NewRecorder(), r, &v)
		if err == nil {
			if !json.Valid([]byte(body)) {
				t.Errorf("%q was taken", body)
			}
			return
		}
		if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge {
			t.Errorf("%q: kind %v: %v", body, k, err)
		}
		if fault.Message(err) == "" {
			t.Errorf("%q: the error has no words", body)
		}
	})
}

// FuzzMade looks for an id in whatever answer.
func FuzzMade(f *testing.F) {
	for _, seed := range []string{`{"server":{"id":"x"}}`, `{"uuid":"x","a":1}`, `[1]`, `null`, `{"a":null}`, `{"a":{"id":7}}`, `{`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) { _ = made([]byte(body)) })
}
