package redfish

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/bmc"
)

const resetPath = "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset"

// pressed collects the reset types that arrive.
func (d *device) pressed() *[]string {
	var all []string
	d.on("POST "+resetPath, func(_ http.ResponseWriter, _ *http.Request, body map[string]any) bool {
		all = append(all, body["ResetType"].(string))
		return false
	})
	return &all
}

// Fact: Supermicro X13, AMI and OpenBMC name the reset types in an ActionInfo document only.
func TestResetTypesInActionInfo(t *testing.T) {
	b := newDevice(t)
	b.docs[system1] = strings.Replace(b.docs[system1], `"ResetType@Redfish.AllowableValues":["On","ForceOff","GracefulShutdown","ForceRestart","Nmi"]`, `"@Redfish.ActionInfo":"/redfish/v1/Systems/1/ResetActionInfo"`, 1)
	b.docs["/redfish/v1/Systems/1/ResetActionInfo"] = `{"Parameters":[{"Name":"ResetType","AllowableValues":["ForceOn","ForceOff"]}]}`
	pressed := b.pressed()
	d := b.driver(t)
	must(t, d.SetPower(t.Context(), bmc.PowerOn))
	if got := strings.Join(*pressed, " "); got != "ForceOn" {
		t.Errorf("pressed %q", got)
	}
	wantClass(t, d.SetPower(t.Context(), bmc.SoftOff), bmc.Unsupported)
}

// Fact: where a BMC names no reset types at all, they are tried, and the one that works is remembered.
func TestResetTypesTried(t *testing.T) {
	b := newDevice(t)
	b.docs[system1] = strings.Replace(b.docs[system1], `,"ResetType@Redfish.AllowableValues":["On","ForceOff","GracefulShutdown","ForceRestart","Nmi"]`, "", 1)
	b.on("POST "+resetPath, func(w http.ResponseWriter, _ *http.Request, body map[string]any) bool {
		if body["ResetType"] == "On" {
			refuse(w, http.StatusBadRequest, "Base.1.8.ActionParameterNotSupported", "ResetType On")
			return true
		}
		return false
	})
	d := b.driver(t)
	must(t, d.SetPower(t.Context(), bmc.PowerOn))
	if got := d.access.Memory.Get(resetFact + string(bmc.PowerOn)); got != "ForceOn" {
		t.Errorf("remembered %q", got)
	}
}

// Fact: Dell 14G lacks GracefulRestart, and iDRAC8 makes a hard reset of it: it is never used.
func TestGracefulRestartIsNeverUsed(t *testing.T) {
	b := newDevice(t)
	b.set(system1, `{"PowerState":"On","Actions":{"#ComputerSystem.Reset":{"ResetType@Redfish.AllowableValues":["On","ForceOff","GracefulRestart","ForceRestart"]}}}`)
	pressed := b.pressed()
	must(t, b.driver(t).SetPower(t.Context(), bmc.Reset))
	if got := strings.Join(*pressed, " "); got != "ForceRestart" {
		t.Errorf("pressed %q", got)
	}
}

// Fact: IBM's OpenBMC has no ForceRestart: a restart becomes off and on.
func TestRestartWithoutResetType(t *testing.T) {
	b := newDevice(t)
	b.set(system1, `{"PowerState":"On","Actions":{"#ComputerSystem.Reset":{"ResetType@Redfish.AllowableValues":["On","ForceOff"]}}}`)
	pressed := b.pressed()
	must(t, b.driver(t).SetPower(t.Context(), bmc.Reset))
	if got := strings.Join(*pressed, " "); got != "ForceOff On" {
		t.Errorf("pressed %q", got)
	}
}

// Fact: ForceRestart hangs a Lenovo SR675 V3: its profile restarts by off and on.
func TestRestartThatHangsIsReplaced(t *testing.T) {
	b := newDevice(t)
	b.set(system1, `{"PowerState":"On"}`)
	pressed := b.pressed()
	d := b.driver(t, knowing(t, "lenovo-sr675v3"))
	d.profile.Power.Pause = 0
	must(t, d.SetPower(t.Context(), bmc.Reset))
	if got := strings.Join(*pressed, " "); got != "ForceOff On" {
		t.Errorf("pressed %q", got)
	}
}

// Fact: a graceful off never becomes a hard one, however little the BMC offers.
func TestSoftOffNeverBecomesHard(t *testing.T) {
	b := newDevice(t)
	b.set(system1, `{"PowerState":"On","Actions":{"#ComputerSystem.Reset":{"ResetType@Redfish.AllowableValues":["On","ForceOff"]}}}`)
	pressed := b.pressed()
	wantClass(t, b.driver(t).SetPower(t.Context(), bmc.SoftOff), bmc.Unsupported)
	if len(*pressed) > 0 {
		t.Errorf("pressed %v", *pressed)
	}
}

// Fact: Dell answers 409 when the server already is in the state that is asked for.
func TestConflictWhenAlreadySo(t *testing.T) {
	b := newDevice(t)
	b.on("POST "+resetPath, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		b.merge(system1, map[string]any{"PowerState": "On"}) // somebody was faster
		refuse(w, http.StatusConflict, "IDRAC.2.8.PSU501", "The server is already powered on.")
		return true
	})
	must(t, b.driver(t).SetPower(t.Context(), bmc.PowerOn))
}

