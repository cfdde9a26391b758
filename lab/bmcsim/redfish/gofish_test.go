package redfish

import (
	"slices"
	"strings"
	"testing"

	"github.com/stmcginnis/gofish"
	"github.com/stmcginnis/gofish/schemas"

	"github.com/hagane-cloud/hagane/lab/machine"
)

// TestGofish drives every kind with a Redfish client that we did not write. What a strict client can not do with a BMC that
// deviates is said in the table, and tried as well: it fails when the BMC behaves.
func TestGofish(t *testing.T) {
	for _, kind := range Personalities {
		t.Run(kind.Name, func(t *testing.T) { driveByGofish(t, kind) })
	}
}

// tooStrict says where gofish fails, by kind and call.
var tooStrict = map[string]map[string]string{
	"intel-s2600":    {"systems": "Health is a list"},
	"decoy-settings": {"boot": "ETags are written twice over, and gofish sends them back so"},
	"hpe-ilo4":       {"logs": "one link leads nowhere"},
	"hpe-ilo5":       {"logs": "one link leads nowhere"},
	"hpe-ilo6":       {"logs": "one link leads nowhere"},
	"hpe-ilo7":       {"logs": "one link leads nowhere"},
	"weak-etags":     {"boot": "weak ETags are refused"},
	"no-etags":       {"boot": "any ETag is refused"},
	"lenovo-xcc":     {"boot": "the ETag is refused at first", "logs": "a log service is invalid JSON"},
	"ami-megarac":    {"boot": "the settings resource is not advertised"},
	"nvidia-dgx":     {"boot": "the settings resource is not advertised"},
}

// fails compares an error with what is known; true ends the part.
func fails(t *testing.T, kind Personality, call string, err error) bool {
	t.Helper()
	why := tooStrict[kind.Name][call]
	if err != nil && why == "" {
		t.Errorf("%s: %v", call, err)
	}
	if err == nil && why != "" {
		t.Errorf("%s: works, although %s", call, why)
	}
	return err != nil
}

func connect(t *testing.T, b *BMC) *gofish.APIClient {
	t.Helper()
	c, err := gofish.ConnectContext(t.Context(), gofish.ClientConfig{Endpoint: b.Address(), Username: "admin", Password: password, Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func driveByGofish(t *testing.T, kind Personality) {
	b, m := serve(t, kind)
	c := connect(t, b)
	if b.kind.Tree.NoRootLinks {
		c.Logout()
		return // gofish finds nothing by itself
	}
	systems, err := c.Service.Systems()
	if fails(t, kind, "systems", err) {
		return
	}
	var s *schemas.ComputerSystem
	for _, one := range systems {
		if one.ID == kind.SystemID {
			s = one
		}
	}
	if !strings.Contains(s.SerialNumber+s.SKU, m.Spec().Serial) || s.PowerState != schemas.OffPowerState {
		t.Errorf("serial %q, SKU %q, power %q", s.SerialNumber, s.SKU, s.PowerState)
	}
	boot(t, b, m, s)
	if _, err := s.Reset(schemas.OnResetType); err != nil {
		t.Errorf("on: %v", err)
	}
	if !m.Status().On || m.Status().Boots != 1 {
		t.Errorf("%+v", m.Status())
	}
	managers, err := c.Service.Managers()
	if err != nil || !slices.ContainsFunc(managers, func(m *schemas.Manager) bool { return m.FirmwareVersion == "2.13" }) {
		t.Errorf("managers: %v", err)
	}
	chassis, err := schemas.GetChassis(c, root+"/"+b.chassis()) // listing all would restart an iDRAC
	if err != nil {
		t.Errorf("chassis: %v", err)
	} else if _, err := chassis.Thermal(); err != nil {
		t.Errorf("thermal: %v", err)
	}
	accounts(t, c)
	settings(t, b, s)
	update(t, c, kind)
	logs(t, kind, s)
	c.Logout()
}

func boot(t *testing.T, b *BMC, m machineStatus, s *schemas.ComputerSystem) {
	t.Helper()
	rules := b.kind.Boot
	want := &schemas.Boot{BootSourceOverrideEnabled: schemas.OnceBootSourceOverrideEnabled, BootSourceOverrideTarget: schemas.PxeBootSource, BootSourceOverrideMode: schemas.UEFIBootSourceOverrideMode}
	err := s.SetBoot(want)
	if rules.NoMode || rules.FixedMode {
		if err == nil {
			t.Error("the mode was accepted")
		}
		want.BootSourceOverrideMode = ""
		err = s.SetBoot(want)
	}
	if fails(t, b.kind, "boot", err) {
		return
	}
	got := m.Status().Boot
	switch {
	case rules.Nothing || rules.OnceIgnored:
		if got.Device != machine.None {
			t.Errorf("the override came into force: %+v", got)
		}
	case got.Device != machine.Network || got.Persistent:
		t.Errorf("%+v", got)
	}
}

type machineStatus interface{ Status() machine.Status }

func accounts(t *testing.T, c *gofish.APIClient) {
	t.Helper()
	service, err := c.Service.AccountService()
	if err != nil {
		t.Errorf("account service: %v", err)
		return
	}
	all, err := service.Accounts()
	if err != nil || len(all) == 0 {
		t.Errorf("accounts: %v", err)
	}
}

func settings(t *testing.T, b *BMC, s *schemas.ComputerSystem) {
	t.Helper()
	if b.kind.Settings.None {
		return
	}
	bios, err := s.Bios()
	if len(b.kind.Tree.Licensed) > 0 {
		if err == nil {
			t.Error("the BIOS is shown without a licence")
		}
		return
	}
	if err != nil || len(bios.Attributes) < 20 {
		t.Errorf("BIOS: %v", err)
		return
	}
	if b.kind.Tags.Form == Number || b.kind.Boot.SelfTestID != "" { // gofish does not send the number; the self-test refuses
		return
	}
	if err := bios.UpdateBiosAttributes(schemas.SettingsAttributes{"LogicalProc": "Disabled"}); err != nil && b.kind.Tags.Form != Twice && b.kind.Tags.Form != Weak && !b.kind.Tags.RefuseAll && !b.kind.Tags.Needed {
		t.Errorf("BIOS settings: %v", err)
	}
}

func update(t *testing.T, c *gofish.APIClient, kind Personality) {
	t.Helper()
	service, err := c.Service.UpdateService()
	if err != nil {
		t.Errorf("update service: %v", err)
		return
	}
	all, err := service.FirmwareInventory()
	if fails(t, kind, "firmware", err) {
		return
	}
	if len(all) != 3 {
		t.Errorf("%d pieces of firmware", len(all))
	}
}

func logs(t *testing.T, kind Personality, s *schemas.ComputerSystem) {
	t.Helper()
	services, err := s.LogServices()
	if fails(t, kind, "logs", err) {
		return
	}
	for _, l := range services {
		if _, err := l.Entries(); err != nil {
			t.Errorf("%s: %v", l.ID, err)
		}
	}
}
