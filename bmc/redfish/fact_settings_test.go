package redfish

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/bmc"
)

const (
	biosPath     = "/redfish/v1/Systems/1/Bios"
	pendingPath  = biosPath + "/Settings"
	registryFile = "/redfish/v1/Registries/Attributes.1.json"
)

// bios gives the device BIOS settings with a registry. pending is what the settings resource holds; "" has none.
func (d *device) bios(attributes, pending string) {
	d.set(system1, `{"Bios":{"@odata.id":"`+biosPath+`"}}`)
	d.write(biosPath, `{"AttributeRegistry":"Attributes.1","Attributes":`+attributes+`,"@Redfish.Settings":{"SettingsObject":{"@odata.id":"`+pendingPath+`"}}}`)
	if pending == "" {
		pending = "{}"
	}
	d.write(pendingPath, `{"Attributes":`+pending+`}`)
	d.write("/redfish/v1/Registries/Attributes.1", `{"Id":"Attributes.1","Location":[{"Language":"en","Uri":"`+registryFile+`"}]}`)
	d.write(registryFile, `{"RegistryEntries":{"Attributes":[
		{"AttributeName":"BootMode","Type":"Enumeration","Value":[{"ValueName":"Uefi","ValueDisplayName":"UEFI Mode"},{"ValueName":"Bios","ValueDisplayName":"Legacy Mode"}]},
		{"AttributeName":"Cores","Type":"Integer","LowerBound":-1,"UpperBound":-1},
		{"AttributeName":"Watts","Type":"Integer","LowerBound":"100","UpperBound":"400"},
		{"AttributeName":"Serial","Type":"String","Readonly":"true"}]}}`)
}

// queue gives the device a queue of Dell jobs.
func (d *device) queue(jobs ...string) {
	var all []string
	for i, j := range jobs {
		at := "/redfish/v1/Managers/1/Oem/Dell/Jobs/JID_" + string(rune('1'+i))
		d.write(at, j)
		all = append(all, at)
		d.on("DELETE "+at, func(_ http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
			delete(d.docs, at)
			d.write("/redfish/v1/Managers/1/Oem/Dell/Jobs", members())
			return false
		})
	}
	d.write("/redfish/v1/Managers/1/Oem/Dell/Jobs", members(all...))
}

const openJob = `{"JobType":"BIOSConfiguration","JobState":"Scheduled"}`

func setting(t *testing.T, d *Driver, name string) bmc.Setting {
	t.Helper()
	all, err := d.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("there is no setting %s in %+v", name, all)
	return bmc.Setting{}
}

// Fact: Dell iDRAC takes one job of BIOS settings at a time: a second change replaces the open job by one that makes both.
func TestOpenJobIsReplaced(t *testing.T) {
	b := newDevice(t)
	b.bios(`{"BootMode":"Bios","Watts":300}`, `{"Watts":250}`)
	b.queue(openJob)
	b.on("PATCH "+pendingPath, func(w http.ResponseWriter, _ *http.Request, body map[string]any) bool {
		if b.docs["/redfish/v1/Managers/1/Oem/Dell/Jobs/JID_1"] != "" {
			refuse(w, http.StatusBadRequest, "IDRAC.2.8.BIOS007", "Pending configuration values are already committed")
			return true
		}
		return false
	})
	d := b.driver(t, knowing(t, "dell-idrac9"))
	must(t, d.SetSettings(t.Context(), map[string]any{"BootMode": "Uefi"}))
	if doc := b.docs[pendingPath]; !strings.Contains(doc, `"BootMode":"Uefi"`) || !strings.Contains(doc, `"Watts":250`) {
		t.Errorf("pending %s", doc)
	}
}

// Fact: Dell's Bios resource shows the new values before the job ran: they are in force only when no job is open.
func TestValuesShowTooEarly(t *testing.T) {
	b := newDevice(t)
	b.bios(`{"BootMode":"Uefi"}`, `{"BootMode":"Uefi"}`)
	b.queue(openJob)
	d := b.driver(t, knowing(t, "dell-idrac9"))
	if s := setting(t, d, "BootMode"); s.Pending != "Uefi" {
		t.Errorf("%+v", s)
	}
	b.queue(`{"JobType":"BIOSConfiguration","JobState":"Completed"}`)
	if s := setting(t, d, "BootMode"); s.Pending != nil {
		t.Errorf("%+v after the job", s)
	}
}

