package redfish

import (
	"crypto/tls"
	"time"
)

// hpe lists HPE's iLOs.
func hpe() []Personality {
	ilo := plain("hpe-ilo5", "1", "1", "1", "1.6.0", 13)
	ilo.About = "closes connections, refuses changes in POST, the boot mode is a BIOS setting, lower-case paths, gzip unasked, dead links"
	ilo.Vendor, ilo.Product, ilo.Model, ilo.Firmware, ilo.OEM = "HPE", "ProLiant DL385 Gen10 Plus v2", "iLO 5", "iLO 5 v2.72", "Hpe"
	ilo.Wire = Wire{HangsUp: true, Gzip: true, GzipOnly: true, Fold: true}
	ilo.Logins = Logins{Max: 13, FullID: "iLO.2.14.CreateLimitReachedForResource", Absolut: true}
	ilo.Power = Power{
		Types: []string{"On", "ForceOff", "GracefulShutdown", "ForceRestart", "Nmi", "PushPowerButton", "GracefulRestart"}, Same: 400,
		Cooling: 300 * time.Millisecond, CoolingID: "iLO.2.14.InvalidOperationForSystemState", BMCTypes: []string{"ForceRestart", "GracefulRestart"},
	}
	ilo.Boot = Boot{FixedMode: true, SelfTestID: "iLO.2.14.UnableToModifyDuringSystemPOST", Order: true}
	ilo.Media.EjectBody, ilo.Media.EjectEmpty = true, 400
	ilo.Settings = Settings{
		Path: "systems/1/bios", Pending: "settings/", Registry: "registrystore/registries/en/biosattributeregistrya42.v1_2_60", Body: true,
		Mode: Mode{"BootMode", "Uefi", "LegacyBios"},
	}
	ilo.Tasks = Tasks{MonitorGone: true}
	ilo.Tree = Tree{
		OldSensors: true, SystemLogs: []string{"IML", "Event"}, ManagerLogs: []string{"IEL"}, LEDs: "old",
		Dead: []string{"Managers/1/SecurityService/PlatformCertUpdate/Certificates"},
	}
	ilo.Changes = []Change{
		{"Systems/1/LogServices/Event", []byte(`{"Entries": {"@odata.id": "/redfish/v1/Systems/1//LogServices/Event/Entries/"}}`)},
		{"*/Entries/1", []byte(`{"Created": "0000-00-00T00:00:00Z", "Updated": "0000-00-00T00:00:00Z"}`)},
		{"Systems/1", []byte(`{"Status": {"Health": "Critical"}, "Storage": {"@odata.id": "/redfish/v1/Systems/1/Storage/"}}`)},
		{"Chassis/1/Power", []byte(`{"Oem": {"Hpe": {"SNMPPowerThresholdAlert": {"ThresholdWatts": 0}}}}`)},
	}

	four := ilo
	four.Name, four.About = "hpe-ilo4", "like iLO 5; a login's answer has no @odata.id, InsertMedia refuses Inserted, the registry's Uri is an object, TLS 1.2 at most"
	four.Product, four.Model, four.Firmware, four.RedfishVersion = "ProLiant DL380 Gen9", "iLO 4", "iLO 4 v2.78", "1.0.0"
	four.Wire.MaxTLS, four.Logins.NoID = tls.VersionTLS12, true
	four.Media.Refused = []string{"Inserted", "WriteProtected"}
	four.Settings.ExtRef, four.OEM = true, "Hp"
	four.Tasks.None = true

	six := ilo
	six.Name, six.About = "hpe-ilo6", "like iLO 5; NetworkAdapters fail with 400, dates are zeros, new sensors beside the old ones"
	six.Product, six.Model, six.Firmware, six.RedfishVersion = "ProLiant DL365 Gen11", "iLO 6", "iLO 6 v1.66", "1.13.0"
	six.Tree.NoAdapters, six.Tree.NewSensors, six.Tree.LEDs = true, true, ""
	six.Changes = append(six.Changes[:len(six.Changes):len(six.Changes)], Change{"Chassis/1/PowerSubsystem", []byte(`{"Status": {"State": "Absent", "Health": "Unknown"}}`)})

	seven := six
	seven.Name, seven.About = "hpe-ilo7", "like iLO 6; keeps connections, its clock is 25 years late"
	seven.Product, seven.Model, seven.Firmware, seven.RedfishVersion = "ProLiant DL340e Gen12", "iLO 7", "iLO 7 v1.12.00", "1.20.0"
	seven.Wire.HangsUp, seven.Wire.Gzip, seven.Tree.NoAdapters = false, false, false
	seven.Changes = append(seven.Changes[:len(seven.Changes):len(seven.Changes)],
		Change{"Managers/1", []byte(`{"DateTime": "2001-11-03T04:12:11Z"}`)}, Change{"Chassis/1", []byte(`{"Status": {"State": "Ok"}}`)})
	return []Personality{four, ilo, six, seven}
}
