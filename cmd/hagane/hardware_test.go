package main

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/client"
	"github.com/hagane-cloud/hagane/fault"
)

// serverHardware is what a server's document tells of its hardware.
type serverHardware struct {
	Server struct {
		Power   string `json:"OS-EXT-STS:power_state"`
		Task    string `json:"OS-EXT-STS:task_state"`
		Chassis object `json:"chassis-status"`
		Media   []struct {
			Image struct{ ID string }
		} `json:"media_attachments"`
	}
}

// TestTenantWorksWithHardware uses every action of ECL2.0's dialect on the hardware of a server.
func TestTenantWorksWithHardware(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		c := startCloud(t, dsn)
		node := c.fakeNode("n1", "02:00:00:00:00:01")
		tenant, other := c.tenant("tenant"), c.tenant("other")
		g := c.ground(tenant)
		s := must[serverDoc](c, tenant, "POST", "baremetal-server", "/servers", g.body("mine"))
		c.serverUntil(tenant, s.Server.ID, "ACTIVE")
		path := "/servers/" + s.Server.ID
		show := func() serverHardware { return must[serverHardware](c, tenant, "GET", "baremetal-server", path, nil) }
		act := func(verb string, how any) error {
			return tenant.Do(t.Context(), "POST", "baremetal-server", path+"/action", object{verb: how}, nil)
		}
		rested := func() {
			t.Helper()
			c.until(30*time.Second, "the server to be at rest", func() bool {
				live := must[struct{ Runs []struct{ Ended any } }](c, c.admin, "GET", "operator", "/v1/nodes/"+node+"/runs", nil)
				return show().Server.Task == "None" && !slices.ContainsFunc(live.Runs, func(r struct{ Ended any }) bool { return r.Ended == nil })
			})
		}
		good := func(verb string, how any) {
			t.Helper()
			if err := act(verb, how); err != nil {
				t.Fatalf("%s %v: %v", verb, how, err)
			}
			rested()
		}
		refused := func(kind fault.Kind, verb string, how any) {
			t.Helper()
			if err := act(verb, how); !fault.Is(err, kind) {
				t.Errorf("%s %v: %v, want %s", verb, how, err, kind)
			}
		}
		boot := func() (b struct {
			Device     string `json:"boot_device"`
			Persistent bool
		}) {
			return must[struct {
				Device     string `json:"boot_device"`
				Persistent bool
			}](c, c.admin, "GET", "baremetal", "/v1/nodes/"+node+"/management/boot_device", nil)
		}

		good("boot_mode", object{"type": "HARD", "boot_mode": "PXE"})
		if b := boot(); b.Device != "pxe" || b.Persistent {
			t.Errorf("after PXE: %+v", b)
		}
		good("boot_mode", object{"type": "SOFT", "boot_mode": "LEGACY"})
		good("boot_mode", object{"type": "HARD", "boot_mode": "DISK"})
		if b := boot(); b.Device != "disk" || !b.Persistent {
			t.Errorf("after DISK: %+v", b)
		}
		refused(fault.Invalid, "boot_mode", object{"type": "HARD", "boot_mode": "FLOPPY"})
		refused(fault.Invalid, "boot_mode", object{"boot_mode": "PXE"})
		refused(fault.Conflict, "boot_mode", object{"type": "HARD", "boot_mode": "ISO"}) // nothing is attached
		good("reboot", object{"type": "SOFT"})

		iso := must[struct{ ID string }](c, tenant, "POST", "image", "/v2/images", object{"name": "iso", "disk_format": "iso", "container_format": "bare"})
		must[any](c, tenant, "PUT", "image", "/v2/images/"+iso.ID+"/file", bootable())
		refused(fault.NotFound, "media-attach", object{"imageRef": "00000000-0000-0000-0000-000000000000"})
		wantStatus(t, act("media-attach", object{"imageRef": g.image}), "415")
		good("media-attach", object{"imageRef": iso.ID})
		if m := show().Server.Media; len(m) != 1 || m[0].Image.ID != iso.ID {
			t.Fatalf("attached: %+v", m)
		}
		url := c.insertedURL(node)
		if res, err := http.Get(url); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("the BMC gets %v, %v", res, err)
		} else if data, err := io.ReadAll(res.Body); err != nil || len(data) == 0 {
			t.Errorf("the image has %d bytes, %v", len(data), err)
		} else {
			_ = res.Body.Close()
		}
		refused(fault.Conflict, "media-attach", object{"imageRef": iso.ID})
		good("boot_mode", object{"type": "HARD", "boot_mode": "ISO"})
		refused(fault.NotFound, "media-detach", object{"imageRef": g.image})
		good("media-detach", object{"imageRef": iso.ID})
		if m := show().Server.Media; len(m) != 0 {
			t.Errorf("after detaching: %+v", m)
		}
		if res, err := http.Get(url); err != nil || res.StatusCode != http.StatusNotFound {
			t.Errorf("the URL is good for %v, %v after the detachment", res, err)
		}

		good("bmc-reset", object{"type": "WARM"})
		refused(fault.Invalid, "bmc-reset", object{"type": "LUKEWARM"})
		var console struct{ Console map[string]string }
		if err := tenant.Do(t.Context(), "POST", "baremetal-server", path+"/action", object{"os-getManagementConsole": nil}, &console); err != nil ||
			console.Console["user_id"] != "tenant" || len(console.Console["password"]) < 12 || console.Console["type"] != "IPMI" {
			t.Errorf("console: %v, %v", console, err)
		}
		c.uefi(tenant, path, rested)
		if st := show().Server; st.Chassis["cpu"] != true || st.Chassis["disk"] != 0.0 || st.Power != "RUNNING" {
			t.Errorf("%+v", st)
		}
		if err := other.Do(t.Context(), "GET", "baremetal-server", path+"/uefi", nil, nil); !fault.Is(err, fault.NotFound) {
			t.Errorf("another tenant's settings: %v", err)
		}
	})
}

