package redfish

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/lab/bmcsim"
	"github.com/hagane-cloud/hagane/lab/machine"
)

// captures is where captured trees may lie.
const captures = "../../../../shared/bmc/captures"

// open reads a captured tree, or skips the test.
func openCaptured(t *testing.T, name string) *Capture {
	t.Helper()
	file := filepath.Join(captures, name+".tar.xz")
	if _, err := os.Stat(file); err != nil {
		t.Skipf("the captured tree %s is not there: %v", file, err)
	}
	c, err := OpenCapture(file)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCapturedTrees serves trees that were read off real BMCs, and changes power, boot device, media and settings on them.
func TestCapturedTrees(t *testing.T) {
	for _, tree := range []struct {
		name, system string
		documents    int
		invalid      int // documents that are no JSON, kept as they are
		medium       string
		setting      string
		value        any
	}{
		{"dell", "System.Embedded.1", 2600, 0, "CD", "LogicalProc", "Disabled"},
		{"hpe", "1", 1000, 0, "2", "BootMode", "LegacyBios"},
		{"lenovo", "1", 1400, 2, "EXT1", "", nil},
		{"supermicro", "1", 750, 0, "VirtualMedia1", "", nil},
		{"nvidia_viking", "DGX", 5000, 0, "", "", nil},
		{"nvidia_gh200", "System_0", 1300, 0, "USB1", "", nil},
	} {
		t.Run(tree.name, func(t *testing.T) {
			c := openCaptured(t, tree.name)
			if len(c.Paths()) < tree.documents || c.Kind().SystemID != tree.system {
				t.Errorf("%d documents, system %s", len(c.Paths()), c.Kind().SystemID)
			}
			b, m := serveWith(t, func(conf bmcsim.Config) (*BMC, error) { return ListenCapture(conf, c) })
			readAll(t, b, c, tree.invalid)
			at := newClient(t, b)
			changePower(t, at, b, m)
			changeBoot(t, at, b, m)
			changeMedia(t, at, b, m, tree.medium)
			changeSetting(t, at, b, tree.setting, tree.value)
		})
	}
}

// readAll reads every document of the tree without a network in between.
func readAll(t *testing.T, b *BMC, c *Capture, invalid int) {
	t.Helper()
	bad := 0
	for _, p := range c.Paths() {
		req := httptest.NewRequest(http.MethodGet, root+"/"+strings.ReplaceAll(strings.ReplaceAll(p, "$", "%24"), "#", "%23"), nil)
		if head, query, ok := strings.Cut(p, "?"); ok {
			req = httptest.NewRequest(http.MethodGet, root+"/"+head+"?"+query, nil)
		}
		req.SetBasicAuth("admin", password)
		w := httptest.NewRecorder()
		b.serve(w, req)
		if w.Code != http.StatusOK && !strings.HasPrefix(p, "sessionservice/sessions/") && !strings.HasPrefix(p, "taskservice/tasks/") && !strings.Contains(p, "/jobs/") && !strings.HasPrefix(p, "accountservice/accounts/") {
			t.Errorf("%s: %d", p, w.Code)
		}
		if w.Code == http.StatusOK && !json.Valid(w.Body.Bytes()) && !strings.Contains(p, "$metadata") {
			bad++
		}
	}
	if bad != invalid {
		t.Errorf("%d invalid documents, want %d", bad, invalid)
	}
}

func changePower(t *testing.T, at client, b *BMC, m interface{ Status() machine.Status }) {
	t.Helper()
	if doc := at.get(b.SystemPath()); doc["PowerState"] != "Off" {
		t.Errorf("the power is %v", doc["PowerState"])
	}
	if status, id, _ := at.do("POST", b.SystemPath()+"/Actions/ComputerSystem.Reset", `{"ResetType":"On"}`, nil); status != 204 {
		t.Errorf("on: %d %s", status, id)
	}
	if doc := at.get(b.SystemPath()); doc["PowerState"] != "On" || !m.Status().On {
		t.Errorf("the power is %v", doc["PowerState"])
	}
	if status, id, _ := at.do("POST", b.SystemPath()+"/Actions/ComputerSystem.Reset", `{"ResetType":"Explode"}`, nil); status != 400 {
		t.Errorf("explode: %d %s", status, id)
	}
}

func changeBoot(t *testing.T, at client, b *BMC, m interface{ Status() machine.Status }) {
	t.Helper()
	where := b.SystemPath()
	if b.kind.Boot.At != "" {
		where += "/" + b.kind.Boot.At
	}
	body := `{"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"Pxe","BootSourceOverrideMode":"UEFI"}}`
	if b.kind.Boot.FixedMode {
		body = `{"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"Pxe"}}`
	}
	for range 4 {
		tag, _ := at.get(where)["@odata.etag"].(string)
		status, id, _ := at.do("PATCH", where, body, func(r *http.Request) {
			if tag != "" {
				r.Header.Set("If-Match", tag)
			}
		})
		if status == 200 {
			break
		}
		if status != 412 && !strings.HasSuffix(id, "UnableToModifyDuringSystemPOST") {
			t.Errorf("boot: %d %s", status, id)
		}
		b.selfTest = 0
	}
	boot, _ := at.get(where)["Boot"].(map[string]any)
	if m.Status().Boot.Device != machine.Network || boot["BootSourceOverrideTarget"] != "Pxe" {
		t.Errorf("%+v, shown as %v", m.Status().Boot, boot["BootSourceOverrideTarget"])
	}
}

func changeMedia(t *testing.T, at client, b *BMC, m interface{ Status() machine.Status }, slot string) {
	t.Helper()
	if slot == "" {
		return
	}
	image := httptest.NewServer(http.FileServerFS(os.DirFS(".")))
	defer image.Close()
	url := image.URL + "/capture.go"
	path := root + "/Managers/" + b.kind.ManagerID + "/VirtualMedia/" + slot
	if b.kind.Media.Style == "patch" {
		at.do("PATCH", path, `{"Image":"`+url+`","Inserted":true}`, nil)
	} else if status, id, _ := at.do("POST", path+"/Actions/VirtualMedia.InsertMedia", `{"Image":"`+url+`"}`, nil); status >= 300 {
		t.Errorf("insert: %d %s", status, id)
	}
	if doc := at.get(path); doc["Inserted"] != true || doc["Image"] != url || m.Status().Medium != url {
		t.Errorf("%v %v, the machine has %q", doc["Inserted"], doc["Image"], m.Status().Medium)
	}
}

func changeSetting(t *testing.T, at client, b *BMC, name string, value any) {
	t.Helper()
	if name == "" {
		return
	}
	pending := root + "/" + b.biosPath() + "/" + strings.Trim(b.kind.Settings.Pending, "/")
	body, _ := json.Marshal(map[string]any{"Attributes": map[string]any{name: value}})
	if status, id, _ := at.do("PATCH", pending, string(body), nil); status != 200 {
		t.Errorf("setting: %d %s", status, id)
	}
	if got, _ := at.get(pending)["Attributes"].(map[string]any); got[name] != value {
		t.Errorf("pending is %v", got)
	}
	if status, _, _ := at.do("PATCH", pending, `{"Attributes":{"NoSuchThing":1}}`, nil); status != 400 {
		t.Errorf("an unknown setting: %d", status)
	}
}

// serveWith serves a BMC that listen makes on a simulated machine.
func serveWith(t *testing.T, listen func(bmcsim.Config) (*BMC, error)) (*BMC, interface{ Status() machine.Status }) {
	t.Helper()
	m := simulated(t)
	b, err := listen(bmcsim.Config{Machine: m, Address: netip.MustParseAddr("127.0.0.1"), Username: "admin", Password: password, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	run(t, b)
	return b, m
}

func run(t *testing.T, b *BMC) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- b.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}
