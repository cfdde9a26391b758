package redfish

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/lab/bmcsim"
	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
	"github.com/hagane-cloud/hagane/lab/machine"
)

// until polls until ok.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// must sends a request that has to work.
func (c client) must(method, path, body string) http.Header {
	c.t.Helper()
	status, id, header := c.do(method, path, body, nil)
	if status >= 300 {
		c.t.Errorf("%s %s: %d %s", method, path, status, id)
	}
	return header
}

func (c client) press(kind string) {
	c.t.Helper()
	c.must("POST", c.b.SystemPath()+"/Actions/ComputerSystem.Reset", `{"ResetType":"`+kind+`"}`)
}

func attributesOf(doc map[string]any) map[string]any {
	a, _ := doc["Attributes"].(map[string]any)
	return a
}

// TestSettingsComeIntoForceAtTheNextBoot changes BIOS settings and the boot mode by them.
func TestSettingsComeIntoForceAtTheNextBoot(t *testing.T) {
	b, m := serve(t, named(t, "generic"))
	at, bios := newClient(t, b), b.SystemPath()+"/Bios"
	for body, want := range map[string]int{
		`{"Attributes":{"ProcCores":65}}`: 400, `{"Attributes":{"ProcCores":1.5}}`: 400, `{"Attributes":{"SystemBiosVersion":"9"}}`: 400,
		`{"Attributes":{"MemOpMode":"Fast"}}`: 400, `{"Attributes":{"NumLock":"On"}}`: 400, `{"Attributes":{"Nope":1}}`: 400, `{}`: 400,
	} {
		if status, _, _ := at.do("PATCH", bios+"/Settings", body, nil); status != want {
			t.Errorf("%s: %d", body, status)
		}
	}
	at.must("PATCH", bios+"/Settings", `{"Attributes":{"ProcCores":8,"BootMode":"LegacyBios","NumLock":true}}`)
	if now, next := attributesOf(at.get(bios)), attributesOf(at.get(bios+"/Settings")); now["ProcCores"] != 0.0 || next["ProcCores"] != 8.0 || len(next) != 2 {
		t.Errorf("now %v, pending %v", now["ProcCores"], next)
	}
	at.press("On")
	if now, next := attributesOf(at.get(bios)), attributesOf(at.get(bios+"/Settings")); now["ProcCores"] != 8.0 || now["BootMode"] != "LegacyBios" || len(next) != 0 || m.Status().Mode != machine.BIOS {
		t.Errorf("now %v, pending %v, mode %s", now["ProcCores"], next, m.Status().Mode)
	}
	at.must("POST", bios+"/Actions/Bios.ResetBios", "{}")
	at.press("ForceRestart")
	if now := attributesOf(at.get(bios)); now["ProcCores"] != 0.0 {
		t.Errorf("after the reset: %v", now["ProcCores"])
	}
}

// TestDellNeedsAJob shows settings too early, and does not bring them into force without a job.
func TestDellNeedsAJob(t *testing.T) {
	b, _ := serve(t, named(t, "dell-idrac9"))
	at, bios := newClient(t, b), b.SystemPath()+"/Bios"
	at.must("PATCH", bios+"/Settings", `{"Attributes":{"LogicalProc":"Disabled"}}`)
	if attributesOf(at.get(bios))["LogicalProc"] != "Disabled" {
		t.Error("the BIOS shows the old value")
	}
	at.press("On")
	if len(attributesOf(at.get(bios+"/Settings"))) != 1 {
		t.Error("it came into force without a job")
	}
	jobs := root + "/" + b.manager() + "/Jobs"
	job := at.must("POST", jobs, `{"TargetSettingsURI":"`+bios+`/Settings"}`).Get("Location")
	if status, _, _ := at.do("GET", job, "", nil); status != 404 {
		t.Errorf("a job just made: %d", status)
	}
	if state := at.get(job)["JobState"]; state != "Scheduled" {
		t.Errorf("the job is %v", state)
	}
	at.press("ForceRestart")
	if state := at.get(job)["JobState"]; state != "Completed" || len(attributesOf(at.get(bios+"/Settings"))) != 0 {
		t.Errorf("the job is %v", state)
	}
}

