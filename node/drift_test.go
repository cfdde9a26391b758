package node

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
)

func diffsOf(all []Drift) string { return diffOf(all) + "\n" }

// TestUsersDiffer compares a BMC's users with those at first: new ones, those that are gone or may do something else, and the cloud's own,
// which nobody takes away.
func TestUsersDiffer(t *testing.T) {
	first := []bmc.Account{{Name: "hagane", Role: "Administrator", Enabled: true}, {Name: "monitor", Role: "ReadOnly", Enabled: true}, {Name: "gone", Role: "Operator", Enabled: true}}
	now := []bmc.Account{{Name: "cloud", Role: "Administrator", Enabled: true}, {Name: "monitor", Role: "Administrator", Enabled: true}, {Name: "backdoor", Role: "Operator"}}
	got := diffsOf(usersDiffer(first, now, []string{"cloud"}))
	const want = `- BMC user monitor: ReadOnly
+ BMC user monitor: Administrator
  left so: correct it, and its password, at the BMC
+ BMC user backdoor: Operator, disabled
  removed
- BMC user hagane: Administrator
  left so: make the user again, with a password, at the BMC
- BMC user gone: Operator
  left so: make the user again, with a password, at the BMC
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if same := usersDiffer(first, first, nil); same != nil {
		t.Errorf("the same users differ: %+v", same)
	}
}

// TestKeysDiffer has the keys of Secure Boot taken out, exchanged, left alone, and not shown.
func TestKeysDiffer(t *testing.T) {
	user, none := bmc.SecureBoot{Mode: "UserMode", Keys: "PK 1, fingerprint aa"}, bmc.SecureBoot{Mode: "SetupMode"}
	tenants := bmc.SecureBoot{Mode: "UserMode", Keys: "PK 1, fingerprint bb"}
	for _, c := range []struct {
		first, now  bmc.SecureBoot
		want, found string
	}{
		{user, user, "", ""}, {user, none, "", "none"}, {none, none, "", ""}, {none, none, "on", "none"}, {user, tenants, "", tenants.Keys}, {bmc.SecureBoot{}, tenants, "", ""}, {user, bmc.SecureBoot{Mode: "UserMode"}, "", ""},
	} {
		d := keysDiffer(c.first, c.now, c.want)
		if (d == nil) != (c.found == "") || d != nil && d.Found != c.found {
			t.Errorf("%+v: %+v", c, d)
		}
	}
}

// TestFirmwareDiffers compares two inventories of firmware.
func TestFirmwareDiffers(t *testing.T) {
	last := []bmc.Component{{ID: "BIOS", Name: "System BIOS", Version: "1"}, {ID: "NIC.1", Version: "7"}, {ID: "PSU", Version: "3"}}
	now := []bmc.Component{{ID: "BIOS", Name: "System BIOS", Version: "2"}, {ID: "NIC.2", Version: "7"}, {ID: "PSU", Version: "3"}}
	got := diffsOf(firmwareDiffers(last, now, map[string]FirmwareAim{"BIOS": {Version: "1"}}))
	const left = "  left so: the baseline names no version of it\n"
	const want = "- firmware of System BIOS: 1\n+ firmware of System BIOS: 2\n  brought to the baseline's 1\n- firmware of NIC.1: 7\n" + left + "+ firmware of NIC.2: 7\n" + left
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestLogText keeps the latest entries of a log that is long.
func TestLogText(t *testing.T) {
	e := bmc.Event{ID: "7", At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Severity: "critical", Sensor: "PSU 1", Message: "Lost\x00 power"}
	if got := logText([]bmc.Event{{ID: "6", Severity: "ok", Message: "cleared"}, e}); got != "6 no time ok  cleared\n7 2026-01-02T03:04:05Z critical PSU 1 Lost power" {
		t.Errorf("%q", got)
	}
	e.Message = strings.Repeat("x", 1<<10)
	if got := logText(slices.Repeat([]bmc.Event{e}, 200)); len(got) > maxLog+100 || !strings.HasPrefix(got, "… (") {
		t.Errorf("%d bytes: %.60q", len(got), got)
	}
}
