package redfish_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/profile"
	"github.com/hagane-cloud/hagane/bmc/record"
	"github.com/hagane-cloud/hagane/bmc/redfish"
	"github.com/hagane-cloud/hagane/lab/bmcsim"
	bmcsimredfish "github.com/hagane-cloud/hagane/lab/bmcsim/redfish"
)

// captures is where trees that were read off real BMCs may lie.
const captures = "../../../shared/bmc/captures"

// captured is a tree and what the driver has to find in it.
type captured struct {
	name, profile string
	maker         string // the beginning
	firmware      int    // components, at least
	sensors, nics int    // at least
	medium        bool   // has drives for CDs
	mirror        bool   // shows them at the system too, where the lab's captures stand still
	setting       string // to be changed
	value         any
	lacks         []bmc.Capability
}

// TestCapturedTrees drives documents of real BMCs: everything must be found in them, and nothing may be garbled.
func TestCapturedTrees(t *testing.T) {
	for _, c := range []captured{
		{name: "dell", profile: "dell-idrac9", maker: "Dell", firmware: 10, sensors: 10, nics: 2, medium: true, setting: "LogicalProc", value: "Disabled"},
		{name: "hpe", profile: "hpe-ilo5", maker: "HPE", firmware: 10, sensors: 10, nics: 1, medium: true, setting: "BootMode", value: "LegacyBios"},
		{name: "lenovo", profile: "lenovo-xcc", maker: "Lenovo", firmware: 5, sensors: 10, nics: 1, mirror: true, setting: "BootModes_SystemBootMode", value: "LegacyMode"},
		{name: "supermicro", profile: "supermicro", maker: "Supermicro", firmware: 2, sensors: 5, nics: 1, medium: true},
		{name: "nvidia_viking", profile: "nvidia-dgx", maker: "NVIDIA", firmware: 10, sensors: 10, nics: 1, lacks: []bmc.Capability{bmc.CanMedia, bmc.CanInterrupt}},
		{name: "nvidia_gh200", profile: "openbmc", firmware: 2, sensors: 5, medium: true, lacks: []bmc.Capability{bmc.CanBootMode, bmc.CanInterrupt, bmc.CanNICs}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, m, j := c.open(t)
			c.inventory(t, d)
			c.power(t, d, m)
			c.boot(t, d)
			c.media(t, d)
			c.settings(t, d)
			for _, note := range j.Take() {
				t.Log(note)
			}
		})
	}
}

// open serves the tree for a machine that is off.
func (c captured) open(t *testing.T) (*redfish.Driver, *bmc.Memory, *bmc.Journal) {
	t.Helper()
	file := filepath.Join(captures, c.name+".tar.xz")
	if _, err := os.Stat(file); err != nil {
		t.Skipf("the captured tree %s is not there: %v", file, err)
	}
	tree, err := bmcsimredfish.OpenCapture(file)
	if err != nil {
		t.Fatal(err)
	}
	b := serveWith(t, simulatedMachine(t), func(conf bmcsim.Config) (*bmcsimredfish.BMC, error) { return bmcsimredfish.ListenCapture(conf, tree) })
	book, err := profile.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	m, j, r := &bmc.Memory{}, &bmc.Journal{}, record.NewWhole()
	opened, err := redfish.Opener(book)(t.Context(), bmc.Access{Driver: "redfish", Address: b.Address(), Username: "admin", Password: "s3cretpassword16", Insecure: true, Pace: quick, Memory: m, Journal: j, Recorder: r})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = opened.Close(t.Context())
		for _, x := range r.Exchanges() {
			if x.Status >= http.StatusInternalServerError {
				t.Errorf("%s %s: %d", x.Method, x.Path, x.Status)
			}
		}
	})
	return opened.(*redfish.Driver), m, j
}

