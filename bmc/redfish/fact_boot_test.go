package redfish

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/bmc"
)

// shown returns a property of the system's Boot.
func (d *device) shown(name string) string {
	var doc struct{ Boot map[string]any }
	_ = unmarshal([]byte(d.docs[system1]), &doc)
	s, _ := doc.Boot[name].(string)
	return s
}

// overrides makes the device judge changes of the boot override; refusal returns the id and the property of a
// message, "" for none. It collects those that were taken.
func (d *device) overrides(path string, refusal func(boot map[string]any) (id, property string)) *[]map[string]any {
	var all []map[string]any
	d.on("PATCH "+path, func(w http.ResponseWriter, _ *http.Request, body map[string]any) bool {
		boot, _ := body["Boot"].(map[string]any)
		if id, property := refusal(boot); id != "" {
			refuse(w, http.StatusBadRequest, id, "refused: "+property, property)
			return true
		}
		all = append(all, boot)
		return false
	})
	return &all
}

var (
	pxe    = bmc.Boot{Device: bmc.PXE}
	always = bmc.Boot{Device: bmc.Disk, Persistent: true}
)

// Fact: AMI MegaRAC takes the boot override at the resource SD of the system only, and says OperationSupportedInFutureStateURI.
func TestOverrideAtFutureState(t *testing.T) {
	b := newDevice(t)
	future := system1 + "/SD"
	b.write(future, `{"Boot":{"BootSourceOverrideTarget":"None","BootSourceOverrideEnabled":"Disabled","BootSourceOverrideMode":"UEFI"}}`)
	b.overrides(system1, func(map[string]any) (string, string) { return "Ami.1.0.OperationSupportedInFutureStateURI", "Boot" })
	d := b.driver(t)
	must(t, d.SetBoot(t.Context(), pxe))
	refused := b.count("PATCH " + system1)
	must(t, d.SetBoot(t.Context(), pxe))
	if b.count("PATCH "+system1) != refused || b.count("PATCH "+future) != 2 {
		t.Errorf("the place was not remembered: %v", b.asked)
	}
	if got, err := d.Boot(t.Context()); err != nil || got.Device != bmc.PXE {
		t.Errorf("%+v, %v", got, err)
	}
}

// Fact: iDRAC10's system is read-only: the override goes to its settings resource, which alone lists the targets.
func TestOverrideAtSettings(t *testing.T) {
	b := newDevice(t)
	settings := system1 + "/Settings"
	b.set(system1, `{"@Redfish.Settings":{"SettingsObject":{"@odata.id":"`+settings+`"}},"Boot":{"BootSourceOverrideTarget@Redfish.AllowableValues":null}}`)
	b.write(settings, `{"Boot":{"BootSourceOverrideTarget":"None","BootSourceOverrideEnabled":"Disabled","BootSourceOverrideMode":"UEFI"}}`)
	b.overrides(system1, func(map[string]any) (string, string) { return "IDRAC.3.0.SYS426", "Boot" })
	must(t, b.driver(t, knowing(t, "dell-idrac10")).SetBoot(t.Context(), pxe))
	must(t, b.driver(t).SetBoot(t.Context(), pxe)) // also without its profile
	if b.count("PATCH "+settings) != 2 || b.count("PATCH "+system1) != 0 {
		t.Errorf("asked %v", b.asked)
	}
}

// Fact: some BMCs name a settings resource that has no Boot and answer PropertyNotWritable there: its Boot is looked for first.
func TestSettingsWithoutBoot(t *testing.T) {
	b := newDevice(t)
	settings := system1 + "/Settings"
	b.set(system1, `{"@Redfish.Settings":{"SettingsObject":{"@odata.id":"`+settings+`"}}}`)
	b.write(settings, `{"AssetTag":""}`)
	must(t, b.driver(t).SetBoot(t.Context(), pxe))
	if b.count("PATCH "+settings) != 0 || b.shown("BootSourceOverrideTarget") != "Pxe" {
		t.Errorf("asked %v", b.asked)
	}
}

// Fact: AMI and ASRock Rack refuse a part of the override: target, term and mode go together, also to clear it.
func TestOverrideIsWhole(t *testing.T) {
	b := newDevice(t)
	b.overrides(system1, func(boot map[string]any) (string, string) {
		for _, name := range []string{"BootSourceOverrideTarget", "BootSourceOverrideEnabled", "BootSourceOverrideMode"} {
			if boot[name] == nil {
				return "Base.1.8.PropertyMissing", name
			}
		}
		return "", ""
	})
	d := b.driver(t)
	must(t, d.SetBoot(t.Context(), pxe))
	must(t, d.SetBoot(t.Context(), bmc.Boot{Device: bmc.None}))
	if b.shown("BootSourceOverrideEnabled") != "Disabled" {
		t.Errorf("%s", b.docs[system1])
	}
}

