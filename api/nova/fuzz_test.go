package nova

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

func told(t *testing.T, err error) {
	t.Helper()
	if err != nil && fault.KindOf(err) == fault.Internal {
		t.Errorf("bad input is told as a defect of ours: %v", err)
	}
}

func request(method, body string) *api.Request {
	return &api.Request{Request: httptest.NewRequest(method, "/compute/v2.1/servers", strings.NewReader(body)), Caller: identity.Caller{}}
}

// FuzzCreate reads whatever comes as a request for a server.
func FuzzCreate(f *testing.F) {
	for _, seed := range []string{
		`{"server":{"name":"s","imageRef":"i","flavorRef":"f","networks":"auto","min_count":"1"}}`, `{"server":{"name":"s","imageRef":"i","flavorRef":"f","networks":[{"uuid":"n","fixed_ip":"10.0.0.1"},{"port":"p"}],"user_data":"eA=="}}`,
		`{"server":{"flavorRef":"f","block_device_mapping_v2":[{"uuid":"i","source_type":"image","destination_type":"local","boot_index":"0"}]},"os:scheduler_hints":{"group":"g"}}`,
		`{"server":{"imageRef":"i","flavorRef":"f","personality":[{"path":"/x","contents":"%"}],"networks":7,"max_count":1e9}}`, `{"server":{"imageRef":"i","flavorRef":"f"},"os:scheduler_hints":{"group":["g"]}}`, `{"server":[]}`, `null`, `[`,
	} {
		f.Add(seed, "2.90")
	}
	f.Fuzz(func(t *testing.T, body, version string) {
		r := request("POST", body)
		r.Header.Set(headerNova, version)
		var b createBody
		err := api.Decode(httptest.NewRecorder(), r, &b)
		if told(t, err); err == nil {
			_, err = b.wanted(r)
			told(t, err)
		}
	})
}

// FuzzQuery lists servers by whatever query.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"limit=5&marker=x", "status=active&status=DELETED", "all_tenants=1", "changes-since=2030-01-31T00:00:00 00:00", "changes-before=never", "sort_key=a&sort_dir=up", "locked=maybe", "tags=a,b&not-tags-any=,", "ip=[", "limit=-1", "limit=99999999999999999999", "%zz"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, q string) {
		r := request("GET", "")
		r.URL.RawQuery = q
		got, err := query(r)
		told(t, err)
		if err == nil && (got.Limit < 1 || got.Limit > 1000) {
			t.Errorf("%q asks for %d servers", q, got.Limit)
		}
	})
}

// FuzzMicroversion negotiates whatever version is asked for, in either header.
func FuzzMicroversion(f *testing.F) {
	for _, seed := range []string{"", "latest", "2.1", "2.90", "2.91", "2.0", "3.1", "2.", "2.-1", "2.999999999999999999999", "compute 2.1", "volume 3.1, compute 2.7", "٢.١"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, version, older string) {
		r := request("GET", "")
		r.Header = http.Header{headerVersion: {version}, headerNova: {older}}
		w := httptest.NewRecorder()
		asked := 0
		err := versioned(func(_ http.ResponseWriter, r *api.Request) error { asked = microOf(r); return nil })(w, r)
		told(t, err)
		if (err != nil || w.Code == http.StatusNotAcceptable) == (asked != 0) || asked > maxMicro {
			t.Errorf("%q, %q: asked for 2.%d, code %d, %v", version, older, asked, w.Code, err)
		}
	})
}
