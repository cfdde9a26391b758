package lab_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stmcginnis/gofish"
	"github.com/stmcginnis/gofish/schemas"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab"
	"github.com/hagane-cloud/hagane/lab/client"
	"github.com/hagane-cloud/hagane/lab/netstack"
	"github.com/hagane-cloud/hagane/network/fabric"
	switchdriver "github.com/hagane-cloud/hagane/network/fabric/lab"
)

// standIn answers as much of a cloud's API as enrolling needs.
type standIn struct {
	mu       sync.Mutex
	url      string
	nodes    map[string]map[string]any
	ports    map[string]map[string]any
	switches map[string]map[string]any
	patched  int
	deaf     int // how many token requests are refused first
}

func (c *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var body map[string]any
	text, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(text, &body)
	if r.URL.Path != "/identity/v3/auth/tokens" && r.Header.Get("X-Auth-Token") != "token" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	status, answer := http.StatusCreated, any(body)
	switch what := r.Method + " " + r.URL.Path; {
	case what == "POST /identity/v3/auth/tokens":
		if c.deaf > 0 {
			c.deaf--
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if !strings.Contains(string(text), `"password":"pw"`) || !strings.Contains(string(text), `"project":{"domain":{"name":"Default"},"name":"admin"}`) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("X-Subject-Token", "token")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"token":{"catalog":[{"type":"baremetal","endpoints":[{"interface":"public","url":%q}]},{"type":"operator","endpoints":[{"interface":"public","url":%q}]}]}}`, c.url+"/baremetal", c.url+"/operator")
		return
	case what == "POST /operator/v1/switches":
		status = keep(c.switches, body, "name")
	case what == "POST /baremetal/v1/nodes":
		body["uuid"] = "uuid-of-" + body["name"].(string)
		status = keep(c.nodes, body, "name")
	case what == "POST /baremetal/v1/ports":
		status = keep(c.ports, body, "address")
	case strings.HasPrefix(what, "GET /baremetal/v1/nodes/"):
		node, ok := c.nodes[strings.TrimPrefix(what, "GET /baremetal/v1/nodes/")]
		status, answer = http.StatusOK, node
		if !ok {
			status = http.StatusNotFound
		}
	case strings.HasPrefix(what, "POST /operator/v1/nodes/uuid-of-") && strings.HasSuffix(what, "/bmc-trust"):
		status = http.StatusNoContent
	case strings.HasPrefix(what, "PATCH /baremetal/v1/nodes/uuid-of-"):
		c.patched++
		status = http.StatusOK
	default:
		status = http.StatusNotFound
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

func keep(in map[string]map[string]any, body map[string]any, key string) int {
	name := body[key].(string)
	if in[name] != nil {
		return http.StatusConflict
	}
	in[name] = body
	return http.StatusCreated
}

// start runs a lab and returns when it is ready; stop ends it.
func start(t *testing.T, o lab.Options) (l client.Lab, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan client.Lab, 1), make(chan error, 1)
	o.Ready = func(_ context.Context, l client.Lab) { ready <- l }
	o.Log = slog.New(slog.DiscardHandler)
	go func() { ended <- lab.Run(ctx, o) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(stop)
	select {
	case l = <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	case <-time.After(30 * time.Second):
		t.Fatal("the lab is not ready")
	}
	return l, stop
}

func TestEnrolsItself(t *testing.T) {
	cloud := &standIn{nodes: map[string]map[string]any{}, ports: map[string]map[string]any{}, switches: map[string]map[string]any{}, deaf: 2}
	api := httptest.NewServer(cloud)
	defer api.Close()
	cloud.url = api.URL
	data := t.TempDir()
	clouds := fmt.Sprintf("clouds:\n  hagane:\n    auth:\n      auth_url: %s/identity/v3\n      username: admin\n      password: pw\n      project_name: admin\n      user_domain_name: Default\n      project_domain_name: Default\n", api.URL)
	if err := os.WriteFile(filepath.Join(data, "clouds.yaml"), []byte(clouds), 0o600); err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	options := lab.Options{DataDir: data, Nodes: 4, Seed: 1, Out: &table}
	l, stop := start(t, options)
	if info, err := os.Stat(client.File(data)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	written, err := client.Read(data)
	if err != nil || !written.Enrolled || len(written.Nodes) != 4 || written.Nodes[0].BMC != l.Nodes[0].BMC {
		t.Errorf("%+v %v", written, err)
	}
	if !strings.Contains(table.String(), l.Nodes[3].NICs[0].MAC) || strings.Contains(table.String(), l.Nodes[0].BMC.Password) {
		t.Error(table.String())
	}
	first, second := cloud.nodes["r1n01"], cloud.nodes["r1n02"]
	if first["driver"] != "redfish" || second["driver"] != "ipmi" || first["resource_class"] != "lab" {
		t.Errorf("%v\n%v", first, second)
	}
	if info := second["driver_info"].(map[string]any); info["ipmi_address"] != "127.77.0.2" || info["ipmi_password"] != l.Nodes[1].BMC.Password {
		t.Errorf("%v", info)
	}
	if info := first["driver_info"].(map[string]any); info["redfish_address"] != l.Nodes[0].BMC.Address || info["redfish_verify_ca"] != false {
		t.Errorf("%v", info)
	}
	if p := first["properties"].(map[string]any); p["capabilities"] != "boot_mode:uefi" {
		t.Errorf("%v", p)
	}
	port := cloud.ports[l.Nodes[0].NICs[0].MAC]
	if port == nil || port["node_uuid"] != "uuid-of-r1n01" || port["local_link_connection"].(map[string]any)["port_id"] != "r1p01" {
		t.Errorf("%v", port)
	}
	if s := cloud.switches["lab"]; s["address"] != "unix://"+client.SwitchSocket(data) || s["driver"] != "lab" {
		t.Errorf("%v", s)
	}
	if err := lab.Run(t.Context(), options); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second lab in the folder: %v", err)
	}
	stop()
	if _, err := client.Read(data); !fault.Is(err, fault.NotFound) {
		t.Errorf("after the end: %v", err)
	}
	if _, stop = start(t, options); cloud.patched != 4 || len(cloud.nodes) != 4 {
		t.Errorf("a second time: %d patched of %d", cloud.patched, len(cloud.nodes))
	}
	stop()
}

func TestDriveAndForward(t *testing.T) {
	data := t.TempDir()
	l, _ := start(t, lab.Options{DataDir: data, Nodes: 2, Seed: 7, NoEnrol: true})
	c := client.New(data)
	defer c.Close()

	bmc, err := gofish.ConnectContext(t.Context(), gofish.ClientConfig{
		Endpoint: l.Nodes[0].BMC.Address, Username: l.Nodes[0].BMC.Username, Password: l.Nodes[0].BMC.Password, Insecure: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	systems, err := bmc.Service.Systems()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := systems[0].Reset(schemas.OnResetType); err != nil {
		t.Fatal(err)
	}
	bmc.Logout()
	if m, err := c.Machine(t.Context(), "r1n01"); err != nil || !m.On || m.Boots != 1 {
		t.Errorf("%+v %v", m, err)
	}
	if all, err := c.Machines(t.Context()); err != nil || len(all) != 2 || all[1].On {
		t.Errorf("%+v %v", all, err)
	}
	if b, err := c.Blank(t.Context(), "r1n01", 0); err != nil || !b.Blank || b.Bytes != 100<<30 {
		t.Errorf("%+v %v", b, err)
	}
	if _, err := c.Blank(t.Context(), "r1n01", 1); !fault.Is(err, fault.NotFound) {
		t.Errorf("disk 1: %v", err)
	}
	if text, err := c.Console(t.Context(), "r1n01", 0); err != nil || !strings.Contains(string(text), "firmware of r1n01") {
		t.Errorf("%q %v", text, err)
	}

	sw, err := switchdriver.Open(t.Context(), fabric.Access{Address: l.Switch})
	if err != nil {
		t.Fatal(err)
	}
	defer sw.Close()
	if p, err := sw.Port(t.Context(), "r1p01"); err != nil || !p.Isolated() || !p.Link {
		t.Errorf("%+v %v", p, err)
	}
	forwardsInto(t, c, sw.(fabric.Uplinker))
}

func forwardsInto(t *testing.T, c *client.Client, u fabric.Uplinker) {
	t.Helper()
	cable, err := u.Uplink(t.Context(), 300)
	if err != nil {
		t.Fatal(err)
	}
	host, err := netstack.New(cable, netstack.Config{MAC: net.HardwareAddr{2, 0, 0, 0, 0, 5}, Addr: netip.MustParsePrefix("10.0.0.5/24")})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	server, err := host.Listen(22)
	if err != nil {
		t.Fatal(err)
	}
	echoed := make(chan struct{})
	go func() {
		defer close(echoed)
		conn, err := server.Accept()
		if err != nil {
			return
		}
		_, _ = io.Copy(conn, conn)
		_ = conn.Close()
	}()
	road, err := c.Forward(t.Context(), client.Forward{VLAN: 300, Address: "10.0.0.5", Port: 22, Source: "10.0.0.250/24"})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", road.Listen)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "hello")
	_ = conn.(*net.TCPConn).CloseWrite()
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if got, err := io.ReadAll(conn); err != nil || string(got) != "hello" {
		t.Errorf("%q %v", got, err)
	}
	<-echoed
	if err := c.Unforward(t.Context(), road.ID); err != nil {
		t.Error(err)
	}
	if err := c.Unforward(t.Context(), road.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("again: %v", err)
	}
	for _, bad := range []client.Forward{
		{VLAN: 300, Address: "10.0.0.5", Port: 22, Source: "10.0.0.250"}, {VLAN: 300, Address: "10.1.0.5", Port: 22, Source: "10.0.0.250/24"},
		{VLAN: 5000, Address: "10.0.0.5", Port: 22, Source: "10.0.0.250/24"}, {VLAN: 300, Address: "10.0.0.5", Port: 0, Source: "10.0.0.250/24"},
	} {
		if _, err := c.Forward(t.Context(), bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestSameSeedSameLab(t *testing.T) {
	o := lab.Options{Nodes: 2, Seed: 3, NoEnrol: true}
	o.DataDir = t.TempDir()
	a, stop := start(t, o)
	stop()
	o.DataDir = t.TempDir()
	b, stop := start(t, o)
	stop()
	if a.Nodes[1].NICs[0] != b.Nodes[1].NICs[0] || a.Nodes[1].Serial != b.Nodes[1].Serial || a.Nodes[0].BMC.Password != b.Nodes[0].BMC.Password {
		t.Errorf("%+v\n%+v", a, b)
	}
	if a.Nodes[0].BMC.Password == a.Nodes[1].BMC.Password {
		t.Error("two BMCs of one password")
	}
}

func TestBadOptions(t *testing.T) {
	for _, o := range []lab.Options{
		{}, {DataDir: "x", Machine: "vmware"}, {DataDir: "x", Nodes: -1}, {DataDir: "x", Mix: "all"}, {DataDir: "x", MemoryMB: 1},
	} {
		if err := lab.Run(t.Context(), o); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
