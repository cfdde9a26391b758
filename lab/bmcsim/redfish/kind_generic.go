package redfish

// resets are the reset types that most BMCs offer.
func resets(more ...string) []string {
	return append([]string{"On", "ForceOff", "GracefulShutdown", "ForceRestart", "PowerCycle", "PushPowerButton", "Nmi"}, more...)
}

// plain is a BMC that keeps to the standard.
func plain(name, system, manager, chassis, version string, sessions int) Personality {
	return Personality{
		Name: name, About: "keeps to the standard; systems are named " + system,
		Vendor: "Hagane", Product: "Lab BMC", Model: "Lab BMC", Firmware: "2.13", RedfishVersion: version,
		SystemID: system, ManagerID: manager, ChassisID: chassis,
		Logins: Logins{Max: sessions},
		Power:  Power{Types: resets(), BMCTypes: []string{"GracefulRestart", "ForceRestart"}},
		Boot:   Boot{Order: true},
		Media:  Media{Slots: []Slot{{ID: "1", Types: []string{"Floppy", "USBStick"}}, {ID: "2", Types: []string{"CD", "DVD"}}}},
		Settings: Settings{
			Pending: "Settings", Registry: "Registries/BiosAttributeRegistry.v1_0_0", Mode: Mode{"BootMode", "Uefi", "LegacyBios"},
		},
		Tree: Tree{OldSensors: true, NewSensors: true, SystemLogs: []string{"Event"}, ManagerLogs: []string{"SEL"}},
	}
}

// Plain lists the kinds that keep to the standard, by the paths that real vendors use.
func Plain() []Personality {
	strict := plain("generic-strict", "Self", "Self", "Self", "1.8.0", 4)
	strict.About = "keeps to the standard; a PATCH needs If-Match, and 4 sessions are all"
	strict.Tags.Needed = true
	return []Personality{
		plain("generic", "1", "1", "1", "1.6.0", 16),
		plain("generic-embedded", "System.Embedded.1", "BMC.Embedded.1", "System.Embedded.1", "1.11.0", 8),
		strict,
		plain("generic-open", "system", "bmc", "chassis", "1.15.0", 64),
	}
}

// odd lists kinds of vendors that have one peculiarity worth a kind of its own.
func odd() []Personality {
	nokia := plain("nokia-like", "Self", "Self", "Self", "1.6.0", 16)
	nokia.About = "Boot only by the Settings resource; InsertMedia wants TransferProtocolType, TransferMethod, UserName and Password (Nokia, Huawei)"
	nokia.Vendor, nokia.Boot.At, nokia.Boot.Advertised, nokia.Boot.RefuseID = "Nokia", "Settings", true, "Base.1.8.PropertyNotWritable"
	nokia.Media.Needed, nokia.Media.NeededID = []string{"TransferProtocolType", "TransferMethod", "UserName", "Password"}, "Base.1.8.ActionParameterMissing"

	decoy := plain("decoy-settings", "1", "1", "1", "1.6.0", 16)
	decoy.About = "@Redfish.Settings names a resource without Boot; ETags are written twice over; a login's Location is absolute"
	decoy.Boot.Decoy, decoy.Tags.Form, decoy.Logins.Absolut = true, Twice, true

	intel := plain("intel-s2600", "QSBP74100021", "BMC", "RackMount", "1.6.0", 16)
	intel.About = "no EthernetInterfaces, Health is a list, ETags empty, parallel reads not its strength (Intel S2600, Gigabyte R272)"
	intel.Vendor, intel.Model, intel.Tags.Form, intel.Tree.NoSystemNICs = "Intel Corporation", "AST2500", Empty, true
	intel.Changes = []Change{{"Systems/QSBP74100021", []byte(`{"Status": {"Health": ["OK"], "State": "Enabled"}}`)}}

	blank := plain("bluefield", "Bluefield", "Bluefield_BMC", "Card1", "1.14.0", 16)
	blank.About = "boot enumerations are empty strings, no BIOS resource, empty lists are null (NVIDIA BlueField)"
	blank.Vendor, blank.Product, blank.Boot.Blank, blank.Settings.None, blank.Tree.NullMembers = "Nvidia", "BlueField", true, true, true

	h3c := plain("h3c-r4900", "1", "1", "1", "1.9.0", 16)
	h3c.About = "Health and State are swapped, identities padded or junk, doubled slashes in links, links without ManagedBy (H3C, Huawei)"
	h3c.Vendor = "H3C"
	h3c.Changes = []Change{
		{"Chassis/1", []byte(`{"Status": {"Health": "Enabled", "State": "OK"}}`)},
		{"Systems/1", []byte(`{"AssetTag": "To be filled by O.E.M.", "SKU": "N/A", "Links": {"ManagedBy": null}, "LogServices": {"@odata.id": "/redfish/v1/Systems/1//LogServices"}}`)},
	}
	weak := plain("weak-etags", "1", "1", "1", "1.6.0", 16)
	weak.About = "sends weak ETags and accepts only strong ones"
	weak.Tags.Form = Weak
	never := plain("no-etags", "1", "1", "1", "1.6.0", 16)
	never.About = "refuses every If-Match (Gigabyte)"
	never.Vendor, never.Tags.RefuseAll = "GIGABYTE", true
	tasks := plain("odd-tasks", "1", "1", "1", "1.6.0", 16)
	tasks.About = "202 without Location; an update ends as Completed with status Critical and changes nothing (Dell JCP052 and others)"
	tasks.Tasks = Tasks{NoLocation: true, Critical: true, NewFirst: true}
	return []Personality{nokia, decoy, weak, never, tasks, intel, blank, h3c}
}