// Fact: Dell keeps jobs of others in the queue: only those of BIOS settings stand in the way, and only our one is deleted, never the whole queue.
func TestJobsOfOthersStay(t *testing.T) {
	b := newDevice(t)
	b.bios(`{"BootMode":"Bios"}`, "")
	b.queue(`{"JobType":"FirmwareUpdate","JobState":"Running"}`, `{"JobType":"BIOSConfiguration","JobState":"CompletedWithErrors"}`)
	must(t, b.driver(t, knowing(t, "dell-idrac9")).SetSettings(t.Context(), map[string]any{"BootMode": "Uefi"}))
	for _, asked := range b.asked {
		if strings.HasPrefix(asked, "DELETE") && strings.Contains(asked, "Jobs") || strings.Contains(asked, "DeleteJobQueue") {
			t.Errorf("asked %s", asked)
		}
	}
}

// Fact: Dell's job queue leaves scheduled jobs behind when they are deleted one by one; the queue's own service takes one by its number.
func TestJobIsDeletedByTheService(t *testing.T) {
	b := newDevice(t)
	b.bios(`{"BootMode":"Bios"}`, `{"BootMode":"Uefi"}`)
	b.queue(openJob)
	b.on("DELETE /redfish/v1/Managers/1/Oem/Dell/Jobs/JID_1", func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return true
	})
	var number any
	b.on("POST /redfish/v1/Managers/1/Oem/Dell/DellJobService/Actions/DellJobService.DeleteJobQueue", func(w http.ResponseWriter, _ *http.Request, body map[string]any) bool {
		number = body["JobID"]
		w.WriteHeader(http.StatusOK)
		return true
	})
	must(t, b.driver(t, knowing(t, "dell-idrac9")).DropPending(t.Context()))
	if number != "JID_1" {
		t.Errorf("deleted %v: JID_CLEARALL would take the jobs of others too", number)
	}
}

// Fact: Dell's Lifecycle Controller answers SWC0700, RAC0508 or SYS518 while it is not ready: asked again.
func TestLifecycleControllerIsNotReady(t *testing.T) {
	for _, id := range []string{"IDRAC.2.8.SWC0700", "IDRAC.2.8.RAC0508", "IDRAC.2.8.SYS518"} {
		b, refusals := newDevice(t), 2
		b.bios(`{"BootMode":"Bios"}`, "")
		b.on("PATCH "+pendingPath, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
			if refusals == 0 {
				return false
			}
			refusals--
			refuse(w, http.StatusBadRequest, id, "not ready")
			return true
		})
		if err := b.driver(t).SetSettings(t.Context(), map[string]any{"BootMode": "Uefi"}); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// Fact: Supermicro, AMI and Lenovo keep a full copy of all values in the settings resource: pending is what differs.
func TestPendingIsAFullCopy(t *testing.T) {
	b := newDevice(t)
	b.bios(`{"BootMode":"Bios","Watts":300}`, `{"BootMode":"Uefi","Watts":300}`)
	d := b.driver(t)
	if s := setting(t, d, "Watts"); s.Pending != nil {
		t.Errorf("%+v", s)
	}
	if s := setting(t, d, "BootMode"); s.Pending != "Uefi" {
		t.Errorf("%+v", s)
	}
}

// Fact: Dell's registry spells ReadOnly otherwise and gives bounds of -1 where there are none; values may be asked for by what the menu shows.
func TestRegistryOfDell(t *testing.T) {
	b := newDevice(t)
	b.bios(`{"BootMode":"Bios","Cores":8,"Serial":"X","Watts":300}`, "")
	d := b.driver(t)
	if s := setting(t, d, "Serial"); !s.ReadOnly {
		t.Errorf("%+v", s)
	}
	if s := setting(t, d, "Cores"); s.Min != nil || s.Max != nil {
		t.Errorf("%+v", s)
	}
	if s := setting(t, d, "Watts"); s.Min == nil || *s.Min != 100 || *s.Max != 400 {
		t.Errorf("%+v", s)
	}
	wantClass(t, d.SetSettings(t.Context(), map[string]any{"Watts": 99}), bmc.Refused)
	wantClass(t, d.SetSettings(t.Context(), map[string]any{"Serial": "Y"}), bmc.Refused)
	must(t, d.SetSettings(t.Context(), map[string]any{"BootMode": "uefi mode", "Cores": 12}))
	if doc := b.docs[pendingPath]; !strings.Contains(doc, `"BootMode":"Uefi"`) {
		t.Error(doc)
	}
}

// Fact: NVIDIA BlueField before 24.07 answers 500 for its BIOS settings in NIC mode: it has none then.
func TestBIOSAnswers500(t *testing.T) {
	b := newDevice(t)
	b.bios(`{}`, "")
	b.on("GET "+biosPath, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		w.WriteHeader(http.StatusInternalServerError)
		return true
	})
	_, err := b.driver(t).Settings(t.Context())
	wantClass(t, err, bmc.Unsupported)
}

