package redfish

import "time"

// lenovo lists Lenovo's XCCs.
func lenovo() []Personality {
	xcc := plain("lenovo-xcc", "1", "1", "1", "1.15.0", 16)
	xcc.About = "no Continuous, media by PATCH on EXT1-4 amid slots of no use, a full copy pending, 412 at first though the ETag is right, invalid JSON in two places, a monitor that deletes its task"
	xcc.Vendor, xcc.Product, xcc.Model, xcc.Firmware, xcc.OEM = "Lenovo", "ThinkSystem SR670 V2", "Lenovo XClarity Controller", "TGBT42S 2.83 2023-07-05", "Lenovo"
	xcc.Tags = Tags{Racy: true}
	xcc.Power.Same, xcc.Power.Types = 0, []string{"On", "Nmi", "GracefulShutdown", "GracefulRestart", "ForceOn", "ForceOff", "ForceRestart"}
	xcc.Boot = Boot{NoContinuous: true, Order: true, Advertised: false}
	xcc.Media = Media{Style: "patch"}
	for _, id := range []string{"EXT1", "EXT2", "EXT3", "EXT4"} {
		xcc.Media.Slots = append(xcc.Media.Slots, Slot{ID: id, Types: []string{"CD", "DVD", "Floppy", "USBStick"}})
	}
	for _, id := range []string{"Remote1", "Remote2", "Remote3", "Remote4", "RDOC1", "RDOC2"} {
		xcc.Media.Slots = append(xcc.Media.Slots, Slot{ID: id, Types: []string{"CD", "DVD", "Floppy", "USBStick"}, Unable: 400})
	}
	xcc.Settings = Settings{Pending: "Pending", FullCopy: true, Registry: "Registries/BiosAttributeRegistry.1.0.0", Mode: Mode{"BootModes_SystemBootMode", "UEFIMode", "LegacyMode"}}
	xcc.Tasks.MonitorDeletes = true
	xcc.Tree.SystemLogs, xcc.Tree.ManagerLogs = []string{"SEL", "PlatformLog"}, nil
	xcc.Tree.Comma = []string{"TelemetryService/MetricReports/*", "Systems/1/LogServices/PlatformLog"}
	return []Personality{xcc}
}

// ami lists AMI's MegaRACs.
func ami() []Personality {
	mega := plain("ami-megarac", "Self", "Self", "Self", "1.11.0", 15)
	mega.About = "Boot only on /SD (OperationSupportedInFutureStateURI) with If-Match and all three fields, 428 without, $expand drops ids, ActionInfo, a slow root"
	mega.Vendor, mega.Product, mega.Manufacturer, mega.Model, mega.Firmware, mega.OEM = "AMI", "AMI Redfish Server", "AMI", "AST2600", "13.09.1", "Ami"
	mega.Tags.Needed = true
	mega.Power.ActionInfo, mega.Power.Same = true, 0
	mega.Boot = Boot{At: "SD", RefuseID: "Ami.1.0.OperationSupportedInFutureStateURI", Triple: true}
	mega.Media = Media{
		Needed: []string{"TransferProtocolType"}, NeededID: "Base.1.8.PropertyMissing", NullTypes: true,
		Slots: []Slot{{ID: "CD1", Types: []string{"CD", "DVD"}}, {ID: "HD1", Types: []string{"USBStick"}}},
	}
	mega.Settings = Settings{Pending: "SD", FullCopy: true, Registry: "Registries/BiosAttributeRegistry0ACOH.0.12.0", Mode: Mode{"BOOTMODE", "UEFI", "LEGACY"}}
	mega.Tree.ExpandDrops, mega.Tree.NoCount, mega.Tree.Slow = true, true, 700*time.Millisecond
	mega.Tree.SystemLogs, mega.Tree.ManagerLogs = []string{"BIOS"}, []string{"SEL", "EventLog"}
	return []Personality{mega}
}

// openbmc lists BMCs of the OpenBMC project.
func openbmc() []Personality {
	open := plain("openbmc", "system", "bmc", "chassis", "1.17.0", 64)
	open.About = "reset types by ActionInfo, no BootOrder, no ETags, null lists, media in two USB slots, LocationIndicatorActive alone"
	open.Vendor, open.Product, open.Manufacturer, open.Model, open.Firmware = "OpenBMC", "", "OpenBMC", "OpenBmc", "2.14.0"
	open.Tags.Form = NoTag
	open.Power.ActionInfo, open.Power.Same = true, 0
	open.Boot = Boot{}
	open.Media.Slots = []Slot{{ID: "USB1", Types: []string{"CD", "USBStick"}}, {ID: "USB2", Types: []string{"CD", "USBStick"}}}
	open.Tree.NullMembers, open.Tree.LEDs = true, "new"
	open.Tree.SystemLogs, open.Tree.ManagerLogs = []string{"EventLog", "SEL"}, []string{"Journal"}
	return []Personality{open}
}

// nvidia lists NVIDIA's systems with a baseboard of accelerators.
func nvidia() []Personality {
	dgx := ami()[0]
	dgx.Name, dgx.About = "nvidia-dgx", "DGX H100: like MegaRAC, with a second system HGX_Baseboard_0 that has no Reset, pages of 75, readings as strings, null lists"
	dgx.SystemID, dgx.ManagerID, dgx.ChassisID = "DGX", "BMC", "DGX"
	dgx.Manufacturer, dgx.Model, dgx.Firmware = "NVIDIA", "77171220", "23.11.20"
	dgx.Tree.HGX, dgx.Tree.Page, dgx.Tree.NullMembers, dgx.Tree.Slow = true, 75, true, 0
	dgx.Changes = []Change{{"Chassis/DGX/Sensors/*", []byte(`{"Reading": "55.546875"}`)}}

	gb := openbmc()[0]
	gb.Name, gb.About = "nvidia-gb200", "OpenBMC with HGX_Baseboard_0, a Settings resource of the system, versions with a prefix, root without links"
	gb.SystemID, gb.ManagerID, gb.ChassisID = "System_0", "BMC_0", "Chassis_0"
	gb.Vendor, gb.Product, gb.Firmware = "NVIDIA", "GB200 NVL", "GB200Nvl-25.01-8"
	gb.Tree.HGX, gb.Tree.NoRootLinks, gb.Boot.Decoy = true, true, true
	return []Personality{dgx, gb}
}

// cisco lists Cisco's CIMC.
func cisco() []Personality {
	cimc := plain("cisco-cimc", "WZP21460JKL", "CIMC", "1", "1.2.0", 4)
	cimc.About = "media under the system with a slot that can not insert, thresholds N/A, PowerControl is no list, systems named by serial number, 4 sessions"
	cimc.Vendor, cimc.Product, cimc.Manufacturer, cimc.Model, cimc.Firmware = "Cisco Systems Inc.", "UCS C220 M6", "Cisco Systems Inc", "UCSC-C220-M6S", "4.2(3g)"
	cimc.Media = Media{Under: "Systems", Slots: []Slot{{ID: "0", Types: []string{"DVD"}, Unable: 405}, {ID: "1", Types: []string{"DVD"}}}}
	cimc.Power.BMCTypes = nil
	cimc.Changes = []Change{
		{"Chassis/1/Thermal", []byte(`{"Temperatures": null}`)},
		{"Chassis/1/Power", []byte(`{"PowerControl": {"MemberId": 1, "PowerConsumedWatts": "168", "PowerCapacityWatts": "N/A"}}`)},
	}
	return []Personality{cimc}
}
