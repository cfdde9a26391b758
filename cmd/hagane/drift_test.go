package main

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/redfish"
	"github.com/hagane-cloud/hagane/lab"
	labclient "github.com/hagane-cloud/hagane/lab/client"
	"github.com/hagane-cloud/hagane/node"
)

// setting is a BIOS setting of the lab's servers, and two values of it.
const setting, atFirst, byTenant = "AcPwrRcvry", "Last", "Off"

// TestDriftIsPutBack plays a tenant who changes what he can at a server's BMC, and looks whether the next one would find it.
func TestDriftIsPutBack(t *testing.T) {
	t.Parallel()
	c := startCloud(t, "")
	n := c.runRack(lab.Options{Nodes: 1, Machine: lab.Sim, DiskGB: 1, Mix: "uefi", Vendors: "hpe-ilo5"}).Nodes[0]
	id := c.node(n.Name).UUID
	c.ready(id, "manage", "inspect", "provide")
	tenant := c.tenant("tenant")
	g := c.ground(tenant)
	s := must[serverDoc](c, tenant, "POST", "baremetal-server", "/servers", g.body("s"))
	c.serverUntil(tenant, s.Server.ID, "ACTIVE")

	d := c.lab(n)
	orderWas, err := d.BootOrder(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.mess(n, d)
	must[any](c, tenant, "DELETE", "baremetal-server", "/servers/"+s.Server.ID, nil)
	c.serverUntil(tenant, s.Server.ID, "")
	c.nodeUntil(id, "available")

	ctx := t.Context()
	if order, err := d.BootOrder(ctx); err != nil || !slices.Equal(order, orderWas) {
		t.Errorf("the boot order is %v, not %v: %v", order, orderWas, err)
	}
	users, err := d.Accounts(ctx)
	if err != nil || slices.ContainsFunc(users, func(a bmc.Account) bool { return a.Name == "backdoor" }) {
		t.Errorf("users: %+v, %v", users, err)
	}
	if l, err := d.Light(ctx); err != nil || l != bmc.LightOff {
		t.Errorf("the LED is %s, %v", l, err)
	}
	slots, err := d.Media(ctx)
	if err != nil || slices.ContainsFunc(slots, func(s bmc.Slot) bool { return s.Inserted }) {
		t.Errorf("media: %+v, %v", slots, err)
	}
	if b, err := d.Boot(ctx); err != nil || b.Device != bmc.None {
		t.Errorf("boot device: %+v, %v", b, err)
	}
	all, err := d.Settings(ctx)
	i := slices.IndexFunc(all, func(s bmc.Setting) bool { return s.Name == setting })
	if err != nil || i < 0 || all[i].Value != atFirst || all[i].Pending != nil {
		t.Errorf("the setting is %+v, %v", all[max(i, 0)], err)
	}
	drift := c.history(id, "drift")
	for _, word := range []string{"+ BMC user backdoor: Administrator\n  removed", "- BIOS setting " + setting + ": " + atFirst + "\n+ BIOS setting " + setting + ": " + byTenant,
		"+ identify LED: on", "ejected", "+ session of " + n.BMC.Username, "- boot order: ", "+ secure boot keys: none", "- firmware of BIOS firmware: lab-1.0\n+ firmware of BIOS firmware: 6.6\n  left so", "- secure boot: off\n+ secure boot: on"} {
		if !strings.Contains(drift, word) {
			t.Errorf("the history does not tell of %q: %s", word, drift)
		}
	}
	if shown := c.printed("node", "drift", id); !strings.HasPrefix(shown, "--- as it is to be\n") || !strings.Contains(shown, "+ BMC user backdoor") {
		t.Errorf("hagane node drift shows %q", shown)
	}
	if b, err := d.SecureBoot(ctx); err != nil || b.Enabled || b.Mode != "UserMode" {
		t.Errorf("secure boot is %+v, %v", b, err)
	}
	known := map[string]string{}
	for _, truth := range must[struct{ BMC struct{ Truths []node.Truth } }](c, c.admin, "GET", "operator", "/v1/nodes/"+id+"/bmc", nil).BMC.Truths {
		known[truth.Kind] = string(truth.Confidence) + " " + string(truth.Value)
	}
	for kind, word := range map[string]string{"booted from": `proven {"Device":"pxe","Persistent":false,"Mode":"uefi"}`, "identity": "agreed", "drift": "told", "firmware at the last cleaning": "told", "secure boot": "proven"} {
		if !strings.HasPrefix(known[kind], word) {
			t.Errorf("known of %s: %q, want %s", kind, known[kind], word)
		}
	}
	if log := c.history(id, "event log"); log == "" {
		t.Error("the event log was cleared and is nowhere")
	}
}

// lab opens a driver of a lab BMC's own, as a tenant or an attacker would.
func (c *testCloud) lab(n labclient.Node) *redfish.Driver {
	c.Helper()
	d, err := redfish.Open(c.Context(), bmc.Access{Address: n.BMC.Address, Username: n.BMC.Username, Password: n.BMC.Password, Insecure: true, Pace: bmc.LabPace, Memory: &bmc.Memory{}})
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { _ = d.Close(c.Context()) })
	return d.(*redfish.Driver)
}

