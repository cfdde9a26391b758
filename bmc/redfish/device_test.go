package redfish

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/profile"
)

// device is a BMC made of documents, for tests of one fact each. Documents are as a BMC would write them,
// broken ones too. hooks answer instead, by "METHOD path"; they return false to leave it to the documents.
type device struct {
	mu    sync.Mutex
	docs  map[string]string
	hooks map[string]func(w http.ResponseWriter, r *http.Request, body map[string]any) bool
	asked []string // METHOD path
	url   string
}

const system1 = "/redfish/v1/Systems/1"

// newDevice makes a plain BMC whose documents a test then spoils.
func newDevice(t *testing.T) *device {
	t.Helper()
	d := &device{hooks: map[string]func(http.ResponseWriter, *http.Request, map[string]any) bool{}, docs: map[string]string{
		"/redfish/v1":         `{"@odata.id":"/redfish/v1","Vendor":"Hagane","Product":"test","RedfishVersion":"1.6.0","Systems":{"@odata.id":"/redfish/v1/Systems"},"Managers":{"@odata.id":"/redfish/v1/Managers"},"Chassis":{"@odata.id":"/redfish/v1/Chassis"},"Registries":{"@odata.id":"/redfish/v1/Registries"},"UpdateService":{"@odata.id":"/redfish/v1/UpdateService"},"AccountService":{"@odata.id":"/redfish/v1/AccountService"},"Links":{"Sessions":{"@odata.id":"/redfish/v1/SessionService/Sessions"}}}`,
		"/redfish/v1/Systems": `{"Members":[{"@odata.id":"/redfish/v1/Systems/1"}]}`,
		system1: `{"@odata.id":"/redfish/v1/Systems/1","Manufacturer":"Hagane","Model":"R1","SerialNumber":"HG1","PowerState":"Off","Status":{"Health":"OK","State":"Enabled"},
			"Boot":{"BootSourceOverrideTarget":"None","BootSourceOverrideEnabled":"Disabled","BootSourceOverrideMode":"UEFI","BootSourceOverrideTarget@Redfish.AllowableValues":["None","Pxe","Hdd","Cd","BiosSetup"]},
			"Actions":{"#ComputerSystem.Reset":{"target":"/redfish/v1/Systems/1/Actions/ComputerSystem.Reset","ResetType@Redfish.AllowableValues":["On","ForceOff","GracefulShutdown","ForceRestart","Nmi"]}},
			"Links":{"ManagedBy":[{"@odata.id":"/redfish/v1/Managers/1"}],"Chassis":[{"@odata.id":"/redfish/v1/Chassis/1"}]}}`,
		"/redfish/v1/Managers":   `{"Members":[{"@odata.id":"/redfish/v1/Managers/1"}]}`,
		"/redfish/v1/Managers/1": `{"@odata.id":"/redfish/v1/Managers/1","ManagerType":"BMC","Model":"BMC","FirmwareVersion":"2.13","VirtualMedia":{"@odata.id":"/redfish/v1/Managers/1/VirtualMedia"},"Actions":{"#Manager.Reset":{"target":"/redfish/v1/Managers/1/Actions/Manager.Reset","ResetType@Redfish.AllowableValues":["GracefulRestart"]}}}`,
		"/redfish/v1/Chassis":    `{"Members":[{"@odata.id":"/redfish/v1/Chassis/1"}]}`,
		"/redfish/v1/Chassis/1":  `{"@odata.id":"/redfish/v1/Chassis/1"}`,
	}}
	s := httptest.NewServer(d)
	t.Cleanup(s.Close)
	d.url = s.URL
	return d
}