// TestUpdate follows an update to the version that it brings.
func TestUpdate(t *testing.T) {
	files := httptest.NewServer(http.FileServerFS(os.DirFS(t.TempDir())))
	defer files.Close()
	image := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("firmware")) }))
	defer image.Close()
	for _, try := range []struct{ kind, component, state string }{
		{"generic", "BIOS", "Completed"}, {"hpe-ilo5", "BMC", "Completed"}, {"lenovo-xcc", "NIC", "Completed"}, {"dell-idrac9", "BIOS", "Completed"},
	} {
		b, _ := serve(t, named(t, try.kind))
		at := newClient(t, b)
		where := at.must("POST", root+"/UpdateService/Actions/UpdateService.SimpleUpdate", fmt.Sprintf(`{"ImageURI":"%s/%s-4.5.6.bin"}`, image.URL, try.component)).Get("Location")
		id := where[strings.LastIndexByte(where, '/')+1:]
		seen := ""
		until(t, try.kind+" to complete", func() bool {
			doc := at.get(root + "/TaskService/Tasks/" + id)
			if s, _ := doc["TaskState"].(string); s != "" {
				seen = s
			}
			return seen == try.state
		})
		monitor, _, _ := at.do("GET", where, "", nil)
		if want := map[string]int{"hpe-ilo5": 404}[try.kind]; want != 0 && monitor != want {
			t.Errorf("%s: the monitor answers %d", try.kind, monitor)
		}
		if status, _, _ := at.do("GET", root+"/TaskService/Tasks/"+id, "", nil); (status == 404) != (try.kind == "lenovo-xcc") {
			t.Errorf("%s: after its monitor was read the task answers %d", try.kind, status)
		}
		version := func() any { return at.get(root + "/UpdateService/FirmwareInventory/" + try.component)["Version"] }
		if try.component == "BMC" {
			if version() == "4.5.6" {
				t.Error("a BMC's firmware is in force without a restart")
			}
			at.must("POST", root+"/"+b.manager()+"/Actions/Manager.Reset", `{"ResetType":"GracefulRestart"}`)
			until(t, "the BMC to come back", func() bool { return !b.faults.Away() })
		}
		if version() != "4.5.6" {
			t.Errorf("%s: the version is %v", try.kind, version())
		}
		bad := at.must("POST", root+"/UpdateService/Actions/UpdateService.SimpleUpdate", fmt.Sprintf(`{"ImageURI":"%s/no-1.2.bin"}`, files.URL)).Get("Location")
		until(t, try.kind+" to fail", func() bool {
			return at.get(root + "/TaskService/Tasks/" + bad[strings.LastIndexByte(bad, '/')+1:])["TaskState"] == "Exception"
		})
	}
}

// TestCompletedAndCritical says that an update is complete which has changed nothing, and does not say where its task is.
func TestCompletedAndCritical(t *testing.T) {
	image := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("firmware")) }))
	defer image.Close()
	b, _ := serve(t, named(t, "odd-tasks"))
	at := newClient(t, b)
	if where := at.must("POST", root+"/UpdateService/Actions/UpdateService.SimpleUpdate", `{"ImageURI":"`+image.URL+`/nic-9.9.bin"}`).Get("Location"); where != "" {
		t.Errorf("it tells %s", where)
	}
	task := root + "/TaskService/Tasks/1"
	if state := at.get(task)["TaskState"]; state != "New" {
		t.Errorf("it begins as %v", state)
	}
	until(t, "the task to end", func() bool { return at.get(task)["TaskState"] == "Completed" })
	if doc := at.get(task); doc["TaskStatus"] != "Critical" || at.get(root + "/UpdateService/FirmwareInventory/NIC")["Version"] == "9.9" {
		t.Errorf("%v", doc)
	}
}