// mess leaves something everywhere.
func (c *testCloud) mess(n labclient.Node, d *redfish.Driver) {
	c.Helper()
	ctx := c.Context()
	if _, err := d.Insert(ctx, bmc.CD, c.iso()); err != nil {
		c.Fatal(err)
	}
	order, err := d.BootOrder(ctx)
	if err != nil {
		c.Fatal(err)
	}
	slices.Reverse(order)
	for what, err := range map[string]error{
		"order": d.SetBootOrder(ctx, order),
		"user":  d.AddAccount(ctx, "backdoor", "Str0ng-Passw0rd", "Administrator"), "light": d.SetLight(ctx, bmc.LightOn),
		"boot": d.SetBoot(ctx, bmc.Boot{Device: bmc.CDROM}), "secure boot": d.SetSecureBoot(ctx, true), "keys": c.takeKeys(n), "setting": d.SetSettings(ctx, map[string]any{setting: byTenant}),
	} {
		if err != nil {
			c.Fatalf("%s: %v", what, err)
		}
	}
	task, err := d.Update(ctx, strings.Replace(c.iso(), "cd.iso", "bios-6.6.bin", 1), "BIOS")
	for err == nil && !task.Done {
		task, err = d.Follow(ctx, task.ID)
	}
	if err != nil {
		c.Fatal(err)
	}
	// Settings and firmware come into force at a boot.
	if err := d.SetPower(ctx, bmc.Reset); err != nil {
		c.Fatal(err)
	}
}

// takeKeys takes the keys of Secure Boot out, which the driver can not.
func (c *testCloud) takeKeys(n labclient.Node) error {
	c.Helper()
	req, err := http.NewRequestWithContext(c.Context(), http.MethodPost, n.BMC.Address+"/redfish/v1/Systems/1/SecureBoot/Actions/SecureBoot.ResetKeys", strings.NewReader(`{"ResetKeysType":"DeleteAllKeys"}`))
	if err != nil {
		return err
	}
	req.SetBasicAuth(n.BMC.Username, n.BMC.Password)
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		return err
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("the keys: %s", res.Status)
	}
	return cmp.Or(err, res.Body.Close())
}

// TestNoBootCallAfterADeployment sees that a Lenovo in UEFI mode is left to find its new disk, and that others are told.
func TestNoBootCallAfterADeployment(t *testing.T) {
	t.Parallel()
	c := startCloud(t, "")
	l := c.runRack(lab.Options{Nodes: 2, Machine: lab.Sim, DiskGB: 1, Mix: "uefi", Vendors: "lenovo-xcc,hpe-ilo5"})
	tenant := c.tenant("tenant")
	for _, n := range l.Nodes {
		c.ready(c.node(n.Name).UUID, "manage", "inspect", "provide")
	}
	g := c.ground(tenant)
	for i := range l.Nodes {
		s := must[serverDoc](c, tenant, "POST", "baremetal-server", "/servers", g.body(fmt.Sprint("s", i)))
		c.serverUntil(tenant, s.Server.ID, "ACTIVE")
	}
	for i, n := range l.Nodes {
		id := c.node(n.Name).UUID
		doc := must[struct {
			Exchanges []struct{ Method, Request string }
		}](c, c.admin, "GET", "operator", "/v1/nodes/"+id+"/trace", nil)
		calls := ""
		for _, e := range doc.Exchanges {
			if e.Method == "PATCH" && strings.Contains(e.Request, `"Boot"`) {
				calls += e.Request + "\n"
			}
		}
		if told := strings.Contains(calls, "Hdd") || strings.Contains(calls, "BootOrder"); !strings.Contains(calls, "Pxe") || told != (i == 1) {
			t.Errorf("%s: the boot calls were\n%s", n.Name, calls)
		}
	}
}

// history returns a node's events of a kind.
func (c *testCloud) history(id, kind string) string {
	c.Helper()
	doc := must[struct{ Events []struct{ Kind, Text string } }](c, c.admin, "GET", "operator", "/v1/nodes/"+id+"/events", nil)
	var out []string
	for _, e := range doc.Events {
		if e.Kind == kind {
			out = append(out, e.Text)
		}
	}
	return strings.Join(out, "\n")
}

// iso serves a CD and returns its URL.
func (c *testCloud) iso() string {
	data := make([]byte, 64<<10)
	copy(data[32<<10:], "\x01CD001\x01")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	c.Cleanup(s.Close)
	return s.URL + "/cd.iso"
}

