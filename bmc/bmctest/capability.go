package bmctest

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
)

// capable returns the driver's implementation of a capability; the test is skipped when its protocol has none, or
// the device at hand says that it has not: then it must say so of every call.
func capable[C any](t *testing.T, g Target, what bmc.Capability, call func(C) error) (bmc.Driver, C) {
	t.Helper()
	d := open(t, g, g.Access)
	c, err := bmc.As[C](d)
	if err != nil {
		t.Skipf("the protocol has no %s", what)
	}
	if p, ok := d.(bmc.Prober); ok {
		offers, err := p.Probe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(offers, func(o bmc.Offer) bool { return o.Capability == what })
		if i < 0 || !offers[i].Works {
			err := call(c)
			if class := bmc.ClassOf(err); class != bmc.Unsupported && class != bmc.Licence {
				t.Errorf("the probe says that there is no %s (%+v), and the call says: %v", what, offers, err)
			}
			t.Skipf("the device has no %s", what)
		}
	}
	return d, c
}

// images serves a CD and firmware to BMCs.
func images(t *testing.T) (cd, firmware string) {
	t.Helper()
	iso := make([]byte, 64<<10)
	copy(iso[32<<10:], "\x01CD001\x01")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(iso))
	}))
	t.Cleanup(s.Close)
	return s.URL + "/cd.iso", s.URL + "/bios-9.9.bin"
}

func media(t *testing.T, g Target) {
	cd, _ := images(t)
	if g.MediaURL != nil {
		cd = g.MediaURL(t)
	}
	_, m := capable(t, g, bmc.CanMedia, func(c bmc.MediaControl) error { _, err := c.Insert(t.Context(), bmc.CD, cd); return err })
	inserted := func() (n int) {
		all, err := m.Media(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			if s.Inserted {
				n++
			}
		}
		return n
	}
	if n := inserted(); n != 0 {
		t.Fatalf("%d media at first", n)
	}
	slot := ""
	for range 2 { // what is in already is no error
		var err error
		if slot, err = m.Insert(t.Context(), bmc.CD, cd); err != nil {
			t.Fatal(err)
		}
		if n := inserted(); n != 1 {
			t.Fatalf("%d media after inserting one", n)
		}
	}
	if err := m.Eject(t.Context(), slot); err != nil {
		t.Fatal(err)
	}
	if n := inserted(); n != 0 {
		t.Fatalf("%d media after ejecting", n)
	}
	if err := m.Eject(t.Context(), ""); err != nil {
		t.Errorf("ejecting nothing: %v", err)
	}
}

func settings(t *testing.T, g Target) {
	d, c := capable(t, g, bmc.CanSettings, func(c bmc.SettingsControl) error { _, err := c.Settings(t.Context()); return err })
	read := func(name string) bmc.Setting {
		all, err := c.Settings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(s bmc.Setting) bool { return s.Name == name })
		if i < 0 {
			t.Fatalf("there is no setting %s", name)
		}
		return all[i]
	}
	all, err := c.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(s bmc.Setting) bool {
		return s.Type == "enumeration" && !s.ReadOnly && len(s.Allowed) > 1 && !strings.Contains(strings.ToLower(s.Name), "boot")
	})
	if i < 0 {
		t.Fatalf("no setting of %d can be chosen", len(all))
	}
	s := all[i]
	other := s.Allowed[0]
	if fmt.Sprint(s.Value) == other {
		other = s.Allowed[1]
	}
	for _, bad := range []map[string]any{{"NoSuchSetting": "x"}, {s.Name: "no such value"}} {
		if class := bmc.ClassOf(c.SetSettings(t.Context(), bad)); class != bmc.Refused {
			t.Errorf("%v: class %q", bad, class)
		}
	}
	if err := c.SetSettings(t.Context(), map[string]any{s.Name: other}); err != nil {
		t.Fatal(err)
	}
	if now := read(s.Name); fmt.Sprint(now.Pending) != other && fmt.Sprint(now.Value) != other {
		t.Fatalf("asked for %s, and it shows %+v", other, now)
	}
	do(t, d, bmc.PowerOn)
	reach(t, d, bmc.On)
	until(t, "the setting to be in force", func() bool {
		now := read(s.Name)
		return fmt.Sprint(now.Value) == other && now.Pending == nil
	})
	if err := c.SetSettings(t.Context(), map[string]any{s.Name: s.Value}); err != nil {
		t.Fatal(err)
	}
	if err := c.DropPending(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "nothing to be pending", func() bool { return read(s.Name).Pending == nil })
	if now := read(s.Name); fmt.Sprint(now.Value) != other {
		t.Errorf("after dropping what was pending it is %+v", now)
	}
}