// TestRestart is away for a while, and forgets sessions alone.
func TestRestart(t *testing.T) {
	b, m := serve(t, named(t, "generic"))
	at := newClient(t, b)
	at.press("On")
	at.must("POST", root+"/SessionService/Sessions", `{"UserName":"admin","Password":"`+password+`"}`)
	at.must("POST", root+"/Managers/1/Actions/Manager.Reset", `{"ResetType":"ForceRestart"}`)
	if _, err := at.http.Get(b.Address() + root); err == nil {
		t.Error("it answers while it restarts")
	}
	until(t, "the BMC to come back", func() bool { return !b.faults.Away() })
	if len(b.Sessions()) != 0 || at.get(b.SystemPath())["PowerState"] != "On" || m.Status().Boots != 1 {
		t.Errorf("sessions %v, %+v", b.Sessions(), m.Status())
	}
}

// TestMediaLinger shows what an iDRAC and a Supermicro say after an eject, and what the machine has.
func TestMediaLinger(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.iso"), make([]byte, 64<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	files := httptest.NewServer(http.FileServerFS(os.DirFS(dir)))
	defer files.Close()
	b, m := serve(t, named(t, "dell-idrac9"))
	at, slot := newClient(t, b), root+"/"+b.manager()+"/VirtualMedia/CD"
	insert, eject := slot+"/Actions/VirtualMedia.InsertMedia", slot+"/Actions/VirtualMedia.EjectMedia"
	if status, _, _ := at.do("POST", insert, `{"Image":"`+files.URL+`/none.iso"}`, nil); status != 400 {
		t.Errorf("an image that is not there: %d", status)
	}
	at.must("POST", insert, `{"Image":"`+files.URL+`/x.iso"}`)
	if m.Status().Medium != files.URL+"/x.iso" {
		t.Error("the machine has no CD")
	}
	at.must("POST", eject, "{}")
	if at.get(slot)["Inserted"] != true || m.Status().Medium != "" {
		t.Error("the slot is free at once")
	}
	if status, _, _ := at.do("POST", insert, `{"Image":"`+files.URL+`/x.iso"}`, nil); status != 500 {
		t.Errorf("an insert at once: %d", status)
	}
	until(t, "the slot to be free", func() bool { return at.get(slot)["Inserted"] == false })
	at.must("PATCH", b.SystemPath(), `{"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"Cd"}}`)
	if m.Status().Boot.Device != machine.None {
		t.Error("Cd boots the virtual drive")
	}
	at.must("PATCH", root+"/"+b.manager()+"/Attributes", `{"Attributes":{"ServerBoot.1.FirstBootDevice":"VCD-DVD","ServerBoot.1.BootOnce":"Enabled"}}`)
	if got := m.Status().Boot; got.Device != machine.CDROM || got.Persistent {
		t.Errorf("%+v", got)
	}
	smc, _ := serve(t, named(t, "supermicro-x13"))
	at, slot = newClient(t, smc), root+"/Managers/1/VirtualMedia/VirtualMedia1"
	at.must("POST", slot+"/Actions/VirtualMedia.InsertMedia", `{"Image":"`+files.URL+`/x.iso"}`)
	at.must("POST", slot+"/Actions/VirtualMedia.EjectMedia", `{}`)
	if doc := at.get(slot); doc["Inserted"] != false || doc["ImageName"] != "x.iso" {
		t.Errorf("%v", doc)
	}
}

// TestNothingHappens drives the kinds that accept a boot device and do not mean it.
func TestNothingHappens(t *testing.T) {
	for kind, shown := range map[string]string{"supermicro-as1015": "Disabled", "supermicro-x12": "Once"} {
		b, m := serve(t, named(t, kind))
		at := newClient(t, b)
		at.must("PATCH", b.SystemPath(), `{"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"Pxe","BootSourceOverrideMode":"UEFI"}}`)
		boot, _ := at.get(b.SystemPath())["Boot"].(map[string]any)
		if boot["BootSourceOverrideEnabled"] != shown || m.Status().Boot.Device != machine.None {
			t.Errorf("%s: %v, %+v", kind, boot, m.Status().Boot)
		}
	}
}

