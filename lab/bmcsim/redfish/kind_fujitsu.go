package redfish

// fujitsu lists Fujitsu's iRMCs.
func fujitsu() []Personality {
	six := plain("fujitsu-irmc-s6", "0", "iRMC", "0", "1.15.0", 16)
	six.About = "If-Match is a bare number of the body; boot, power and media also by FTS actions under Oem.Fsas; queries refused; POST told by IsBiosInPostPhase"
	six.Vendor, six.Product, six.Model, six.Firmware, six.OEM = "FUJITSU", "PRIMERGY RX2540 M7", "iRMC S6", "2.63P", "Fsas"
	six.Tags = Tags{Form: Number, Needed: true}
	six.Power.Types = []string{"On", "ForceOff", "GracefulShutdown", "GracefulRestart", "ForceRestart", "Nmi", "PowerCycle", "PushPowerButton"}
	six.Power.BMCTypes = []string{"GracefulRestart"}
	six.Boot = Boot{SelfTestID: "FTS.1.0.SystemInPost"}
	six.Media = Media{Style: "irmc", Under: "Systems", Slots: []Slot{{ID: "0", Types: []string{"CD", "DVD"}}, {ID: "1", Types: []string{"USBStick"}}}}
	six.Settings = Settings{Pending: "Settings", Registry: "Registries/BiosAttributeRegistry.v1_0_0", Mode: Mode{"BootMode", "UEFI", "Legacy"}}
	six.Tree.NoQuery, six.Tree.SystemLogs, six.Tree.ManagerLogs = true, []string{"SystemEventLog", "InternalEventLog"}, nil

	five := six
	five.Name, five.About = "fujitsu-irmc-s5", "like S6 with the older key ts_fujitsu; queries allowed"
	five.Product, five.Model, five.Firmware, five.OEM, five.RedfishVersion = "PRIMERGY RX2540 M5", "iRMC S5", "3.49P", "ts_fujitsu", "1.9.0"
	five.Tree.NoQuery = false
	return []Personality{five, six}
}
