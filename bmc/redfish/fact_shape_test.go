package redfish

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/bmc"
)

// write replaces all of a document.
func (d *device) write(path, doc string) { d.docs[path] = doc }

// sensed gives the device a chassis with the thermal and power documents.
func (d *device) sensed(thermal, power string) {
	d.set("/redfish/v1/Chassis/1", `{"Thermal":{"@odata.id":"/redfish/v1/Chassis/1/Thermal"},"Power":{"@odata.id":"/redfish/v1/Chassis/1/Power"}}`)
	d.set(system1, `{"PowerState":"On"}`)
	d.write("/redfish/v1/Chassis/1/Thermal", thermal)
	d.write("/redfish/v1/Chassis/1/Power", power)
}

// sensor returns a sensor by its name.
func (d *device) sensor(t *testing.T, name string) bmc.Sensor {
	t.Helper()
	all, err := d.driver(t).Sensors(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("there is no %s among %+v", name, all)
	return bmc.Sensor{}
}

func wantValue(t *testing.T, s bmc.Sensor, want float64) {
	t.Helper()
	if s.Value == nil || *s.Value != want {
		t.Errorf("%s: %v, want %v", s.Name, s.Value, want)
	}
}

// Fact: BMCs of NVIDIA BlueField and GB200 (OpenBMC) write null for a collection without members.
func TestMembersAreNull(t *testing.T) {
	b := newDevice(t)
	b.write("/redfish/v1/Managers/1/VirtualMedia", `{"Members":null}`)
	all, err := b.driver(t).Media(t.Context())
	if err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}

// Fact: Lenovo XCC leaves a comma before a closing bracket, others begin with a byte order mark or hold control characters: the document is repaired.
func TestInvalidJSONIsRepaired(t *testing.T) {
	for name, spoil := range map[string]func(s string) string{
		"comma":   func(s string) string { return s[:len(s)-1] + ", \n }" },
		"mark":    func(s string) string { return "\xef\xbb\xbf" + s },
		"control": func(s string) string { return strings.Replace(s, `"R1"`, "\"R\x011\"", 1) },
	} {
		b, j := newDevice(t), &bmc.Journal{}
		b.write(system1, spoil(b.docs[system1]))
		id, err := b.driver(t, func(a *bmc.Access) { a.Journal = j }).Identify(t.Context())
		if err != nil || id.Model != "R1" {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
		if notes := strings.Join(j.Take(), "; "); !strings.Contains(notes, "invalid JSON") {
			t.Errorf("%s: nobody is told: %q", name, notes)
		}
	}
}

// Fact: the DGX H100 writes readings as strings.
func TestReadingIsAString(t *testing.T) {
	b := newDevice(t)
	b.sensed(`{"Temperatures":[{"Name":"Inlet","ReadingCelsius":"55.546875","Status":{"State":"Enabled"}}]}`, `{}`)
	wantValue(t, b.sensor(t, "Inlet"), 55.546875)
}

// Fact: Cisco IMC writes "N/A" for what has no reading, and one object for the list PowerControl.
func TestPowerControlIsAnObject(t *testing.T) {
	b := newDevice(t)
	b.sensed(`{"Temperatures":[{"Name":"Outlet","ReadingCelsius":"N/A","UpperThresholdCritical":"N/A"}]}`, `{"PowerControl":{"Name":"Chassis","PowerConsumedWatts":211}}`)
	wantValue(t, b.sensor(t, "Chassis"), 211)
	if s := b.sensor(t, "Outlet"); s.Value != nil {
		t.Errorf("%v", *s.Value)
	}
}

// Fact: BMCs of AMI give numbers where the standard has strings, and empty strings where it has numbers.
func TestStringsAndNumbersAreMixed(t *testing.T) {
	b := newDevice(t)
	b.set(system1, `{"Model":4711,"AssetTag":null,"SKU":17.5}`)
	b.sensed(`{"Fans":[{"MemberId":3,"Name":"Fan 1","Reading":"","Status":{"Health":"OK"}},{"MemberId":"4","Name":"Fan 2","Reading":0.08}]}`, `{}`)
	if id, err := b.driver(t).Identify(t.Context()); err != nil || id.Model != "4711" {
		t.Errorf("%+v, %v", id, err)
	}
	if s := b.sensor(t, "Fan 1"); s.Value != nil {
		t.Errorf("%v", *s.Value)
	}
	wantValue(t, b.sensor(t, "Fan 2"), 0.08)
}

// Fact: an iDRAC writes [{"Member": "X"}] for a string now and then.
func TestStringIsAListOfOneMember(t *testing.T) {
	b := newDevice(t)
	b.set(system1, `{"BiosVersion":[{"Member":"2.19.0"}]}`)
	if id, err := b.driver(t).Identify(t.Context()); err != nil || id.BIOSVersion != "2.19.0" {
		t.Errorf("%+v, %v", id, err)
	}
}

// Fact: ASRock Rack writes a list where the standard has the object PartLocation: what is not used does not spoil a document.
func TestPropertyOfAnotherTypeDoesNotSpoilTheDocument(t *testing.T) {
	b := newDevice(t)
	b.sensed(`{"Temperatures":[{"Name":"CPU","ReadingCelsius":40,"PartLocation":[{}],"Status":"OK"},{"Name":"DIMM","ReadingCelsius":35}]}`, `{}`)
	b.set("/redfish/v1/Chassis/1", `{"Location":{"PartLocation":[]},"PartLocation":[1,2],"Status":{"Health":["OK"]}}`)
	wantValue(t, b.sensor(t, "DIMM"), 35)
}

// Fact: old firmware of NVIDIA BlueField leaves the words of the boot override empty.
func TestBootWordsAreEmpty(t *testing.T) {
	b := newDevice(t)
	b.set(system1, `{"Boot":{"BootSourceOverrideTarget":"","BootSourceOverrideEnabled":"","BootSourceOverrideMode":""}}`)
	got, err := b.driver(t).Boot(t.Context())
	if err != nil || got != (bmc.Boot{Device: bmc.None}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// Fact: H3C's R4900 G6 swaps Health and State: a health that is no health is unknown, not critical.
func TestHealthIsSwapped(t *testing.T) {
	b := newDevice(t)
	b.set(system1, `{"Status":{"Health":"Enabled","State":"OK"}}`)
	if h, err := b.driver(t).Health(t.Context()); err != nil || h.Word != "unknown" {
		t.Errorf("%+v, %v", h, err)
	}
}

// Fact: Intel's S2600BPB writes a list of one word for a health.
func TestHealthIsAList(t *testing.T) {
	b := newDevice(t)
	b.set(system1, `{"Status":{"Health":["Warning"]}}`)
	if h, err := b.driver(t).Health(t.Context()); err != nil || h.Word != "warning" {
		t.Errorf("%+v, %v", h, err)
	}
}

// Fact: HPE iLO 5 to 7 write the state "Ok" and the health "Unknown", NVIDIA "Standby" and "Invalid": words are compared without case, and others are unknown.
func TestWordsOfStatus(t *testing.T) {
	for _, c := range []struct{ state, health, want string }{{"Ok", "OK", "ok"}, {"Enabled", "Unknown", "unknown"}, {"Standby", "ok", "ok"}, {"Invalid", "CRITICAL", "critical"}, {"Enabled", "", "unknown"}} {
		b := newDevice(t)
		b.sensed(`{"Fans":[{"Name":"Fan 1","Reading":1000,"Status":{"State":"`+c.state+`","Health":"`+c.health+`"}}]}`, `{}`)
		if s := b.sensor(t, "Fan 1"); s.Health != c.want {
			t.Errorf("%+v: %s", c, s.Health)
		}
	}
}

// Fact: Dell iDRAC9 writes LastResetTime 0000-00-00T00:00:00+00:00, which is no time.
func TestTimeOfTheYearZero(t *testing.T) {
	b := newDevice(t)
	b.set(system1, `{"LastResetTime":"0000-00-00T00:00:00+00:00"}`)
	if s, _, err := b.driver(t).read(t.Context()); err != nil || !s.LastResetTime.IsZero() || s.Model != "R1" {
		t.Errorf("%+v, %v", s.LastResetTime, err)
	}
}

// Fact: AMI MegaRAC 1.11.0 leaves the links to systems, chassis and managers out of the root until it is restarted.
func TestRootLacksLinks(t *testing.T) {
	b := newDevice(t)
	b.write("/redfish/v1", `{"RedfishVersion":"1.11.0"}`)
	id, err := b.driver(t).Identify(t.Context())
	if err != nil || id.Model != "R1" || id.BMCVersion != "2.13" {
		t.Errorf("%+v, %v", id, err)
	}
}

// Fact: Supermicro's GB200 lists a SmartNIC chassis without ChassisType and Name, which stops nothing.
func TestChassisWithoutRequiredProperties(t *testing.T) {
	b := newDevice(t)
	b.set(system1, `{"PowerState":"On","Links":{"Chassis":[{"@odata.id":"/redfish/v1/Chassis/SmartNIC"},{"@odata.id":"/redfish/v1/Chassis/Gone"},{"@odata.id":"/redfish/v1/Chassis/1"}]}}`)
	b.write("/redfish/v1/Chassis/SmartNIC", `{}`)
	b.sensed(`{"Fans":[{"Name":"Fan 1","Reading":1000}]}`, `{}`)
	wantValue(t, b.sensor(t, "Fan 1"), 1000)
}

// Fact: the systems of Supermicro X13 have no Vendor and Product in the root: the vendor's own key, and then the manager's maker, tell who made the BMC.
func TestRootWithoutVendor(t *testing.T) {
	b := newDevice(t)
	b.set("/redfish/v1", `{"Vendor":null,"Product":null,"Oem":{"Supermicro":{}}}`)
	if id, err := b.driver(t).Identify(t.Context()); err != nil || id.BMCVendor != "Supermicro" || id.Manufacturer != "Hagane" {
		t.Errorf("%+v, %v", id, err)
	}
	b.set("/redfish/v1", `{"Oem":null}`)
	b.set("/redfish/v1/Managers/1", `{"Manufacturer":"ASPEED"}`)
	if id, err := b.driver(t).Identify(t.Context()); err != nil || id.BMCVendor != "ASPEED" {
		t.Errorf("%+v, %v", id, err)
	}
}

// Fact: Dell's SerialNumber is the board's; the service tag is in SKU.
func TestServiceTag(t *testing.T) {
	b := newDevice(t)
	b.set(system1, `{"Manufacturer":"Dell Inc.","SerialNumber":"CNFCP0012300AB","SKU":"7XK2QM3"}`)
	if id, err := b.driver(t).Identify(t.Context()); err != nil || id.Serial != "7XK2QM3" {
		t.Errorf("%+v, %v", id, err)
	}
	b.set(system1, `{"Manufacturer":"Lenovo","SKU":"7X99CTO1WW"}`)
	if id, err := b.driver(t).Identify(t.Context()); err != nil || id.Serial != "CNFCP0012300AB" {
		t.Errorf("%+v, %v", id, err)
	}
}

// Fact: all vendors pad strings and write words such as "To be filled by O.E.M." where they have nothing to say.
func TestJunkInStrings(t *testing.T) {
	b := newDevice(t)
	b.set(system1, `{"SerialNumber":"MT2242XZ00QA      ","AssetTag":"To be filled by O.E.M.","BiosVersion":"N/A","Model":" NA "}`)
	id, err := b.driver(t).Identify(t.Context())
	if err != nil || id.Serial != "MT2242XZ00QA" || id.AssetTag != "" || id.BIOSVersion != "" || id.Model != "" {
		t.Errorf("%+v, %v", id, err)
	}
}

// Fact: boards whose maker set no UUID give one of zeros or of Fs only: it names no server.
func TestUUIDThatIsNone(t *testing.T) {
	for written, want := range map[string]string{
		"00000000-0000-0000-0000-000000000000": "", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF": "",
		"4C4C4544-0058-4B10-8032-B7C04F514D33": "4c4c4544-0058-4b10-8032-b7c04f514d33",
	} {
		b := newDevice(t)
		b.set(system1, `{"UUID":"`+written+`"}`)
		if id, err := b.driver(t).Identify(t.Context()); err != nil || id.UUID != want {
			t.Errorf("%s: %q, %v", written, id.UUID, err)
		}
	}
}

// Fact: iLO 4 writes {"extref": path} for the Uri of the BIOS's registry.
func TestLinkIsAnExtref(t *testing.T) {
	b := newDevice(t)
	b.bios(`{"BootMode":"Uefi"}`, "")
	b.write("/redfish/v1/Registries/Attributes.1", `{"Id":"Attributes.1","Location":[{"Language":"en","Uri":{"extref":"/redfish/v1/RegistryStore/1"}}]}`)
	b.write("/redfish/v1/RegistryStore/1", b.docs[registryFile])
	delete(b.docs, registryFile)
	all, err := b.driver(t).Settings(t.Context())
	if err != nil || len(all) != 1 || all[0].Type != "enumeration" {
		t.Errorf("%+v, %v", all, err)
	}
}

// Fact: AMI's $expand leaves Id and Name out of members: members are read one by one.
func TestMembersAreReadOneByOne(t *testing.T) {
	b := newDevice(t)
	b.on("GET /redfish/v1/Systems", func(w http.ResponseWriter, r *http.Request, _ map[string]any) bool {
		if r.URL.RawQuery == "" {
			return false
		}
		_, _ = w.Write([]byte(`{"Members":[{}]}`))
		return true
	})
	if id, err := b.driver(t).Identify(t.Context()); err != nil || id.Model != "R1" {
		t.Errorf("%+v, %v", id, err)
	}
	for _, asked := range b.asked {
		if strings.Contains(asked, "?") {
			t.Errorf("asked %s", asked)
		}
	}
}