// TestFaults plays those effects that the simulator has to know.
func TestFaults(t *testing.T) {
	play := func(script string) (client, *BMC, interface{ Status() machine.Status }) {
		s, err := inject.Parse("test", script)
		if err != nil {
			t.Fatal(err)
		}
		e := inject.NewEngine(s, 1, slog.New(slog.DiscardHandler))
		t.Cleanup(e.Close)
		b, m := serve(t, named(t, "generic"), func(c *bmcsim.Config) { c.Faults = e })
		return newClient(t, b), b, m
	}
	at, b, m := play("redfish POST *Reset => nothing\nredfish PATCH * => nothing")
	at.press("On")
	at.must("PATCH", b.SystemPath(), once)
	if m.Status().On || m.Status().Boot.Device != machine.None {
		t.Error("something happened")
	}
	at, b, m = play("redfish POST *Reset => revert 100ms\nredfish PATCH * => revert 100ms")
	at.must("PATCH", b.SystemPath(), once)
	until(t, "the boot device to go back", func() bool { return m.Status().Boot.Device == machine.None })
	at.press("On")
	until(t, "the power to go back", func() bool { return !m.Status().On && m.Status().Boots == 1 })
	at, b, m = play("redfish GET *Systems/1 => power on, health Critical")
	if doc := at.get(b.SystemPath()); doc["PowerState"] != "On" || doc["Status"].(map[string]any)["Health"] != "Critical" || m.Status().On {
		t.Errorf("%v", doc["Status"])
	}
	at, b, _ = play("redfish GET *Systems/1 => stale 1h")
	at.get(b.SystemPath())
	at.press("On")
	if at.get(b.SystemPath())["PowerState"] != "Off" {
		t.Error("a fresh answer")
	}
	at, _, _ = play("redfish POST *Sessions => sessions\nredfish GET *Entries => lose events\nredfish POST *Reset => code Base.1.8.ServiceTemporarilyUnavailable")
	if status, _, _ := at.do("POST", root+"/SessionService/Sessions", `{"UserName":"admin","Password":"`+password+`"}`, nil); status != 503 {
		t.Errorf("a session: %d", status)
	}
	if doc := at.get(root + "/Managers/1/LogServices/SEL/Entries"); len(doc["Members"].([]any)) != 0 {
		t.Error("there are events")
	}
	if status, id, _ := at.do("POST", b.SystemPath()+"/Actions/ComputerSystem.Reset", `{"ResetType":"On"}`, nil); status != 400 || id != "ServiceTemporarilyUnavailable" {
		t.Errorf("%d %s", status, id)
	}
}

// TestFujitsuOwnWay sets boot device, medium and power by the actions that iRMCs have of their own.
func TestFujitsuOwnWay(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.iso"), make([]byte, 64<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	files := httptest.NewServer(http.FileServerFS(os.DirFS(dir)))
	defer files.Close()
	b, m := serve(t, named(t, "fujitsu-irmc-s5"))
	at, own := newClient(t, b), b.SystemPath()+"/Oem/ts_fujitsu"
	patch := func(path, body string) {
		t.Helper()
		if status, id, _ := at.do("PATCH", path, body, func(r *http.Request) { r.Header.Set("If-Match", at.tag(path, "body")) }); status != 200 {
			t.Errorf("%s: %d %s", path, status, id)
		}
	}
	patch(own+"/BootConfig", `{"BootDevice":"Cd","NextBootOnlyEnabled":true,"BootType":"UEFI"}`)
	if got := m.Status().Boot; got.Device != machine.CDROM || got.Persistent {
		t.Errorf("%+v", got)
	}
	host := strings.TrimPrefix(files.URL, "http://")
	patch(own+"/VirtualMedia", `{"CDImage":{"ServerName":"`+host+`","ShareName":"/","ImageName":"x.iso"}}`)
	action := b.SystemPath() + "/Actions/Oem/FTSComputerSystem."
	at.must("POST", action+"VirtualMedia", `{"FTSVirtualMediaAction":"ConnectCD"}`)
	if m.Status().Medium != files.URL+"/x.iso" {
		t.Errorf("the machine has %q", m.Status().Medium)
	}
	at.must("POST", action+"VirtualMedia", `{"FTSVirtualMediaAction":"DisconnectCD"}`)
	at.must("POST", action+"Reset", `{"FTSResetType":"PowerOn"}`)
	if m.Status().Medium != "" || !m.Status().On {
		t.Errorf("%+v", m.Status())
	}
	if status, _, _ := at.do("POST", action+"Reset", `{"FTSResetType":"PowerOn"}`, nil); status != 400 {
		t.Errorf("what the list does not allow now: %d", status)
	}
}

