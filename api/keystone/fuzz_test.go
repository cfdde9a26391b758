package keystone

import (
	"encoding/json"
	"testing"

	"github.com/hagane-cloud/hagane/fault"
)

// FuzzLogin reads whatever comes as a request for a token.
func FuzzLogin(f *testing.F) {
	for _, seed := range []string{
		`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"a","password":"b","domain":{"id":"default"}}}},"scope":{"project":{"id":"x"}}}}`,
		`{"auth":{"identity":{"methods":["token"],"token":{"id":"x"}},"scope":"unscoped"}}`,
		`{"auth":{"identity":{"methods":["application_credential"],"application_credential":{"id":"x","secret":"y"}},"scope":{"system":{"all":true}}}}`,
		`{"auth":{"identity":{"methods":["password","totp"],"password":null}}}`, `{"auth":{"scope":[1]}}`, `{"auth":{"identity":{"methods":[]},"scope":{"domain":{"name":7}}}}`, `{}`, `null`,
		`{"auth":{"identity":{"methods":["password","password","password"]},"scope":{"OS-TRUST:trust":{"id":"x"}}}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var req authRequest
		if json.Unmarshal([]byte(body), &req) != nil {
			return
		}
		if _, err := req.login(); err != nil && fault.KindOf(err) == fault.Internal {
			t.Errorf("bad input is told as a defect of ours: %v", err)
		}
	})
}