func (c captured) inventory(t *testing.T, d *redfish.Driver) {
	t.Helper()
	id, err := d.Identify(t.Context())
	if err != nil || !strings.HasPrefix(id.Manufacturer, c.maker) || id.BMCVersion == "" || id.UUID == "" {
		t.Fatalf("identity %+v, %v", id, err)
	}
	offers, err := d.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range offers {
		if o.Works == slices.Contains(c.lacks, o.Capability) {
			t.Errorf("%s: works %v, %s", o.Capability, o.Works, o.Evidence)
		}
	}
	sensors, err := d.Sensors(t.Context())
	if err != nil || len(sensors) < c.sensors {
		t.Errorf("%d sensors, %v", len(sensors), err)
	}
	firmware, err := d.Firmware(t.Context())
	if err != nil || len(firmware) < c.firmware {
		t.Errorf("%d components, %v", len(firmware), err)
	}
	nics, err := d.NICs(t.Context())
	if err != nil || len(nics) < c.nics {
		t.Errorf("%d interfaces, %v", len(nics), err)
	}
	if h, err := d.Health(t.Context()); err != nil || h.Word == "" {
		t.Errorf("health %+v, %v", h, err)
	}
	events, err := d.Events(t.Context(), 50)
	if err != nil && bmc.ClassOf(err) != bmc.Unsupported {
		t.Errorf("events: %v", err)
	}
	t.Logf("%s %s, BMC %s %s: %d sensors, %d components, %d interfaces, %d events", id.Manufacturer, id.Model, id.BMCVendor, id.BMCVersion, len(sensors), len(firmware), len(nics), len(events))
}

func (c captured) power(t *testing.T, d *redfish.Driver, m *bmc.Memory) {
	t.Helper()
	if m.Get("profile") != c.profile {
		t.Errorf("the profile %q was found, want %q", m.Get("profile"), c.profile)
	}
	if p, err := d.Power(t.Context()); err != nil || p != bmc.Off {
		t.Errorf("power %s, %v", p, err)
	}
	if err := d.SetPower(t.Context(), bmc.PowerOn); err != nil {
		t.Errorf("power on: %v", err)
	}
	if p, err := d.Power(t.Context()); err != nil || p != bmc.On {
		t.Errorf("after a power on: %s, %v", p, err)
	}
	if err := d.SetPower(t.Context(), bmc.PowerOff); err != nil {
		t.Errorf("power off: %v", err)
	}
}

func (c captured) boot(t *testing.T, d *redfish.Driver) {
	t.Helper()
	for _, b := range []bmc.Boot{{Device: bmc.PXE}, {Device: bmc.Disk, Persistent: true}, {Device: bmc.None}} {
		if err := d.SetBoot(t.Context(), b); err != nil {
			t.Errorf("boot %+v: %v", b, err)
			continue
		}
		if got, err := d.Boot(t.Context()); err != nil || got.Device != b.Device || (b.Device != bmc.None && got.Persistent != b.Persistent) {
			t.Errorf("boot %+v: got %+v, %v", b, got, err)
		}
	}
}

func (c captured) media(t *testing.T, d *redfish.Driver) {
	t.Helper()
	if c.mirror {
		return
	}
	files := httptest.NewServer(http.FileServerFS(os.DirFS(".")))
	defer files.Close()
	slot, err := d.Insert(t.Context(), bmc.CD, files.URL+"/media.go")
	if !c.medium {
		if bmc.ClassOf(err) != bmc.Unsupported {
			t.Errorf("insertion: %v", err)
		}
		return
	}
	if err != nil {
		t.Errorf("insertion: %v", err)
		return
	}
	all, err := d.Media(t.Context())
	if err != nil || !slices.ContainsFunc(all, func(s bmc.Slot) bool { return s.ID == slot && s.Inserted }) {
		t.Errorf("slot %s: %+v, %v", slot, all, err)
	}
	if err := d.Eject(t.Context(), ""); err != nil {
		t.Errorf("ejection: %v", err)
	}
}

func (c captured) settings(t *testing.T, d *redfish.Driver) {
	t.Helper()
	all, err := d.Settings(t.Context())
	if err != nil || len(all) == 0 {
		t.Errorf("%d settings, %v", len(all), err)
	}
	typed := slices.ContainsFunc(all, func(s bmc.Setting) bool { return s.Type != "" })
	t.Logf("%d settings, typed: %v", len(all), typed)
	if c.setting == "" {
		return
	}
	pending := func() any {
		all, err := d.Settings(t.Context())
		if err != nil {
			t.Error(err)
		}
		for _, s := range all {
			if s.Name == c.setting {
				return s.Pending
			}
		}
		return nil
	}
	if err := d.SetSettings(t.Context(), map[string]any{c.setting: c.value}); err != nil || pending() != c.value {
		t.Errorf("%s: %v, pending %v", c.setting, err, pending())
	}
	if err := d.DropPending(t.Context()); err != nil || pending() != nil {
		t.Errorf("%s dropped: %v, pending %v", c.setting, err, pending())
	}
}
