package redfish

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
)

// logged gives the device an event log of these entries.
func (d *device) logged(entries string) {
	d.set(system1, `{"LogServices":{"@odata.id":"`+system1+`/LogServices"}}`)
	d.write(system1+"/LogServices", members(system1+"/LogServices/Audit", system1+"/LogServices/SEL"))
	d.write(system1+"/LogServices/Audit", `{"Id":"Audit","Entries":{"@odata.id":"`+system1+`/LogServices/Audit/Entries"}}`)
	d.write(system1+"/LogServices/SEL", `{"Id":"SEL","Entries":{"@odata.id":"`+system1+`/LogServices/SEL/Entries"}}`)
	d.write(system1+"/LogServices/SEL/Entries", `{"Members":[`+entries+`]}`)
}

// entry is an entry of a log as it stands in its collection.
func entry(id, created, words string) string {
	return `{"@odata.id":"` + system1 + `/LogServices/SEL/Entries/` + id + `","Id":"` + id + `","Created":"` + created + `","Severity":"OK","Message":"` + words + `"}`
}

// Fact: HPE iLO 6 dates entries of its log 0000-00-00, and the clocks of many BMCs are years off: entries are ordered by number.
func TestEventsAreOrderedByNumber(t *testing.T) {
	b := newDevice(t)
	b.logged(strings.Join([]string{entry("10", "2001-11-03T00:00:00Z", "ten"), entry("9", "2026-01-01T00:00:00Z", "nine"), entry("2", "0000-00-00T00:00:00Z", "two")}, ","))
	all, err := b.driver(t).Events(t.Context(), 0)
	must(t, err)
	var words []string
	for _, e := range all {
		words = append(words, e.Message)
	}
	if !slices.Equal(words, []string{"two", "nine", "ten"}) || !all[0].At.IsZero() {
		t.Errorf("%v, the first at %s", words, all[0].At)
	}
	if all, err = b.driver(t).Events(t.Context(), 1); err != nil || len(all) != 1 || all[0].Message != "ten" {
		t.Errorf("the newest is %+v, %v", all, err)
	}
}

// Fact: Dell writes the offset of a time without a colon.
func TestOffsetWithoutColon(t *testing.T) {
	b := newDevice(t)
	b.logged(entry("1", "2026-03-04T05:06:07-0600", "one"))
	all, err := b.driver(t).Events(t.Context(), 0)
	if err != nil || len(all) != 1 || !all[0].At.Equal(time.Date(2026, 3, 4, 11, 6, 7, 0, time.UTC)) {
		t.Errorf("%+v, %v", all, err)
	}
}

// Fact: some BMCs give the entries of a log as links only, which are read one by one.
func TestEntriesAreLinks(t *testing.T) {
	b := newDevice(t)
	at := system1 + "/LogServices/SEL/Entries/"
	b.logged(`{"@odata.id":"` + at + `1"},{"@odata.id":"` + at + `gone"},{"@odata.id":"` + at + `2"}`)
	b.write(at+"1", entry("1", "2026-03-04T05:06:07Z", "one"))
	b.write(at+"2", entry("2", "2026-03-04T05:06:08Z", "two"))
	all, err := b.driver(t).Events(t.Context(), 0)
	if err != nil || len(all) != 2 || all[1].Message != "two" {
		t.Errorf("%+v, %v", all, err)
	}
}

// Fact: rollups of HPE, Dell and Lenovo go critical for one part or for an entry in a log: the parts that are not well are named.
func TestCausesOfHealth(t *testing.T) {
	b := newDevice(t)
	b.set(system1, `{"Status":{"Health":"OK","HealthRollup":"Critical"},"Storage":{"@odata.id":"`+system1+`/Storage"}}`)
	b.write(system1+"/Storage", members(system1+"/Storage/1", system1+"/Storage/2"))
	b.write(system1+"/Storage/1", `{"Status":{"Health":"OK"}}`)
	b.write(system1+"/Storage/2", `{"Status":{"HealthRollup":"Critical"}}`)
	h, err := b.driver(t).Health(t.Context())
	if err != nil || h.Word != "critical" || !slices.Equal(h.Causes, []string{system1 + "/Storage/2: critical"}) {
		t.Errorf("%+v, %v", h, err)
	}
}

// Fact: Dell's BOSS card says Health OK beside HealthRollup Warning with a failed drive, and a PERC has no health: the worst of both, and nothing is not OK.
func TestWorstOfBothHealths(t *testing.T) {
	for st, want := range map[string]string{`{"Health":"OK","HealthRollup":"Warning"}`: "warning", `{"Health":"Critical","HealthRollup":"OK"}`: "critical", `{"Health":null,"HealthRollup":null}`: "unknown"} {
		b := newDevice(t)
		b.write(system1, strings.Replace(b.docs[system1], `{"Health":"OK","State":"Enabled"}`, st, 1))
		if h, err := b.driver(t).Health(t.Context()); err != nil || h.Word != want {
			t.Errorf("%s: %+v, %v", st, h, err)
		}
	}
}

// Fact: Dell calls sensors without power critical while the server is off.
func TestSensorsOfAServerThatIsOff(t *testing.T) {
	b := newDevice(t)
	b.sensed(`{"Fans":[{"Name":"Fan 1","Reading":null,"Status":{"State":"Enabled","Health":"Critical"}}]}`, `{}`)
	if s := b.sensor(t, "Fan 1"); s.Health != "critical" {
		t.Errorf("on: %s", s.Health)
	}
	b.set(system1, `{"PowerState":"Off"}`)
	if s := b.sensor(t, "Fan 1"); s.Health != "unknown" {
		t.Errorf("off: %s", s.Health)
	}
}