// TestBaseline brings firmware, a BIOS setting and secure boot of a node to the baseline of its class.
func TestBaseline(t *testing.T) {
	t.Parallel()
	c := startCloudWith(t, serveOptions{roles: allRoles, pace: "lab"})
	n := c.runRack(lab.Options{Nodes: 1, Machine: lab.Sim, DiskGB: 1, Vendors: "dell-idrac9"}).Nodes[0]
	id := c.node(n.Name).UUID
	site, aims := strings.TrimSuffix(c.iso(), "cd.iso"), object{}
	for _, part := range []string{"BIOS", "NIC", "BMC"} {
		aims[part] = object{"version": "9.9", "url": site + strings.ToLower(part) + "-9.9.bin"}
	}
	want := object{"settings": object{setting: byTenant}, "firmware": aims, "secure_boot": "on"}
	must[any](c, c.admin, "PUT", "operator", "/v1/baselines/baremetal", want)
	if err := c.admin.Do(t.Context(), "PUT", "operator", "/v1/baselines/baremetal", object{"settings": object{}, "firmware": object{"BIOS": object{"version": "1"}}, "secure_boot": "maybe"}, nil); err == nil {
		t.Error("a baseline without sense was taken")
	}
	c.ready(id, "manage", "inspect")
	boots := c.boots(n)
	c.ready(id, "provide")
	d := c.lab(n)
	parts, err := d.Firmware(t.Context())
	if err != nil || len(parts) != len(aims) || slices.ContainsFunc(parts, func(p bmc.Component) bool { return p.Version != "9.9" }) {
		t.Errorf("firmware: %+v, %v", parts, err)
	}
	if boots := c.boots(n) - boots; boots != 1 {
		t.Errorf("the server was started %d times for all of it, want once", boots)
	}
	all, err := d.Settings(t.Context())
	if i := slices.IndexFunc(all, func(s bmc.Setting) bool { return s.Name == setting }); err != nil || i < 0 || all[i].Value != byTenant {
		t.Errorf("settings: %v", err)
	}
	if b, err := d.SecureBoot(t.Context()); err != nil || !b.Enabled {
		t.Errorf("secure boot: %+v, %v", b, err)
	}
	if err := c.admin.Do(t.Context(), "POST", "operator", "/v1/nodes/"+id+"/bmc-password", nil, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.lab(n).Power(t.Context()); bmc.ClassOf(err) != bmc.Credentials {
		t.Errorf("with the old password: %v", err)
	}
	if err := c.admin.Do(t.Context(), "PUT", "baremetal", "/v1/nodes/"+id+"/management/boot_device", object{"boot_device": "pxe"}, nil); err != nil {
		t.Errorf("with the new password: %v", err)
	}
	told := c.history(id, "firmware")
	for _, word := range []string{"updating BIOS", "updating NIC", "updating BMC", "to 9.9", "the BMC was restarted for its firmware 9.9", "the BMC's firmware is 9.9"} {
		if !strings.Contains(told, word) {
			t.Errorf("the history does not tell of %q: %s", word, told)
		}
	}
	if times := strings.Count(told, "updating "); times != len(aims) {
		t.Errorf("%d updates were begun, want %d: %s", times, len(aims), told)
	}
}

// TestFirmwareIsNotInterrupted has an operator update firmware, and give it up while it is written.
func TestFirmwareIsNotInterrupted(t *testing.T) {
	t.Parallel()
	c := startCloud(t, "")
	n := c.runRack(lab.Options{Nodes: 1, Machine: lab.Sim, DiskGB: 1, Vendors: "dell-idrac9"}).Nodes[0]
	id := c.node(n.Name).UUID
	c.ready(id, "manage")
	provision := func(body object) error {
		return c.admin.Do(t.Context(), "PUT", "baremetal", "/v1/nodes/"+id+"/states/provision", body, nil)
	}
	image := strings.Replace(c.iso(), "cd.iso", "bios-9.9.bin", 1)
	if err := provision(object{"target": "clean", "clean_steps": []object{{"interface": "firmware", "step": "update",
		"args": object{"settings": []object{{"component": "BIOS", "url": image, "version": "9.9"}}}}}}); err != nil {
		t.Fatal(err)
	}
	c.until(30*time.Second, "the update to be written", func() bool { return strings.Contains(c.printed("why", id), "must not be interrupted") })
	if err := provision(object{"target": "abort"}); err == nil || !strings.Contains(err.Error(), "must not be interrupted now (the update of BIOS firmware") {
		t.Errorf("an abort meanwhile: %v", err)
	}
	c.nodeUntil(id, "manageable")
	if told := c.history(id, "firmware"); !strings.Contains(told, "BIOS firmware is lab-1.0 until the server's next boot, which has to bring 9.9") {
		t.Errorf("the history tells %q", told)
	}
}

// boots returns how often a machine of the lab was started.
func (c *testCloud) boots(n labclient.Node) int {
	c.Helper()
	at := labclient.New(c.data)
	defer at.Close()
	m, err := at.Machine(c.Context(), n.Name)
	if err != nil {
		c.Fatal(err)
	}
	return m.Boots
}