func wantStatus(t *testing.T, err error, status string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), status) {
		t.Errorf("got %v, want an answer %s", err, status)
	}
}

// insertedURL returns what the operator sees in the node's virtual drive.
func (c *testCloud) insertedURL(node string) string {
	c.Helper()
	m := must[struct {
		Truth struct {
			Value []struct{ Image string }
		}
	}](c, c.admin, "GET", "operator", "/v1/nodes/"+node+"/bmc/media", nil)
	if len(m.Truth.Value) != 1 {
		c.Fatalf("media: %+v", m)
	}
	return m.Truth.Value[0].Image
}

// uefi reads and changes a server's UEFI settings.
func (c *testCloud) uefi(tenant *client.Cloud, path string, rested func()) {
	c.Helper()
	type doc struct {
		UEFI struct {
			Status, Message string
			Setting         map[string]struct {
				Value     string
				Type      string
				Selection []string
			}
		}
	}
	before := must[doc](c, tenant, "GET", "baremetal-server", path+"/uefi", nil)
	if s := before.UEFI.Setting["LogicalProc"]; s.Value != "Enabled" || s.Type != "enum" || len(s.Selection) != 2 {
		c.Errorf("%+v", before)
	}
	if _, shown := before.UEFI.Setting["SystemModelName"]; shown {
		c.Error("a setting that can not be chosen is shown")
	}
	set := func(name, value string) error {
		return tenant.Do(c.Context(), "PUT", "baremetal-server", path+"/uefi", object{"uefi": object{"setting": object{name: object{"value": value}}}}, nil)
	}
	for name, value := range map[string]string{"LogicalProc": "Maybe", "NoSuch": "x"} {
		if err := set(name, value); !fault.Is(err, fault.Invalid) {
			c.Errorf("%s=%s: %v", name, value, err)
		}
	}
	if err := set("LogicalProc", "Disabled"); err != nil {
		c.Fatal(err)
	}
	rested()
	after := must[doc](c, tenant, "GET", "baremetal-server", path+"/uefi", nil)
	if after.UEFI.Status != "SUCCESS" || after.UEFI.Setting["LogicalProc"].Value != "Disabled" {
		c.Errorf("%+v", after)
	}
}

// TestOperatorWorksWithHardware uses Ironic's dialect and the operator's own on a node's hardware.
func TestOperatorWorksWithHardware(t *testing.T) {
	c := startCloud(t, "")
	node := c.fakeNode("n1", "02:00:00:00:00:01")
	path := "/v1/nodes/" + node
	get := func(at string, into any) {
		t.Helper()
		if err := c.admin.Do(t.Context(), "GET", "baremetal", path+at, nil, into); err != nil {
			t.Fatalf("%s: %v", at, err)
		}
	}
	put := func(verb, at string, body any) {
		t.Helper()
		if err := c.admin.Do(t.Context(), verb, "baremetal", path+at, body, nil); err != nil {
			t.Fatalf("%s %s: %v", verb, at, err)
		}
	}
	var bios struct{ Bios []struct{ Name string } }
	get("/bios?detail=true", &bios)
	var one map[string]struct {
		Kind string `json:"attribute_type"`
	}
	get("/bios/LogicalProc", &one)
	if len(bios.Bios) != 4 || one["LogicalProc"].Kind != "Enumeration" {
		t.Errorf("%+v, %+v", bios, one)
	}
	put("PUT", "/management/indicators/chassis/led", object{"state": "BLINKING"})
	var led struct{ State string }
	if get("/management/indicators/chassis/led", &led); led.State != "BLINKING" {
		t.Errorf("the LED is %s", led.State)
	}
	put("PUT", "/management/inject_nmi", object{})
	var firmware struct {
		Firmware []struct {
			Version string `json:"current_version"`
		}
	}
	if get("/firmware", &firmware); len(firmware.Firmware) != 1 || firmware.Firmware[0].Version != "1.0" {
		t.Errorf("%+v", firmware)
	}
	put("POST", "/vmedia", object{"device_type": "cdrom", "image_url": "http://127.0.0.1/x.iso"})
	c.until(10*time.Second, "the medium to be in", func() bool {
		var m struct {
			Truth *struct{ Value []struct{ Inserted bool } }
		}
		err := c.admin.Do(t.Context(), "GET", "operator", path+"/bmc/media", nil, &m)
		return err == nil && m.Truth != nil && len(m.Truth.Value) == 1 && m.Truth.Value[0].Inserted
	})
	var all struct {
		BMC struct {
			Identity object
			Truths   []struct{ Kind, Evidence, Confidence string }
		}
	}
	if err := c.admin.Do(t.Context(), "GET", "operator", path+"/bmc", nil, &all); err != nil || len(all.BMC.Truths) < 4 {
		t.Errorf("%+v, %v", all, err)
	}
	if err := c.admin.Do(t.Context(), "PUT", "operator", "/v1/baselines/baremetal", object{"settings": object{"LogicalProc": "Disabled"}, "firmware": object{}, "secure_boot": ""}, nil); err != nil {
		t.Error(err)
	}
	if err := c.admin.Do(t.Context(), "POST", "operator", path+"/bmc", object{"do": "fly"}, nil); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "insert media") {
		t.Errorf("an unknown deed: %v", err)
	}
}
