package redfish

import (
	"crypto/tls"
	"time"
)

// dell lists Dell's iDRACs.
func dell() []Personality {
	nine := plain("dell-idrac9", "System.Embedded.1", "iDRAC.Embedded.1", "System.Embedded.1", "1.13.1", 8)
	nine.About = "8 sessions (RAC0218), accounts in slots, BIOS by jobs that show too early, pages of 50, media that lingers, an enclosure that restarts it"
	nine.Vendor, nine.Product, nine.Model, nine.Firmware, nine.OEM = "Dell", "Integrated Dell Remote Access Controller", "15G Monolithic", "6.00.30.00", "Dell"
	nine.Manufacturer = "Dell Inc."
	nine.Logins.FullID = "IDRAC.2.7.RAC0218"
	nine.Accounts = Accounts{Slots: 16, First: 3, RoleNeedsPassword: true}
	nine.Power = Power{Types: []string{"On", "ForceOff", "ForceRestart", "GracefulRestart", "GracefulShutdown", "PushPowerButton", "Nmi", "PowerCycle"}, Same: 409, BMCTypes: []string{"GracefulRestart"}}
	nine.Boot = Boot{Order: true, PhysicalCD: true}
	nine.Media = Media{Slots: []Slot{{ID: "RemovableDisk", Types: []string{"USBStick"}}, {ID: "CD", Types: []string{"CD", "DVD"}}}, Lingers: 400 * time.Millisecond, EjectEmpty: 500}
	nine.Settings = Settings{Pending: "Settings", Jobs: true, Registry: "Systems/System.Embedded.1/Bios/BiosRegistry", Mode: Mode{"BootMode", "Uefi", "Bios"}}
	nine.Tasks = Tasks{NewFirst: true, Racy: true, OnReset: true}
	nine.Tree = Tree{
		OldSensors: true, NewSensors: true, Page: 50, ManagerLogs: []string{"Sel", "Lclog"}, LEDs: "old",
		Traps: []string{"Chassis/Enclosure.Internal.0-1"},
	}
	nine.Changes = []Change{
		{"Systems/System.Embedded.1", []byte(`{"LastResetTime": "0000-00-00T00:00:00+00:00", "PartNumber": "0W9FKHA00   "}`)},
		{"UpdateService/FirmwareInventory/*", []byte(`{"ReleaseDate": "00:00:00Z"}`)},
		{"*/LogServices/Sel/Entries/1", []byte(`{"Created": "2026-03-04T05:06:07-0600"}`)},
	}

	eight := nine
	eight.Name, eight.About = "dell-idrac8", "like iDRAC9; /redfish/v1/Sessions, no GracefulRestart, Continuous holds for one boot, finished tasks vanish, ResetBios wants a body, TLS 1.2 at most"
	eight.Model, eight.Firmware, eight.RedfishVersion = "13G Monolithic", "2.75.75.75", "1.4.0"
	eight.Wire.MaxTLS = tls.VersionTLS12
	eight.Logins = Logins{Max: 6, Old: true, FullID: "IDRAC.1.6.RAC0218"}
	eight.Power.Types = []string{"On", "ForceOff", "ForceRestart", "GracefulShutdown", "PushPowerButton", "Nmi"}
	eight.Boot.BriefAlways, eight.Boot.Order = true, false
	eight.Settings.Body, eight.Tasks.Purge, eight.Tasks.OnReset, eight.Tree.NewSensors, eight.Tree.NoCount = true, true, false, false, true

	ten := nine
	ten.Name, ten.About = "dell-idrac10", "Boot only by Settings, 412 for If-Match on a POST, `On` refused for a while after off, only the first media slot boots, versions start at 1 again"
	ten.Model, ten.Firmware, ten.RedfishVersion = "17G Monolithic", "1.20.25.00", "1.20.1"
	ten.Tags.RefusePOST = true
	ten.Boot = Boot{Order: true, At: "Settings", Advertised: true, RefuseID: "IDRAC.3.0.SYS426", NoTargets: true}
	ten.Power.Cooling, ten.Power.CoolingID = 500*time.Millisecond, "Base.1.18.ActionParameterValueConflict"
	ten.Media = Media{Under: "Systems", Slots: []Slot{{ID: "1", Types: []string{"CD", "DVD", "USBStick"}}, {ID: "2", Types: []string{"CD", "DVD", "USBStick"}, Silent: true}}}
	ten.Tasks.Critical = false
	return []Personality{eight, nine, ten}
}
