package main

import (
	"net/http"
	"testing"

	"github.com/hagane-cloud/hagane/client"
)

// TestBytesThatAreNoText sends every service what no database takes, and hears that it is the request that is wrong.
func TestBytesThatAreNoText(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		c := startCloud(t, dsn)
		access, err := client.ReadAccess(c.data, cloudName)
		if err != nil {
			t.Fatal(err)
		}
		token, _ := c.login(access.Username, access.Password, access.ProjectName)
		for _, tt := range []struct{ verb, path, body string }{
			{"POST", "/network/v2.0/networks", `{"network":{"name":"a\u0000b"}}`},
			{"POST", "/compute/v2.1/os-keypairs", `{"keypair":{"name":"\u0000"}}`},
			{"POST", "/image/v2/images", `{"name":"\u0000","disk_format":"raw","container_format":"bare"}`},
			{"POST", "/baremetal/v1/nodes", `{"driver":"fake-hardware","extra":{"a":"\\\u0000"}}`},
			{"POST", "/identity/v3/projects", `{"project":{"name":"\u0000"}}`},
			{"POST", "/identity/v3/auth/tokens", `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"\u0000","password":"x","domain":{"id":"default"}}}}}}`},
			{"GET", "/network/v2.0/networks?name=%00", ""},
			{"GET", "/network/v2.0/networks/%ff", ""},
			{"GET", "/compute/v2.1/servers?name=%ff", ""},
			{"GET", "/compute/v2.1/os-keypairs/%00", ""},
			{"GET", "/baremetal/v1/nodes/%00", ""},
			{"GET", "/identity/v3/users?name=%00", ""},
			{"DELETE", "/identity/v3/users/%00", ""},
			{"GET", "/audit/v1/events?target_id=%00", ""},
		} {
			if a := c.ask(token, tt.verb, tt.path, tt.body); a.status != http.StatusBadRequest {
				t.Errorf("%s %s %s: %d %s", tt.verb, tt.path, tt.body, a.status, a.body)
			}
		}
		// A backslash before what looks like NUL makes it text.
		if a := c.ask(token, "POST", "/network/v2.0/networks", `{"network":{"name":"a\\u0000b"}}`); a.status != http.StatusCreated {
			t.Errorf("a name with a backslash: %d %s", a.status, a.body)
		}
	})
}
