package redfish

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/lab/bmcsim"
	"github.com/hagane-cloud/hagane/lab/ether"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/machine/sim"
	"github.com/hagane-cloud/hagane/lab/vswitch"
)

const password = "s3cretpassword16"

// simulated makes a machine that is off.
func simulated(t *testing.T) *sim.Machine {
	t.Helper()
	seed := machine.Seed(1)
	port, err := vswitch.New("lab", ether.MAC{2, 0xff}).AddPort("r1p01")
	if err != nil {
		t.Fatal(err)
	}
	m, err := sim.New(machine.Spec{
		Name: "n1", Manufacturer: "Hagane", Product: "Rack 1", Serial: seed.Serial("HG", "n1"), UUID: seed.UUID("n1"),
		Mode: machine.UEFI, CPUs: 1, MemoryMB: 512, Disks: []machine.DiskSpec{{Bus: machine.Virtio, Bytes: 1 << 30, Serial: "D0"}},
		NICs: []machine.NICSpec{{MAC: seed.MAC("n1/0"), Port: "r1p01"}},
	}, t.TempDir(), []*vswitch.Port{port}, sim.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func serve(t *testing.T, kind Personality, change ...func(*bmcsim.Config)) (*BMC, *sim.Machine) {
	t.Helper()
	m := simulated(t)
	c := bmcsim.Config{
		Machine: m, Address: netip.MustParseAddr("127.0.0.1"), Username: "admin", Password: password,
		Vendor: "Hagane", Model: "BMC", Firmware: "2.13", Log: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&c)
	}
	b, err := Listen(c, kind)
	if err != nil {
		t.Fatal(err)
	}
	run(t, b)
	return b, m
}

// client asks by Basic authentication and returns status, error id and headers.
type client struct {
	t    *testing.T
	b    *BMC
	http *http.Client
}

func newClient(t *testing.T, b *BMC) client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	t.Cleanup(transport.CloseIdleConnections)
	return client{t, b, &http.Client{Transport: transport, Timeout: 30 * time.Second}}
}

func (c client) do(method, path, body string, change func(*http.Request)) (status int, id string, header http.Header) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.b.Address()+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.SetBasicAuth("admin", password)
	if change != nil {
		change(req)
	}
	res, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	var failed struct {
		Error struct {
			Info []struct{ MessageID string } `json:"@Message.ExtendedInfo"`
		}
	}
	if res.StatusCode >= 400 {
		if json.Unmarshal(text, &failed) != nil || len(failed.Error.Info) != 1 {
			c.t.Errorf("%s %s: %d is no Redfish error: %s", method, path, res.StatusCode, text)
			return res.StatusCode, "", res.Header
		}
		id = strings.TrimPrefix(failed.Error.Info[0].MessageID, "Base.1.8.")
	}
	return res.StatusCode, id, res.Header
}

// get reads a document.
func (c client) get(path string) map[string]any {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), "GET", c.b.Address()+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.SetBasicAuth("admin", password)
	res, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	var doc map[string]any
	if err := json.NewDecoder(res.Body).Decode(&doc); err != nil {
		c.t.Errorf("GET %s: %d %v", path, res.StatusCode, err)
	}
	return doc
}

