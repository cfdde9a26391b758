package redfish

// supermicro lists Supermicro's BMCs.
func supermicro() []Personality {
	thirteen := plain("supermicro-x13", "1", "1", "1", "1.11.0", 16)
	thirteen.About = "reset types by ActionInfo, no Vendor in the root, what a Boot change leaves out is reset, CD is UsbCd, ImageName stays, inventory ids twice, no BootOrder"
	thirteen.Vendor, thirteen.Product, thirteen.Manufacturer, thirteen.Model, thirteen.Firmware, thirteen.OEM = "", "", "Supermicro", "ASPEED", "11.01.01", "Supermicro"
	thirteen.Power.ActionInfo, thirteen.Power.BMCTypes, thirteen.Power.Same = true, []string{"GracefulRestart"}, 0
	thirteen.Boot = Boot{Forgets: true, CD: "UsbCd"}
	thirteen.Media = Media{
		Refused: []string{"WriteProtected"}, KeepsName: true, Status: 202,
		Slots: []Slot{{ID: "VirtualMedia1", Types: []string{"CD", "DVD", "Floppy", "USBStick"}}, {ID: "VirtualMedia2", Types: []string{"CD", "DVD", "Floppy", "USBStick"}}},
	}
	thirteen.Settings = Settings{Pending: "SD", Registry: "Registries/BiosAttributeRegistry.v1_0_0", Mode: Mode{"BootModeSelect", "UEFI", "Legacy"}}
	thirteen.Tree.SystemLogs, thirteen.Tree.ManagerLogs, thirteen.Tree.LEDs = []string{"Log1"}, []string{"Log1"}, ""
	thirteen.Changes = []Change{
		{"", []byte(`{"Vendor": null, "Product": null}`)},
		{"UpdateService/FirmwareInventory/*", []byte(`{"Id": "Firmware"}`)},
	}

	twelve := thirteen
	twelve.Name, twelve.About = "supermicro-x12", "like X13; InsertMedia also refuses Inserted, Once is ignored"
	twelve.Firmware, twelve.RedfishVersion = "01.03.19", "1.8.0"
	twelve.Media.Refused = []string{"Inserted", "WriteProtected"}
	twelve.Boot.OnceIgnored = true

	eleven := twelve
	eleven.Name, eleven.About = "supermicro-x11", "like X12; BIOS, secure boot and media want a licence that is missing (OemLicenseNotPassed)"
	eleven.Firmware, eleven.RedfishVersion = "01.74.06", "1.8.0"
	eleven.Power.ActionInfo, eleven.Boot.OnceIgnored = false, false
	eleven.Tree.Licensed = []string{"Systems/1/Bios*", "Systems/1/SecureBoot*", "Managers/1/VirtualMedia*"}

	ten := thirteen
	ten.Name, ten.About = "supermicro-x10", "Redfish 1.0.1 without BootSourceOverrideMode; old names of targets; no media, no new sensors"
	ten.Firmware, ten.RedfishVersion = "03.90", "1.0.1"
	ten.Power.ActionInfo = false
	ten.Boot = Boot{NoMode: true, CD: "CD/DVD"}
	ten.Media, ten.Settings.None, ten.Tasks.None = Media{}, true, true
	ten.Tree.NewSensors, ten.Tree.LEDs, ten.Tree.NoCount = false, "old", true
	ten.Changes = append(ten.Changes[:len(ten.Changes):len(ten.Changes)], Change{"Systems/1", []byte(`{"UUID": "00000000-0000-0000-0000-ac1f6b000001"}`)})

	amd := thirteen
	amd.Name, amd.About = "supermicro-as1015", "a Boot change answers 200 and does nothing: mode Legacy, Disabled (AS-1015CS)"
	amd.Vendor, amd.Product, amd.Changes = "Supermicro", "AS-1015CS-TNR", nil
	amd.Boot = Boot{Nothing: true}
	return []Personality{ten, eleven, twelve, thirteen, amd}
}