// Fact: HPE iLO 6 shows power supplies as absent in the newer documents: the older Power document is read while there is one.
func TestOlderPowerDocumentFirst(t *testing.T) {
	b := newDevice(t)
	b.sensed(`{}`, `{"PowerControl":[{"Name":"Server","PowerConsumedWatts":300}]}`)
	b.set("/redfish/v1/Chassis/1", `{"Sensors":{"@odata.id":"/redfish/v1/Chassis/1/Sensors"}}`)
	b.write("/redfish/v1/Chassis/1/Sensors", members("/redfish/v1/Chassis/1/Sensors/PSU"))
	b.write("/redfish/v1/Chassis/1/Sensors/PSU", `{"Name":"PSU","ReadingType":"Power","Reading":0}`)
	all, err := b.driver(t).Sensors(t.Context())
	if err != nil || len(all) != 1 || all[0].Name != "Server" {
		t.Errorf("%+v, %v", all, err)
	}
}

// Fact: Foxconn's servers lack power data for a while after a power on, and others answer 404 or a page: the other sensors are read all the same.
func TestPowerDocumentIsMissing(t *testing.T) {
	for name, spoil := range map[string]func(b *device){
		"gone": func(b *device) { delete(b.docs, "/redfish/v1/Chassis/1/Power") },
		"page": func(b *device) { b.write("/redfish/v1/Chassis/1/Power", "<html>") },
	} {
		b := newDevice(t)
		b.sensed(`{"Fans":[{"Name":"Fan 1","Reading":1000}]}`, `{}`)
		spoil(b)
		if all, err := b.driver(t).Sensors(t.Context()); err != nil || len(all) != 1 {
			t.Errorf("%s: %+v, %v", name, all, err)
		}
	}
}

// Fact: Intel's S2600 and Gigabyte's R272 have no EthernetInterfaces of the system: the ports of the chassis's adapters are read.
func TestNICsOfTheChassis(t *testing.T) {
	b := newDevice(t)
	adapters := "/redfish/v1/Chassis/1/NetworkAdapters"
	b.set("/redfish/v1/Chassis/1", `{"NetworkAdapters":{"@odata.id":"`+adapters+`"}}`)
	b.write(adapters, members(adapters+"/1"))
	b.write(adapters+"/1", `{"Model":"X710","NetworkPorts":{"@odata.id":"`+adapters+`/1/NetworkPorts"}}`)
	b.write(adapters+"/1/NetworkPorts", members(adapters+"/1/NetworkPorts/1"))
	b.write(adapters+"/1/NetworkPorts/1", `{"AssociatedNetworkAddresses":["AC-1F-6B-00-00-01"],"CurrentLinkSpeedMbps":10000,"LinkStatus":"LinkUp"}`)
	all, err := b.driver(t).NICs(t.Context())
	if err != nil || len(all) != 1 || all[0].MAC != "ac:1f:6b:00:00:01" || all[0].Link != "up" || all[0].SpeedMbps != 10000 || all[0].Model != "X710" {
		t.Errorf("%+v, %v", all, err)
	}
}

// Fact: the Cray EX and others write "Not Available" or nothing for a MAC: it is unknown, and never made up.
func TestMACThatIsNone(t *testing.T) {
	for _, mac := range []string{"Not Available", "", "00:00:00:00:00:00", "N/A"} {
		b := newDevice(t)
		at := system1 + "/EthernetInterfaces"
		b.set(system1, `{"EthernetInterfaces":{"@odata.id":"`+at+`"}}`)
		b.write(at, members(at+"/1"))
		b.write(at+"/1", `{"Id":"1","MACAddress":"`+mac+`","LinkStatus":"LinkDown"}`)
		if all, err := b.driver(t).NICs(t.Context()); err != nil || len(all) != 1 || all[0].MAC != "" || all[0].Link != "down" {
			t.Errorf("%q: %+v, %v", mac, all, err)
		}
	}
}

// Fact: HPE iLO of Gen11 answers 400 for NetworkAdapters, which is an inventory without them.
func TestNetworkAdaptersAnswer400(t *testing.T) {
	b := newDevice(t)
	b.set("/redfish/v1/Chassis/1", `{"NetworkAdapters":{"@odata.id":"/redfish/v1/Chassis/1/NetworkAdapters"}}`)
	b.on("GET /redfish/v1/Chassis/1/NetworkAdapters", func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		refuse(w, http.StatusBadRequest, "iLO.2.20.ResourceNotReadyRetry", "no")
		return true
	})
	if all, err := b.driver(t).NICs(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
}

// Fact: HPE and Dell refuse the steady light and know Blinking only.
func TestLightThatBlinksOnly(t *testing.T) {
	b := newDevice(t)
	b.set(system1, `{"IndicatorLED":"Off"}`)
	b.on("PATCH "+system1, func(w http.ResponseWriter, _ *http.Request, body map[string]any) bool {
		if body["IndicatorLED"] == "Lit" {
			refuse(w, http.StatusBadRequest, "Base.1.8.PropertyValueNotInList", "Lit", "IndicatorLED")
			return true
		}
		return false
	})
	d := b.driver(t)
	must(t, d.SetLight(t.Context(), bmc.LightOn))
	if l, err := d.Light(t.Context()); err != nil || l != bmc.LightBlink {
		t.Errorf("%s, %v", l, err)
	}
}