// Fact: iDRAC8 answers 400 or 415 to a reset of the BIOS settings without a body.
func TestResetOfSettingsHasABody(t *testing.T) {
	b := newDevice(t)
	b.bios(`{"BootMode":"Bios"}`, "")
	b.on("POST "+biosPath+"/Actions/Bios.ResetBios", func(w http.ResponseWriter, r *http.Request, body map[string]any) bool {
		if body == nil || r.Header.Get("Content-Type") != "application/json" {
			refuse(w, http.StatusUnsupportedMediaType, "Base.1.0.GeneralError", "no body")
			return true
		}
		w.WriteHeader(http.StatusOK)
		return true
	})
	must(t, b.driver(t).ResetSettings(t.Context()))
}

// Fact: some BMCs refuse the apply time that they list: it is left out then.
func TestApplyTimeIsRefused(t *testing.T) {
	b := newDevice(t)
	b.bios(`{"BootMode":"Bios"}`, "")
	b.set(biosPath, `{"@Redfish.Settings":{"SupportedApplyTimes":["OnReset"]}}`)
	b.on("PATCH "+pendingPath, func(w http.ResponseWriter, _ *http.Request, body map[string]any) bool {
		if body["@Redfish.SettingsApplyTime"] != nil {
			refuse(w, http.StatusBadRequest, "Base.1.8.PropertyUnknown", "unknown", "@Redfish.SettingsApplyTime")
			return true
		}
		return false
	})
	must(t, b.driver(t).SetSettings(t.Context(), map[string]any{"BootMode": "Uefi"}))
}

// Fact: BMCs accept BIOS settings and keep none: reading back finds it out.
func TestSettingsAreNotKept(t *testing.T) {
	b := newDevice(t)
	b.bios(`{"BootMode":"Bios"}`, "")
	b.on("PATCH "+pendingPath, func(_ http.ResponseWriter, _ *http.Request, _ map[string]any) bool { return true })
	wantClass(t, b.driver(t).SetSettings(t.Context(), map[string]any{"BootMode": "Uefi"}), bmc.Untrue)
}

// Fact: Dell's Bios resource names its registry with another version than the registry's file, and NVIDIA's GH200 names none.
func TestNameOfTheRegistry(t *testing.T) {
	for said, file := range map[string]string{"BiosAttributeRegistry.v1_0_3": "BiosAttributeRegistry.v1_0_0", "": "BiosAttributeRegistry", "BiosAttributeRegistry.v1_0_0": "BiosAttributeRegistry"} {
		b := newDevice(t)
		b.bios(`{"BootMode":"Uefi"}`, "")
		b.set(biosPath, `{"AttributeRegistry":"`+said+`"}`)
		b.write("/redfish/v1/Registries", members("/redfish/v1/Registries/Base", "/redfish/v1/Registries/"+file))
		b.write("/redfish/v1/Registries/Base", `{"Id":"Base","Registry":"Base.1.8","Location":[{"Uri":"/redfish/v1/Registries/Base.json"}]}`)
		b.write("/redfish/v1/Registries/"+file, `{"Id":"`+file+`","Registry":"BiosAttributeRegistry1.0","Location":[{"Language":"en","Uri":"`+registryFile+`"}]}`)
		if s := setting(t, b.driver(t), "BootMode"); s.Type != "enumeration" {
			t.Errorf("%q in %s: %+v", said, file, s)
		}
	}
}