// TestSmallThings are the identify LED, the NMI, secure boot, logs and accounts.
func TestSmallThings(t *testing.T) {
	b, _ := serve(t, named(t, "generic"))
	at := newClient(t, b)
	at.must("PATCH", b.SystemPath(), `{"LocationIndicatorActive":true}`)
	if doc := at.get(root + "/Chassis/1"); doc["LocationIndicatorActive"] != true || doc["IndicatorLED"] != "Blinking" {
		t.Errorf("%v %v", doc["LocationIndicatorActive"], doc["IndicatorLED"])
	}
	if status, _, _ := at.do("POST", b.SystemPath()+"/Actions/ComputerSystem.Reset", `{"ResetType":"Nmi"}`, nil); status != 409 || b.Interrupts() != 0 {
		t.Errorf("an NMI while off: %d", status)
	}
	at.must("PATCH", b.SystemPath()+"/SecureBoot", `{"SecureBootEnable":true}`)
	at.must("POST", b.SystemPath()+"/SecureBoot/Actions/SecureBoot.ResetKeys", `{"ResetKeysType":"DeleteAllKeys"}`)
	if doc := at.get(b.SystemPath() + "/SecureBoot"); doc["SecureBootEnable"] != true || doc["SecureBootCurrentBoot"] != "Disabled" || doc["SecureBootMode"] != "SetupMode" {
		t.Errorf("%v", doc)
	}
	at.press("On")
	at.press("Nmi")
	if doc := at.get(b.SystemPath() + "/SecureBoot"); doc["SecureBootCurrentBoot"] != "Enabled" || b.Interrupts() != 1 {
		t.Errorf("%v, %d interrupts", doc, b.Interrupts())
	}
	log := root + "/Managers/1/LogServices/SEL"
	if n := len(at.get(log + "/Entries")["Members"].([]any)); n != 5 {
		t.Errorf("%d events", n)
	}
	at.must("POST", log+"/Actions/LogService.ClearLog", "{}")
	if n := len(at.get(log + "/Entries")["Members"].([]any)); n != 0 {
		t.Errorf("%d events are left", n)
	}
	where := at.must("POST", root+"/AccountService/Accounts", `{"UserName":"eve","Password":"p4ssw0rd!","RoleId":"Operator"}`).Get("Location")
	asEve := func(r *http.Request) { r.SetBasicAuth("eve", "p4ssw0rd!") }
	if status, _, _ := at.do("GET", b.SystemPath(), "", asEve); status != 200 {
		t.Errorf("the new account: %d", status)
	}
	if status, _, _ := at.do("POST", root+"/AccountService/Accounts", `{"UserName":"eve","Password":"p4ssw0rd!"}`, nil); status != 409 {
		t.Errorf("the same again: %d", status)
	}
	at.must("DELETE", where, "")
	if status, _, _ := at.do("GET", b.SystemPath(), "", asEve); status != 401 {
		t.Errorf("the account that is gone: %d", status)
	}
}