// Fact: iDRAC10 answers 409 ActionParameterValueConflict to On shortly after an off, and iLO 400 InvalidOperationForSystemState: asked again.
func TestPowerOnShortlyAfterOff(t *testing.T) {
	for status, id := range map[int]string{http.StatusConflict: "Base.1.12.ActionParameterValueConflict", http.StatusBadRequest: "iLO.2.14.InvalidOperationForSystemState"} {
		b, refusals := newDevice(t), 0
		b.on("POST "+resetPath, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
			if refusals++; refusals < 3 {
				refuse(w, status, id, "not now")
				return true
			}
			return false
		})
		d := b.driver(t)
		must(t, d.SetPower(t.Context(), bmc.PowerOn))
		if p, err := d.Power(t.Context()); err != nil || p != bmc.On {
			t.Errorf("%s: %s, %v", id, p, err)
		}
	}
}

// Fact: iLO answers 400 InvalidOperationForSystemState in POST and to a server that is off alike: a server that went off by itself
// while the press waited is not pressed again.
func TestOffByItselfWhileThePressWaits(t *testing.T) {
	b, refusals := newDevice(t), 0
	b.set(system1, `{"PowerState":"On"}`)
	b.on("POST "+resetPath, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		refusals++
		b.merge(system1, map[string]any{"PowerState": "Off"})
		refuse(w, http.StatusBadRequest, "iLO.2.14.InvalidOperationForSystemState", "not now")
		return true
	})
	must(t, b.driver(t).SetPower(t.Context(), bmc.PowerOff))
	if refusals != 1 {
		t.Errorf("pressed %d times", refusals)
	}
}

// Fact: OpenBMC says "PoweringOn" for hours: that is neither on nor off, and nobody presses reset on it.
func TestPowerInBetween(t *testing.T) {
	b := newDevice(t)
	b.set(system1, `{"PowerState":"PoweringOn"}`)
	pressed := b.pressed()
	d := b.driver(t)
	if p, err := d.Power(t.Context()); err != nil || p != bmc.Unknown {
		t.Errorf("%s, %v", p, err)
	}
	wantClass(t, d.SetPower(t.Context(), bmc.Reset), bmc.Busy)
	if len(*pressed) > 0 {
		t.Errorf("pressed %v", *pressed)
	}
}

// Fact: the chassis of an OpenBMC says On while the host is off: the system is asked.
func TestChassisPowerIsNotAsked(t *testing.T) {
	b := newDevice(t)
	b.set("/redfish/v1/Chassis/1", `{"PowerState":"On"}`)
	if p, err := b.driver(t).Power(t.Context()); err != nil || p != bmc.Off {
		t.Errorf("%s, %v", p, err)
	}
}

// Fact: a partition of a Superdome answers 500 to a reset while it is off: a power on is sent.
func TestResetOfServerThatIsOff(t *testing.T) {
	b := newDevice(t)
	pressed := b.pressed()
	must(t, b.driver(t).SetPower(t.Context(), bmc.Reset))
	if got := strings.Join(*pressed, " "); got != "On" {
		t.Errorf("pressed %q", got)
	}
}

// Fact: managers of Dell and Supermicro restart by GracefulRestart only, and HPE's takes no type at all.
func TestRestartTypesOfManager(t *testing.T) {
	for offered, want := range map[string]any{`["GracefulRestart"]`: "GracefulRestart", `null`: nil} {
		b := newDevice(t)
		b.set("/redfish/v1/Managers/1", `{"Actions":{"#Manager.Reset":{"ResetType@Redfish.AllowableValues":`+offered+`}}}`)
		var got map[string]any
		b.on("POST /redfish/v1/Managers/1/Actions/Manager.Reset", func(w http.ResponseWriter, _ *http.Request, body map[string]any) bool {
			got = body
			w.WriteHeader(http.StatusNoContent)
			return true
		})
		must(t, b.driver(t).RestartBMC(t.Context(), bmc.Cold))
		if got == nil || got["ResetType"] != want {
			t.Errorf("%s: sent %v", offered, got)
		}
	}
}

// Fact: Fujitsu's iRMC presses by FTSComputerSystem.Reset, whose key is ts_fujitsu or Fsas.
func TestFujitsuPressesItsOwnButton(t *testing.T) {
	for _, key := range []string{"ts_fujitsu", "Fsas"} {
		b := newDevice(t)
		b.docs[system1] = `{"PowerState":"Off","Boot":{},"Oem":{"` + key + `":{}},"Links":{"ManagedBy":[{"@odata.id":"/redfish/v1/Managers/1"}]}}`
		var got any
		b.on("POST /redfish/v1/Systems/1/Actions/Oem/FTSComputerSystem.Reset", func(w http.ResponseWriter, _ *http.Request, body map[string]any) bool {
			got = body["FTSResetType"]
			return true
		})
		must(t, b.driver(t, knowing(t, "fujitsu-irmc")).SetPower(t.Context(), bmc.PowerOn))
		if got != "PowerOn" {
			t.Errorf("%s: pressed %v", key, got)
		}
	}
}