func (d *device) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, _ := io.ReadAll(r.Body)
	var body map[string]any
	_ = json.Unmarshal(text, &body)
	d.mu.Lock()
	defer d.mu.Unlock()
	path := strings.TrimSuffix(r.URL.Path, "/")
	key := r.Method + " " + path
	d.asked = append(d.asked, r.Method+" "+r.URL.RequestURI())
	if hook := d.hooks[key]; hook != nil && hook(w, r, body) {
		return
	}
	switch {
	case key == "POST /redfish/v1/SessionService/Sessions":
		w.Header().Set("X-Auth-Token", "token")
		w.Header().Set("Location", "/redfish/v1/SessionService/Sessions/1")
		w.WriteHeader(http.StatusCreated)
	case r.Method == http.MethodGet && d.docs[path] != "":
		_, _ = io.WriteString(w, d.docs[path])
	case r.Method == http.MethodPatch && d.docs[path] != "":
		d.merge(path, body)
	case r.Method == http.MethodPost && strings.HasSuffix(path, "ComputerSystem.Reset"):
		state := map[any]string{"On": "On", "ForceOn": "On", "ForceRestart": "On", "PowerCycle": "On", "ForceOff": "Off", "GracefulShutdown": "Off", "Nmi": "On"}[body["ResetType"]]
		d.merge(system1, map[string]any{"PowerState": state})
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
	default:
		refuse(w, http.StatusNotFound, "Base.1.8.ResourceMissingAtURI", "there is no "+path)
	}
}

// merge changes a document as RFC 7386 says.
func (d *device) merge(path string, change map[string]any) {
	var doc map[string]any
	_ = unmarshal([]byte(d.docs[path]), &doc)
	mergeInto(doc, change)
	text, _ := json.Marshal(doc)
	d.docs[path] = string(text)
}

func mergeInto(doc, change map[string]any) {
	for k, v := range change {
		sub, ok := v.(map[string]any)
		old, both := doc[k].(map[string]any)
		if ok && both {
			mergeInto(old, sub)
		} else {
			doc[k] = v
		}
	}
}

func refuse(w http.ResponseWriter, status int, id, words string, args ...string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": id, "message": words, "@Message.ExtendedInfo": []any{map[string]any{"MessageId": id, "Message": words, "MessageArgs": args}}}})
}

// on sets a hook; answer returns false to leave the request to the documents.
func (d *device) on(request string, answer func(w http.ResponseWriter, r *http.Request, body map[string]any) bool) {
	d.hooks[request] = answer
}

// set changes a document before the test.
func (d *device) set(path string, change string) {
	var c map[string]any
	if err := json.Unmarshal([]byte(change), &c); err != nil {
		panic(err)
	}
	if d.docs[path] == "" {
		d.docs[path] = "{}"
	}
	d.merge(path, c)
}

// count returns how often something was asked.
func (d *device) count(request string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, a := range d.asked {
		if a == request {
			n++
		}
	}
	return n
}

var quick = bmc.Pace{Tries: 3, Least: time.Millisecond, Most: 2 * time.Millisecond, Again: 4, Every: time.Millisecond, Settle: 150 * time.Millisecond, Look: 2 * time.Millisecond}

// driver opens a driver of the device. options change its access.
func (d *device) driver(t *testing.T, options ...func(a *bmc.Access)) *Driver {
	t.Helper()
	a := bmc.Access{Driver: "redfish", Address: d.url, Username: "root", Password: "calvin", Pace: quick, Memory: &bmc.Memory{}}
	for _, o := range options {
		o(&a)
	}
	opened, err := Open(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close(t.Context()) })
	return opened.(*Driver)
}

// knowing gives the driver an embedded profile.
func knowing(t *testing.T, name string) func(a *bmc.Access) {
	t.Helper()
	book, err := profile.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	p := book.Named(name)
	if p == nil {
		t.Fatalf("there is no profile %s", name)
	}
	return func(a *bmc.Access) { a.Profile = p }
}

func wantClass(t *testing.T, err error, want bmc.Class) {
	t.Helper()
	if got := bmc.ClassOf(err); got != want {
		t.Errorf("class %q, want %q: %v", got, want, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func members(paths ...string) string {
	var all []string
	for _, p := range paths {
		all = append(all, fmt.Sprintf(`{"@odata.id":%q}`, p))
	}
	return `{"Members":[` + strings.Join(all, ",") + `]}`
}