func TestErrors(t *testing.T) {
	b, m := serve(t, Personalities[0])
	c := newClient(t, b)
	stranger := func(r *http.Request) { r.SetBasicAuth("admin", "wrong") }
	reset := b.SystemPath() + "/Actions/ComputerSystem.Reset"
	for _, try := range []struct {
		method, path, body string
		change             func(*http.Request)
		status             int
		id                 string
	}{
		{"GET", "/redfish/v1/", "", stranger, 200, ""},
		{"GET", "/redfish/v1/Systems", "", stranger, 401, "NoValidSession"},
		{"GET", "/redfish/v1/Systems", "", func(r *http.Request) { r.Header.Set("X-Auth-Token", "made up") }, 401, "NoValidSession"},
		{"POST", "/redfish/v1/SessionService/Sessions", `{"UserName":"admin","Password":"wrong"}`, nil, 401, "ResourceAtUriUnauthorized"},
		{"GET", "/redfish/v1/Systems/", "", nil, 200, ""},
		{"GET", "/redfish/v1/Systems/nope", "", nil, 404, "ResourceMissingAtURI"},
		{"DELETE", "/redfish/v1/Systems", "", nil, 405, "OperationNotAllowed"},
		{"POST", reset, `{"ResetType":"Explode"}`, nil, 400, "ActionParameterNotSupported"},
		{"POST", reset, `{`, nil, 400, "MalformedJSON"},
		{"POST", reset, `{"ResetType":"ForceRestart"}`, nil, 409, "ResourceInUse"},
		{"PATCH", b.SystemPath(), `{"Boot":{"BootSourceOverrideTarget":"Floppy"}}`, nil, 400, "PropertyValueNotInList"},
		{"PATCH", b.SystemPath(), `{"Boot":{"BootSourceOverrideTarget":5}}`, nil, 400, "PropertyValueTypeError"},
		{"PATCH", b.SystemPath(), `{"Boot":{"BootSourceOverrideTarget":"Pxe"}}`, func(r *http.Request) { r.Header.Set("If-Match", `"old"`) }, 412, "PreconditionFailed"},
		{"PATCH", b.SystemPath(), `{"Boot":{"BootSourceOverrideTarget":"Hdd","BootSourceOverrideEnabled":"Continuous"}}`, nil, 200, ""},
	} {
		if status, id, _ := c.do(try.method, try.path, try.body, try.change); status != try.status || id != try.id {
			t.Errorf("%s %s %s: %d %s, want %d %s", try.method, try.path, try.body, status, id, try.status, try.id)
		}
	}
	if got := m.Status().Boot; got.Device != machine.Disk || !got.Persistent {
		t.Errorf("%+v", got)
	}
	if m.Status().Boots != 0 {
		t.Error("a refused reset switched the machine on")
	}
}

func TestNeedsIfMatch(t *testing.T) {
	kind := Personalities[2]
	b, _ := serve(t, kind)
	c := newClient(t, b)
	const body = `{"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"Pxe"}}`
	if status, id, _ := c.do("PATCH", b.SystemPath(), body, nil); status != 428 || id != "PreconditionRequired" {
		t.Errorf("%d %s", status, id)
	}
	_, _, header := c.do("GET", b.SystemPath(), "", nil)
	if status, _, _ := c.do("PATCH", b.SystemPath(), body, func(r *http.Request) { r.Header.Set("If-Match", header.Get("ETag")) }); status != 200 {
		t.Error(status)
	}
}

func TestSessionsAreFew(t *testing.T) {
	b, _ := serve(t, Personalities[2])
	c := newClient(t, b)
	const login = `{"UserName":"admin","Password":"` + password + `"}`
	var token, where string
	for range Personalities[2].Logins.Max {
		status, _, header := c.do("POST", "/redfish/v1/SessionService/Sessions", login, nil)
		if status != 201 {
			t.Fatal(status)
		}
		token, where = header.Get("X-Auth-Token"), header.Get("Location")
	}
	if status, id, _ := c.do("POST", "/redfish/v1/SessionService/Sessions", login, nil); status != 503 || id != "SessionLimitExceeded" {
		t.Errorf("%d %s", status, id)
	}
	withToken := func(r *http.Request) { r.Header.Del("Authorization"); r.Header.Set("X-Auth-Token", token) }
	if status, _, _ := c.do("DELETE", where, "", withToken); status != 204 {
		t.Error(status)
	}
	if status, _, _ := c.do("GET", "/redfish/v1/Systems", "", withToken); status != 401 {
		t.Errorf("the token still works: %d", status)
	}
	if status, _, _ := c.do("POST", "/redfish/v1/SessionService/Sessions", login, nil); status != 201 {
		t.Error(status)
	}
}