// Fact: Supermicro resets what an override leaves out to Legacy and Disabled: the mode in force goes along.
func TestModeIsKept(t *testing.T) {
	b := newDevice(t)
	b.on("PATCH "+system1, func(_ http.ResponseWriter, _ *http.Request, body map[string]any) bool {
		boot := body["Boot"].(map[string]any)
		for name, reset := range map[string]string{"BootSourceOverrideMode": "Legacy", "BootSourceOverrideEnabled": "Disabled"} {
			if boot[name] == nil {
				boot[name] = reset
			}
		}
		return false
	})
	must(t, b.driver(t).SetBoot(t.Context(), pxe))
	if mode := b.shown("BootSourceOverrideMode"); mode != "UEFI" {
		t.Errorf("the mode became %s", mode)
	}
}

// Fact: Supermicro X10's Redfish refuses an override with a mode whole, and has names of its own for targets.
func TestOverrideWithoutMode(t *testing.T) {
	b := newDevice(t)
	b.write(system1, strings.Replace(b.docs[system1], `"BootSourceOverrideMode":"UEFI",`, "", 1))
	b.set(system1, `{"Boot":{"BootSourceOverrideTarget@Redfish.AllowableValues":["None","Pxe","Hdd","CD/DVD","UefiCd","UsbKey"]}}`)
	b.overrides(system1, func(boot map[string]any) (string, string) {
		if boot["BootSourceOverrideMode"] != nil {
			return "Base.1.0.GeneralError", "the whole"
		}
		return "", ""
	})
	d := b.driver(t)
	must(t, d.SetBoot(t.Context(), bmc.Boot{Device: bmc.CDROM, Mode: bmc.UEFI}))
	if got := b.shown("BootSourceOverrideTarget"); got != "CD/DVD" {
		t.Errorf("target %s", got)
	}
}

// Fact: Supermicro's AS-1015CS answers 200 to an override and then shows Legacy and Disabled: reading back finds it out.
func TestOverrideThatIsNotKept(t *testing.T) {
	b := newDevice(t)
	b.on("PATCH "+system1, func(_ http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		b.merge(system1, map[string]any{"Boot": map[string]any{"BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideMode": "Legacy"}})
		return true
	})
	wantClass(t, b.driver(t).SetBoot(t.Context(), pxe), bmc.Untrue)
}

// Fact: Supermicro's virtual CD is UsbCd on most models and Cd on the ARS-111GL-NHR: the first of both that is listed.
func TestTargetOfTheVirtualCD(t *testing.T) {
	for listed, want := range map[string]string{`["None","Pxe","Cd","UsbCd"]`: "UsbCd", `["None","Pxe","Cd"]`: "Cd"} {
		b := newDevice(t)
		b.set(system1, `{"Boot":{"BootSourceOverrideTarget@Redfish.AllowableValues":`+listed+`}}`)
		must(t, b.driver(t, knowing(t, "supermicro")).SetBoot(t.Context(), bmc.Boot{Device: bmc.CDROM}))
		if got := b.shown("BootSourceOverrideTarget"); got != want {
			t.Errorf("%s: %s", listed, got)
		}
	}
}

// ordered gives the device a boot order of three options.
func (d *device) ordered(refs ...string) {
	d.set(system1, `{"Boot":{"BootOrder":["`+strings.Join(refs, `","`)+`"],"BootOptions":{"@odata.id":"`+system1+`/BootOptions"}}}`)
	d.write(system1+"/BootOptions", members(system1+"/BootOptions/1", system1+"/BootOptions/2", system1+"/BootOptions/3"))
	d.write(system1+"/BootOptions/1", `{"BootOptionReference":"Boot0001","DisplayName":"PXE IPv4 Slot 1","Alias":"Pxe"}`)
	d.write(system1+"/BootOptions/2", `{"BootOptionReference":"Boot0002","DisplayName":"Virtual CD"}`)
	d.write(system1+"/BootOptions/3", `{"BootOptionReference":"Boot0003","DisplayName":"Hard drive C:","Alias":"Hdd"}`)
}

func (d *device) order() []string {
	var doc struct{ Boot struct{ BootOrder []string } }
	_ = unmarshal([]byte(d.docs[system1]), &doc)
	return doc.Boot.BootOrder
}

