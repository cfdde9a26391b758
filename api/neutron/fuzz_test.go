package neutron

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
)

func told(t *testing.T, err error) {
	t.Helper()
	if err != nil && fault.KindOf(err) == fault.Internal {
		t.Errorf("bad input is told as a defect of ours: %v", err)
	}
}

// FuzzQuery reads filters, pages and orders of whatever query.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"name=a&name=b", "fixed_ips=ip_address=10.0.0.1&fixed_ips=x", "sort_key=name&sort_dir=desc&sort_key=id", "limit=-5", "marker=x&page_reverse=true",
		"tags=a,b&not-tags-any=c", "changed-since=2030-01-31T00:00:00", "changed-since=never", "limit=1e9", "%zz=1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, q string) {
		r := &api.Request{Request: httptest.NewRequest("GET", "/network/v2.0/ports", nil)}
		r.URL.RawQuery = q
		_, err := query(r)
		told(t, err)
	})
}

// FuzzBody reads the attributes of a port from whatever body, and a revision from whatever header.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{`{"name":"p","fixed_ips":[{"ip_address":"10.0.0.1"}]}`, `{"tags":{"a":"b"}}`, `{"tags":["a"]}`, `{"fixed_ips":null}`, `{"allowed_address_pairs":[{"ip_address":"::/0","mac_address":7}]}`,
		`{"colour":1}`, `null`, `[]`, `{"extra_dhcp_opts":[{"opt_name":"x","opt_value":null}]}`} {
		f.Add(seed, "revision_number=1")
	}
	f.Fuzz(func(t *testing.T, body, match string) {
		if strings.ContainsAny(match, "\r\n") {
			return
		}
		r := &api.Request{Request: httptest.NewRequest("PUT", "/network/v2.0/ports/x", nil)}
		r.Header.Set("If-Match", match)
		_, err := revision(r)
		told(t, err)
		k := (&neutron{}).portKind()
		decodes(t, k, r, body)
	})
}

func decodes[T, B any](t *testing.T, k kind[T, B], r *api.Request, body string) {
	t.Helper()
	var b B
	told(t, k.decode(r, []byte(body), &b))
}
