package redfish

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/bmc"
)

// inventory gives the device a firmware inventory of these documents, by path.
func (d *device) inventory(paths ...string) {
	d.write("/redfish/v1/UpdateService", `{"FirmwareInventory":{"@odata.id":"/redfish/v1/UpdateService/FirmwareInventory"}}`)
	d.write("/redfish/v1/UpdateService/FirmwareInventory", members(paths...))
}

func firmwareIDs(t *testing.T, d *Driver) []string {
	t.Helper()
	all, err := d.Firmware(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, c := range all {
		ids = append(ids, c.ID)
	}
	slices.Sort(ids)
	return ids
}

const inventoryPath = "/redfish/v1/UpdateService/FirmwareInventory"

// Fact: Dell and the DGX give collections in pages, and counts that fit neither the page nor the whole: nextLink is followed, and a link back to the start ends it.
func TestPages(t *testing.T) {
	b := newDevice(t)
	b.inventory()
	b.on("GET "+inventoryPath, func(w http.ResponseWriter, r *http.Request, _ map[string]any) bool {
		page, next := inventoryPath+"/A", inventoryPath+"?$skip=1"
		if r.URL.RawQuery != "" {
			page, next = inventoryPath+"/B", inventoryPath
		}
		_, _ = w.Write([]byte(`{"Members@odata.count":77,"Members":[{"@odata.id":"` + page + `"}],"Members@odata.nextLink":"` + next + `"}`))
		return true
	})
	b.write(inventoryPath+"/A", `{"Name":"BIOS"}`)
	b.write(inventoryPath+"/B", `{"Name":"BMC"}`)
	if ids := firmwareIDs(t, b.driver(t)); !slices.Equal(ids, []string{"A", "B"}) {
		t.Errorf("%v", ids)
	}
}

// Fact: old Dell and AMI leave Members@odata.count out, or write 0 beside members.
func TestCountIsNotBelieved(t *testing.T) {
	b := newDevice(t)
	b.inventory()
	b.write(inventoryPath, `{"Members@odata.count":0,"Members":[{"@odata.id":"`+inventoryPath+`/A"}]}`)
	b.write(inventoryPath+"/A", `{"Name":"BIOS"}`)
	if ids := firmwareIDs(t, b.driver(t)); !slices.Equal(ids, []string{"A"}) {
		t.Errorf("%v", ids)
	}
}

// Fact: HPE iLO 5 links to resources that do not exist: a dead link never stops the reading of a collection.
func TestDeadLinks(t *testing.T) {
	b := newDevice(t)
	b.inventory(inventoryPath+"/A", inventoryPath+"/Dead", inventoryPath+"/B")
	b.write(inventoryPath+"/A", `{"Name":"BIOS"}`)
	b.write(inventoryPath+"/B", `{"Name":"BMC"}`)
	if ids := firmwareIDs(t, b.driver(t)); !slices.Equal(ids, []string{"A", "B"}) {
		t.Errorf("%v", ids)
	}
}

// Fact: HPE iLO 5 and 6 write links with two slashes, which they answer 404.
func TestDoubledSlash(t *testing.T) {
	b := newDevice(t)
	b.inventory("/redfish/v1/UpdateService//FirmwareInventory/A/", "https://ilo.example/redfish/v1/UpdateService/FirmwareInventory/B//")
	b.write(inventoryPath+"/A", `{"Name":"BIOS"}`)
	b.write(inventoryPath+"/B", `{"Name":"BMC"}`)
	if ids := firmwareIDs(t, b.driver(t)); !slices.Equal(ids, []string{"A", "B"}) {
		t.Errorf("%v after %v", ids, b.asked)
	}
	if b.count("GET "+inventoryPath+"/A/") != 1 || b.count("GET "+inventoryPath+"/B") != 1 {
		t.Errorf("asked %v", b.asked)
	}
}

// Fact: HPE iLO 5 and later mix cases and closing slashes in links to one resource: it is read once, by the link as the BMC wrote it.
func TestCaseOfLinks(t *testing.T) {
	b := newDevice(t)
	b.inventory(inventoryPath+"/a/", inventoryPath+"/A")
	b.write(inventoryPath+"/a", `{"Name":"BIOS"}`)
	b.write(inventoryPath+"/A", `{"Name":"BIOS"}`)
	if ids := firmwareIDs(t, b.driver(t)); !slices.Equal(ids, []string{"a"}) || b.count("GET "+inventoryPath+"/a/") != 1 {
		t.Errorf("%v after %v", ids, b.asked)
	}
}

// Fact: Inspur writes members as bare strings.
func TestMembersAreStrings(t *testing.T) {
	b := newDevice(t)
	b.write("/redfish/v1/Systems", `{"Members":["/redfish/v1/Systems/1"]}`)
	if id, err := b.driver(t).Identify(t.Context()); err != nil || id.Model != "R1" {
		t.Errorf("%+v, %v", id, err)
	}
}

// Fact: Supermicro gives several components of its firmware inventory one Id: the path is what tells them apart.
func TestIdsRepeat(t *testing.T) {
	b := newDevice(t)
	b.inventory(inventoryPath+"/BMC", inventoryPath+"/BIOS")
	b.write(inventoryPath+"/BMC", `{"Id":"Firmware","Name":"BMC"}`)
	b.write(inventoryPath+"/BIOS", `{"Id":"Firmware","Name":"BIOS"}`)
	if ids := firmwareIDs(t, b.driver(t)); !slices.Equal(ids, []string{"BIOS", "BMC"}) {
		t.Errorf("%v", ids)
	}
}

// Fact: Fujitsu iRMC 2.63P refuses queries that older firmware answered: they are asked again without.
func TestQueryIsRefused(t *testing.T) {
	b := newDevice(t)
	b.inventory()
	b.on("GET "+inventoryPath, func(w http.ResponseWriter, r *http.Request, _ map[string]any) bool {
		if r.URL.RawQuery != "" {
			refuse(w, http.StatusBadRequest, "Base.1.8.QueryNotSupportedOnResource", "no queries")
			return true
		}
		return false
	})
	b.set("/redfish/v1/UpdateService", `{"FirmwareInventory":{"@odata.id":"`+inventoryPath+`?$select=Name"}}`)
	b.write(inventoryPath, members(inventoryPath+"/A"))
	b.write(inventoryPath+"/A", `{"Name":"BIOS"}`)
	if ids := firmwareIDs(t, b.driver(t)); !slices.Equal(ids, []string{"A"}) {
		t.Errorf("%v", ids)
	}
}

// Fact: systems are called 1, Self, System.Embedded.1, DGX or by their serial number: the name is never guessed.
func TestNameOfTheSystem(t *testing.T) {
	for _, name := range []string{"Self", "System.Embedded.1", "QSBP74100021"} {
		b := newDevice(t)
		at := "/redfish/v1/Systems/" + name
		b.write(at, strings.ReplaceAll(b.docs[system1], system1, at))
		delete(b.docs, system1)
		b.write("/redfish/v1/Systems", members(at))
		if id, err := b.driver(t).Identify(t.Context()); err != nil || id.Model != "R1" {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
}

// Fact: NVIDIA's HGX and DGX list the board of the GPUs as a system of its own, and first: the server is the one that can be reset.
func TestServerIsWhatCanBeReset(t *testing.T) {
	b := newDevice(t)
	b.write("/redfish/v1/Systems", members("/redfish/v1/Systems/HGX_Baseboard_0", system1))
	b.write("/redfish/v1/Systems/HGX_Baseboard_0", `{"Model":"HGX","PowerState":"On","Links":{}}`)
	if id, err := b.driver(t).Identify(t.Context()); err != nil || id.Model != "R1" {
		t.Errorf("%+v, %v", id, err)
	}
}

// Fact: a Cray EX4252's BMC controls four servers: each is addressed by its own path, and none is chosen by chance.
func TestSeveralServersBehindOneBMC(t *testing.T) {
	b := newDevice(t)
	node1 := "/redfish/v1/Systems/Node1"
	b.write("/redfish/v1/Systems", members(system1, node1))
	b.write(node1, strings.ReplaceAll(strings.ReplaceAll(b.docs[system1], system1, node1), "R1", "R2"))
	_, err := b.driver(t).Identify(t.Context())
	wantClass(t, err, bmc.Refused)
	if err == nil || !strings.Contains(err.Error(), node1) {
		t.Errorf("the servers are not named: %v", err)
	}
	if id, err := b.driver(t, func(a *bmc.Access) { a.System = node1 }).Identify(t.Context()); err != nil || id.Model != "R2" {
		t.Errorf("%+v, %v", id, err)
	}
}

// Fact: the settings documents of OpenBMC and Lenovo are of the type ComputerSystem too: only members of the collection are servers.
func TestSettingsDocumentIsNoServer(t *testing.T) {
	b := newDevice(t)
	b.set(system1, `{"@Redfish.Settings":{"SettingsObject":{"@odata.id":"/redfish/v1/Systems/1/Pending"}}}`)
	b.write("/redfish/v1/Systems/1/Pending", b.docs[system1])
	d := b.driver(t)
	if _, err := d.Identify(t.Context()); err != nil || d.system != system1 {
		t.Errorf("%s, %v", d.system, err)
	}
}

// Fact: new firmware names the system otherwise: a remembered path that is gone is looked for anew.
func TestSystemIsRenamed(t *testing.T) {
	b := newDevice(t)
	d := b.driver(t, func(a *bmc.Access) { a.Memory.Set(systemFact, "/redfish/v1/Systems/old") })
	if id, err := d.Identify(t.Context()); err != nil || id.Model != "R1" {
		t.Errorf("%+v, %v", id, err)
	}
}

// Fact: Dell iDRACs restart when the chassis resource of a RAID controller or an enclosure is read: it never is.
func TestReadingThatRestartsTheBMC(t *testing.T) {
	b := newDevice(t)
	trap := "/redfish/v1/Chassis/Enclosure.Internal.0-1:RAID.SL.3-1"
	b.set(system1, `{"PowerState":"On","Links":{"Chassis":[{"@odata.id":"`+trap+`"},{"@odata.id":"/redfish/v1/Chassis/1"}]}}`)
	b.sensed(`{"Fans":[{"Name":"Fan 1","Reading":1000}]}`, `{}`)
	all, err := b.driver(t, knowing(t, "dell-idrac9")).Sensors(t.Context())
	if err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	for _, asked := range b.asked {
		if strings.Contains(asked, "Enclosure") {
			t.Errorf("asked %s", asked)
		}
	}
}

// Fact: Huawei's 1288H leaves Links.ManagedBy out for a while: the manager is found in its collection.
func TestManagedByIsMissing(t *testing.T) {
	b := newDevice(t)
	b.set(system1, `{"Links":{"ManagedBy":null}}`)
	if id, err := b.driver(t).Identify(t.Context()); err != nil || id.BMCVersion != "2.13" {
		t.Errorf("%+v, %v", id, err)
	}
}

// Fact: NVIDIA's DGX has several managers: the server's is the one that its system names, or the first that is a BMC.
func TestSeveralManagers(t *testing.T) {
	b := newDevice(t)
	b.set(system1, `{"Links":{"ManagedBy":null}}`)
	b.write("/redfish/v1/Managers", members("/redfish/v1/Managers/RackSwitch", "/redfish/v1/Managers/1"))
	b.write("/redfish/v1/Managers/RackSwitch", `{"ManagerType":"EnclosureManager","FirmwareVersion":"9.9"}`)
	if id, err := b.driver(t).Identify(t.Context()); err != nil || id.BMCVersion != "2.13" {
		t.Errorf("%+v, %v", id, err)
	}
}

// Fact: an iLO 7 told the year 2001: how wrong a BMC's clock is, is known to whoever reads its log.
func TestClockOfTheManager(t *testing.T) {
	b, memory := newDevice(t), &bmc.Memory{}
	b.set("/redfish/v1/Managers/1", `{"DateTime":"2001-11-03T04:12:11Z"}`)
	if _, err := b.driver(t, func(a *bmc.Access) { a.Memory = memory }).Identify(t.Context()); err != nil || !strings.HasSuffix(memory.Get(bmc.ClockFact), "years behind") {
		t.Errorf("%q, %v", memory.Get(bmc.ClockFact), err)
	}
}
