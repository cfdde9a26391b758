package ironic

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
	"github.com/hagane-cloud/hagane/node"
)

// told fails when an error is none that a client is told the words of.
func told(t *testing.T, err error) {
	t.Helper()
	if err != nil && fault.KindOf(err) == fault.Internal {
		t.Errorf("bad input is told as a defect of ours: %v", err)
	}
}

func request(method, target, body string) *api.Request {
	return &api.Request{Request: httptest.NewRequest(method, target, strings.NewReader(body)), Caller: identity.Caller{}}
}

// FuzzPatch patches a node with whatever comes.
func FuzzPatch(f *testing.F) {
	for _, seed := range []string{
		`[{"op":"add","path":"/extra/a","value":1}]`, `[{"op":"remove","path":"/name"}]`, `[{"op":"replace","path":"/driver_info/x~1y","value":{"a":[1]}}]`,
		`[{"op":"test","path":"/","value":null}]`, `[{"op":"add","path":"/properties","value":"text"}]`, `[{"op":"replace","path":"/protected","value":"TRUE"}]`, `{}`, `[`, `[null]`, `[{"op":"add","path":"/properties/capabilities","value":7}]`,
		`[{"op":"add","path":"/properties/root_device","value":{"name":3}}]`, `[{"op":"add","path":"/name/deep/er","value":1}]`,
	} {
		f.Add(seed)
	}
	i := &ironic{}
	f.Fuzz(func(t *testing.T, body string) {
		n := &node.Node{ID: "x", Driver: "redfish", Name: "n", DriverInfo: map[string]string{"redfish_address": "https://x"}}
		r := request("PATCH", "/", body)
		var b nodeBody
		_, err := patchNoting(httptest.NewRecorder(), r, document(n), &b)
		if told(t, err); err != nil {
			return
		}
		b.Chassis, b.Parent = nil, nil // those are looked up
		_, err = b.apply(i, r, n)
		told(t, err)
	})
}

// FuzzQuery lists nodes by whatever query.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"limit=5&marker=x", "sort_key=name&sort_dir=desc", "maintenance=maybe", "limit=-1", "limit=99999999999999999999", "shard=a,b&shard=c", "sort_dir=sideways", "retired=1&protected=0", "%zz", "fields=uuid,,name"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := request("GET", "/baremetal/v1/nodes", "")
		r.URL.RawQuery = query
		fl, err := nodeFilter(r)
		told(t, err)
		if err == nil && (fl.Limit < 1 || fl.Limit > pageMost+1) {
			t.Errorf("%q asks for %d nodes", query, fl.Limit)
		}
		_ = fieldsOf(r)
	})
}

// FuzzMicroversion negotiates whatever version is asked for.
func FuzzMicroversion(f *testing.F) {
	for _, seed := range []string{"", "latest", "1.1", "1.97", "1.98", "2.0", "1.", "1.-1", "1.999999999999999999999", "1.1,1.2", "٣.١"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, version string) {
		r := request("GET", "/baremetal/v1/nodes", "")
		r.Header = http.Header{headerVersion: {version}}
		w := httptest.NewRecorder()
		asked := 0
		err := versioned(func(_ http.ResponseWriter, r *api.Request) error { asked = microOf(r); return nil })(w, r)
		told(t, err)
		if (err != nil || w.Code == http.StatusNotAcceptable) == (asked != 0) || asked > maxMicro {
			t.Errorf("%q: asked for 1.%d, code %d, %v", version, asked, w.Code, err)
		}
	})
}

// FuzzConfigDrive reads whatever comes as a config drive.
func FuzzConfigDrive(f *testing.F) {
	for _, seed := range []string{`{"meta_data":{"a":1}}`, `"H4sIA"`, `null`, `{"user_data":{"packages":["x"]}}`, `{"network_data":7}`, `[]`, `{"colour":1}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		_, err := configDrive([]byte(body))
		told(t, err)
	})
}