func bootMode(t *testing.T, g Target) {
	_, c := capable(t, g, bmc.CanBootMode, func(c bmc.ModeControl) error { _, err := c.BootMode(t.Context()); return err })
	for _, want := range []bmc.Mode{bmc.BIOS, bmc.UEFI} {
		if err := c.SetBootMode(t.Context(), want); err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		if got, err := c.BootMode(t.Context()); err != nil || got != want {
			t.Fatalf("set %s, got %s, %v", want, got, err)
		}
	}
}

func secureBoot(t *testing.T, g Target) {
	_, c := capable(t, g, bmc.CanSecureBoot, func(c bmc.SecureBootControl) error { _, err := c.SecureBoot(t.Context()); return err })
	was, err := c.SecureBoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{!was.Enabled, was.Enabled} {
		if err := c.SetSecureBoot(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		if now, err := c.SecureBoot(t.Context()); err != nil || now.Enabled != want {
			t.Fatalf("set %v, got %+v, %v", want, now, err)
		}
	}
	if err := c.ResetSecureBootKeys(t.Context()); err != nil {
		t.Errorf("resetting the keys: %v", err)
	}
}

func light(t *testing.T, g Target) {
	_, c := capable(t, g, bmc.CanLight, func(c bmc.LightControl) error { return c.SetLight(t.Context(), bmc.LightOn) })
	for _, want := range []bmc.Light{bmc.LightOn, bmc.LightOff, bmc.LightOff} {
		if err := c.SetLight(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		got, err := c.Light(t.Context())
		if err != nil || (got != "" && (got == bmc.LightOff) != (want == bmc.LightOff)) {
			t.Errorf("set %s, got %q, %v", want, got, err)
		}
	}
}

func events(t *testing.T, g Target) {
	_, c := capable(t, g, bmc.CanEvents, func(c bmc.EventLog) error { _, err := c.Events(t.Context(), 1); return err })
	before, err := c.Events(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if few, err := c.Events(t.Context(), 1); err != nil || len(few) > 1 {
		t.Errorf("asked for one event, got %d, %v", len(few), err)
	}
	if err := c.ClearEvents(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := c.Events(t.Context(), 0)
	if err != nil || len(after) > 1 || (len(before) > 1 && len(after) >= len(before)) { // some keep an entry about the clearing
		t.Errorf("%d events before clearing, %d after, %v", len(before), len(after), err)
	}
}

func users(t *testing.T, g Target) {
	_, c := capable(t, g, bmc.CanAccounts, func(c bmc.AccountControl) error { _, err := c.Accounts(t.Context()); return err })
	has := func(name string) bool {
		all, err := c.Accounts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(all, func(a bmc.Account) bool { return a.Name == name })
	}
	login := func(name, password string) error {
		a := g.Access
		a.Username, a.Password, a.Memory = name, password, &bmc.Memory{}
		_, err := open(t, g, a).Power(t.Context())
		return err
	}
	const name, first, second = "tenant", "Fr7st-Passw0rd", "S3cond-Passw0r"
	if !has(g.Access.Username) || has(name) {
		t.Fatal("the users are not as they should be at first")
	}
	if err := c.AddAccount(t.Context(), name, first, "Operator"); err != nil {
		t.Fatal(err)
	}
	if err := login(name, first); !has(name) || err != nil {
		t.Fatalf("listed: %v; login: %v", has(name), err)
	}
	if err := c.SetPassword(t.Context(), name, second); err != nil {
		t.Fatal(err)
	}
	if err := login(name, second); err != nil {
		t.Errorf("with the new password: %v", err)
	}
	if err := login(name, first); bmc.ClassOf(err) != bmc.Credentials {
		t.Errorf("with the old password: %v", err)
	}
	for range 2 {
		if err := c.RemoveAccount(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if has(name) {
		t.Error("the user is still there")
	}
	if err := c.SetPassword(t.Context(), g.Access.Username, second); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Accounts(t.Context()); err != nil {
		t.Errorf("after changing the own password: %v", err)
	}
}

func restartBMC(t *testing.T, g Target) {
	d, c := capable(t, g, bmc.CanRestart, func(c bmc.Restarter) error { return c.RestartBMC(t.Context(), bmc.Warm) })
	do(t, d, bmc.PowerOn)
	reach(t, d, bmc.On)
	boots := 0
	if g.Boots != nil {
		boots = g.Boots()
	}
	if err := c.RestartBMC(t.Context(), bmc.Cold); err != nil {
		t.Fatal(err)
	}
	until(t, "the BMC to be back", func() bool {
		p, err := d.Power(t.Context())
		if err != nil && !bmc.Passing(err) {
			t.Fatal(err)
		}
		return err == nil && p == bmc.On
	})
	if g.Boots != nil && g.Boots() != boots {
		t.Errorf("the server was started %d times more", g.Boots()-boots)
	}
}

func interrupt(t *testing.T, g Target) {
	d, c := capable(t, g, bmc.CanInterrupt, func(c bmc.Interrupter) error { return c.Interrupt(t.Context()) })
	do(t, d, bmc.PowerOn)
	reach(t, d, bmc.On)
	if err := c.Interrupt(t.Context()); err != nil {
		t.Error(err)
	}
}

func nics(t *testing.T, g Target) {
	_, c := capable(t, g, bmc.CanNICs, func(c bmc.NICReader) error { _, err := c.NICs(t.Context()); return err })
	all, err := c.NICs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		if mac, err := net.ParseMAC(n.MAC); n.MAC != "" && (err != nil || mac.String() != n.MAC) {
			t.Errorf("%+v", n)
		}
	}
}

func firmware(t *testing.T, g Target) {
	_, c := capable(t, g, bmc.CanFirmware, func(c bmc.FirmwareControl) error { _, err := c.Firmware(t.Context()); return err })
	all, err := c.Firmware(t.Context())
	if err != nil || len(all) == 0 {
		t.Fatalf("%d components, %v", len(all), err)
	}
	seen := map[string]bool{}
	for _, one := range all {
		if one.ID == "" || seen[one.ID] {
			t.Errorf("%+v is there twice, or has no id", one)
		}
		seen[one.ID] = true
	}
	_, url := images(t)
	task, err := c.Update(t.Context(), url, all[0].ID)
	if class := bmc.ClassOf(err); class == bmc.Unsupported || class == bmc.Refused {
		t.Skipf("the BMC takes no image by URL: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the update to end", func() bool {
		if task.Done {
			return true
		}
		now, err := c.Follow(t.Context(), task.ID)
		if err != nil {
			t.Fatal(err)
		}
		task = now
		return now.Done || now.Staged // one that waits for a boot does as it was told
	})
	if task.Staged {
		return
	}
	if task.Failed == "" && !task.Gone && task.Percent != 100 {
		t.Errorf("%+v", task)
	}
}

func healthy(t *testing.T, g Target) {
	_, c := capable(t, g, bmc.CanHealth, func(c bmc.HealthReader) error { _, err := c.Health(t.Context()); return err })
	h, err := c.Health(t.Context())
	if err != nil || !slices.Contains([]string{"ok", "warning", "critical", "unknown"}, h.Word) {
		t.Errorf("%+v, %v", h, err)
	}
}