// Fact: Lenovo XCC lists Once and Disabled as terms of the override: what is to last goes to the boot order.
func TestContinuousIsNotListed(t *testing.T) {
	b := newDevice(t)
	b.ordered("Boot0001", "Boot0002", "Boot0003")
	b.set(system1, `{"Boot":{"BootSourceOverrideEnabled@Redfish.AllowableValues":["Once","Disabled"]}}`)
	sent := b.overrides(system1, func(boot map[string]any) (string, string) {
		if boot["BootSourceOverrideEnabled"] == "Continuous" {
			return "Base.1.8.PropertyValueNotInList", "BootSourceOverrideEnabled"
		}
		return "", ""
	})
	d := b.driver(t)
	must(t, d.SetBoot(t.Context(), always))
	if got := b.order(); !slices.Equal(got, []string{"Boot0003", "Boot0001", "Boot0002"}) || len(*sent) != 1 || b.count("PATCH "+system1) != 1 {
		t.Errorf("order %v after %v", got, b.asked)
	}
	if got, err := d.Boot(t.Context()); err != nil || got.Device != bmc.Disk || !got.Persistent {
		t.Errorf("%+v, %v", got, err)
	}
	must(t, d.SetBoot(t.Context(), bmc.Boot{Device: bmc.None})) // no override: the order as it was before
	if got := b.order(); !slices.Equal(got, []string{"Boot0001", "Boot0002", "Boot0003"}) {
		t.Errorf("order %v after the override was taken back", got)
	}
}

// Fact: on Dell before 2.75.75.75 Continuous survives one boot: the profile changes the boot order in its place.
func TestContinuousIsBrief(t *testing.T) {
	b := newDevice(t)
	b.ordered("Boot0001", "Boot0002", "Boot0003")
	must(t, b.driver(t, knowing(t, "dell-idrac8")).SetBoot(t.Context(), always))
	if got := b.order(); got[0] != "Boot0003" || b.shown("BootSourceOverrideEnabled") == "Continuous" {
		t.Errorf("%v %s", got, b.docs[system1])
	}
}

// Fact: some BMCs have neither Continuous nor a boot order that can be changed: the device is set again before each boot.
func TestSetAgainBeforeEachBoot(t *testing.T) {
	b := newDevice(t)
	b.set(system1, `{"PowerState":"Off","Boot":{"BootSourceOverrideEnabled@Redfish.AllowableValues":["Once","Disabled"]}}`)
	d := b.driver(t)
	must(t, d.SetBoot(t.Context(), always))
	for range 2 {
		b.set(system1, `{"PowerState":"Off","Boot":{"BootSourceOverrideEnabled":"Disabled","BootSourceOverrideTarget":"None"}}`) // it booted
		if got, err := d.Boot(t.Context()); err != nil || got.Device != bmc.Disk || !got.Persistent {
			t.Errorf("%+v, %v", got, err)
		}
		must(t, d.SetPower(t.Context(), bmc.PowerOn))
		if b.shown("BootSourceOverrideTarget") != "Hdd" || b.shown("BootSourceOverrideEnabled") != "Once" {
			t.Errorf("before the boot: %s", b.docs[system1])
		}
	}
}

// Fact: HPE iLO answers 400 UnableToModifyDuringSystemPOST while the server tests itself: asked again.
func TestOverrideDuringSelfTest(t *testing.T) {
	b, refusals := newDevice(t), 3
	b.overrides(system1, func(map[string]any) (string, string) {
		if refusals == 0 {
			return "", ""
		}
		refusals--
		return "iLO.2.14.UnableToModifyDuringSystemPOST", ""
	})
	must(t, b.driver(t).SetBoot(t.Context(), pxe))
}

// Fact: HPE iLO 5 and 6 answer UnsupportedOperation to a mode in the override: the mode is a BIOS setting, and left out.
func TestModeIsABIOSSetting(t *testing.T) {
	for name, options := range map[string][]func(a *bmc.Access){"profile": {knowing(t, "hpe-ilo5")}, "none": nil} {
		b := newDevice(t)
		b.bios(`{"BootMode":"LegacyBios"}`, "")
		delete(b.docs, "/redfish/v1/Registries/Attributes.1")
		b.write("/redfish/v1/Registries", members())
		taken := b.overrides(system1, func(boot map[string]any) (string, string) {
			if boot["BootSourceOverrideMode"] != nil {
				return "iLO.2.14.UnsupportedOperation", ""
			}
			return "", ""
		})
		must(t, b.driver(t, options...).SetBoot(t.Context(), bmc.Boot{Device: bmc.PXE, Mode: bmc.UEFI}))
		if len(*taken) != 1 {
			t.Errorf("%s: took %v", name, *taken)
		}
		if pending := b.docs[pendingPath]; name == "profile" && !strings.Contains(pending, `"BootMode":"Uefi"`) {
			t.Errorf("pending %s", pending)
		}
	}
}

// Fact: HPE iLO 5 answers ArrayPropertyOutOfBound to a part of the boot order: it is sent whole.
func TestOrderIsWhole(t *testing.T) {
	b := newDevice(t)
	b.ordered("Boot0001", "Boot0002", "Boot0003")
	b.set(system1, `{"Boot":{"BootSourceOverrideEnabled@Redfish.AllowableValues":["Once","Disabled"]}}`)
	b.overrides(system1, func(boot map[string]any) (string, string) {
		if order, ok := boot["BootOrder"].([]any); ok && len(order) != 3 {
			return "Base.1.8.ArrayPropertyOutOfBound", "BootOrder"
		}
		return "", ""
	})
	must(t, b.driver(t).SetBoot(t.Context(), always))
	if got := b.order(); len(got) != 3 || got[0] != "Boot0003" {
		t.Errorf("%v", got)
	}
}

// Fact: NVIDIA's Vera Rubin writes the items of the boot order as "Boot0019: Ubuntu": what stands before the colon is the reference.
func TestOrderWithLabels(t *testing.T) {
	b := newDevice(t)
	b.ordered("Boot0001: UEFI PXEv4", "Boot0002: Virtual CD", "Boot0003: Ubuntu disk")
	b.set(system1, `{"Boot":{"BootSourceOverrideEnabled@Redfish.AllowableValues":["Once","Disabled"]}}`)
	must(t, b.driver(t).SetBoot(t.Context(), always))
	if got := b.order(); got[0] != "Boot0003" {
		t.Errorf("%v", got)
	}
}

// Fact: some Supermicro answer PropertyUnknown to BootOrder: the device is set again before each boot then.
func TestOrderIsUnknown(t *testing.T) {
	b := newDevice(t)
	b.ordered("Boot0001", "Boot0002", "Boot0003")
	b.set(system1, `{"Boot":{"BootSourceOverrideEnabled@Redfish.AllowableValues":["Once","Disabled"]}}`)
	b.overrides(system1, func(boot map[string]any) (string, string) {
		if boot["BootOrder"] != nil {
			return "Base.1.8.PropertyUnknown", "BootOrder"
		}
		return "", ""
	})
	d := b.driver(t)
	must(t, d.SetBoot(t.Context(), always))
	if d.asserted().Device != bmc.Disk || b.shown("BootSourceOverrideEnabled") != "Once" {
		t.Errorf("%+v, %s", d.asserted(), b.docs[system1])
	}
}

// Fact: older Dells do not know the term of the override beside a target, and take the target alone for the next boot.
func TestTermIsUnknown(t *testing.T) {
	b := newDevice(t)
	b.on("PATCH "+system1, func(w http.ResponseWriter, _ *http.Request, body map[string]any) bool {
		boot := body["Boot"].(map[string]any)
		if boot["BootSourceOverrideEnabled"] != nil {
			refuse(w, http.StatusBadRequest, "Base.1.0.PropertyUnknown", "unknown", "BootSourceOverrideEnabled")
			return true
		}
		boot["BootSourceOverrideEnabled"] = "Once"
		return false
	})
	must(t, b.driver(t).SetBoot(t.Context(), pxe))
}

// Fact: an iDRAC's target Cd is the physical drive; the virtual one is VCD-DVD in the attributes of its manager.
func TestVirtualCDOfIDRAC(t *testing.T) {
	for _, place := range []string{"/redfish/v1/Managers/1/Oem/Dell/DellAttributes/1", "/redfish/v1/Managers/1/Attributes"} {
		b := newDevice(t)
		b.write(place, `{"Attributes":{"ServerBoot.1.FirstBootDevice":"Normal","ServerBoot.1.BootOnce":"Disabled"}}`)
		d := b.driver(t, knowing(t, "dell-idrac9"))
		must(t, d.SetBoot(t.Context(), bmc.Boot{Device: bmc.CDROM}))
		if doc := b.docs[place]; !strings.Contains(doc, `"VCD-DVD"`) || !strings.Contains(doc, `BootOnce":"Enabled"`) || b.shown("BootSourceOverrideTarget") == "Cd" {
			t.Errorf("%s, %s", doc, b.docs[system1])
		}
		if got, err := d.Boot(t.Context()); err != nil || got.Device != bmc.CDROM || got.Persistent {
			t.Errorf("%+v, %v", got, err)
		}
		must(t, d.SetBoot(t.Context(), pxe))
		if doc := b.docs[place]; !strings.Contains(doc, `"Normal"`) || b.shown("BootSourceOverrideTarget") != "Pxe" {
			t.Errorf("%s, %s", doc, b.docs[system1])
		}
	}
}
