package ribcl

import (
	"context"
	"fmt"
	"strings"

	"github.com/hagane-cloud/hagane/bmc/markup"
	"github.com/hagane-cloud/hagane/lab/bmcsim"
	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
)

func (b *BMC) report(ctx context.Context, block string, c *markup.Element) (string, bool) {
	spec := b.machine.Spec()
	switch c.Name {
	case "GET_FW_VERSION":
		return good + attrs("GET_FW_VERSION", "FIRMWARE_VERSION", b.config.Firmware, "FIRMWARE_DATE", "Nov 20 2026",
			"MANAGEMENT_PROCESSOR", b.kind.Name, "LICENSE_TYPE", b.licence()), true
	case "GET_ALL_LICENSES":
		return good + wrap("GET_ALL_LICENSES", wrap("LICENSE", value("LICENSE_TYPE", b.licence()))), true
	case "GET_PRODUCT_NAME":
		return good + wrap("GET_PRODUCT_NAME", value("PRODUCT_NAME", spec.Product)), true
	case "GET_ASSET_TAG":
		return remark("No Asset Tag Information."), true
	case "GET_HOST_DATA":
		return good + b.hostData(), true
	case "GET_EMBEDDED_HEALTH":
		return good + wrap("GET_EMBEDDED_HEALTH_DATA", b.health(inject.From(ctx).Health)), true
	case "GET_EVENT_LOG":
		if block != "SERVER_INFO" || inject.From(ctx).LoseEvents {
			return good + "<EVENT_LOG DESCRIPTION=\"iLO Event Log\">\n</EVENT_LOG>\n", true
		}
		return good + b.log(), true
	case "CLEAR_IML":
		b.events = []event{{"Informational", "Maintenance", "11/20/2026 08:00", "IML Cleared (iLO user: " + b.config.Username + ")"}}
		return good, true
	}
	return "", false
}

func (b *BMC) licence() string {
	if b.kind.Unlicensed {
		return "iLO Standard"
	}
	return "iLO Advanced"
}

func (b *BMC) hostData() string {
	spec := b.machine.Spec()
	record := func(kind string, fields ...string) string {
		var out strings.Builder
		for i := 0; i+1 < len(fields); i += 2 {
			out.WriteString(`<FIELD NAME="` + fields[i] + `" VALUE="` + markup.Escape(fields[i+1]) + "\"/>\n")
		}
		return `<SMBIOS_RECORD TYPE="` + kind + "\" B64_DATA=\"AAAA\">\n" + out.String() + "</SMBIOS_RECORD>\n"
	}
	return wrap("GET_HOST_DATA", record("0", "Subject", "BIOS Information", "Family", "P67", "Date", "05/05/2011")+
		record("1", "Subject", "System Information", "Product Name", spec.Product, "Serial Number", spec.Serial+"      ", "UUID", "raw", "cUUID", strings.ToUpper(spec.UUID))+
		record("9"))
}

func (b *BMC) log() string {
	var out strings.Builder
	out.WriteString("<EVENT_LOG DESCRIPTION=\"Integrated Management Log\">\n")
	for _, e := range b.events {
		text := markup.Escape(e.text)
		if b.kind.LooseQuotes {
			text = strings.ReplaceAll(text, "(", `"`)
			text = strings.ReplaceAll(text, ")", `"`)
		}
		out.WriteString("<EVENT\n SEVERITY=\"" + e.severity + "\"\n CLASS=\"" + e.class + "\"\n LAST_UPDATE=\"" + e.at + "\"\n INITIAL_UPDATE=\"" + e.at +
			"\"\n COUNT=\"1\"\n DESCRIPTION=\"" + text + "\"\n/>\n")
	}
	return out.String() + "</EVENT_LOG>\n"
}

// health is the report; lie is the word to tell of the temperatures in place of the truth.
func (b *BMC) health(lie string) string {
	if lie == "" {
		lie = "OK"
	}
	on := b.machine.Status().On
	var fans, temps, power strings.Builder
	for _, s := range b.sensors {
		v, ok := s.Value(on)
		reading, status := fmt.Sprintf("%.0f", v), "OK"
		if !ok {
			reading, status = "N/A", "Unknown"
		}
		switch s.Kind {
		case bmcsim.Fan:
			percent := fmt.Sprint(int(s.Raw) * 100 / int(s.Max))
			if !ok {
				percent = "N/A"
			}
			fans.WriteString(wrap("FAN", value("ZONE", "System")+value("LABEL", s.Name)+value("STATUS", status)+value("SPEED", percent, "Percentage")))
		case bmcsim.Temperature:
			temps.WriteString(wrap("TEMP", value("LABEL", s.Name)+value("LOCATION", s.Location)+value("STATUS", status)+value("CURRENTREADING", reading, "Celsius")+
				value("CAUTION", fmt.Sprint(s.Max-4), "Celsius")+value("CRITICAL", fmt.Sprint(s.Max), "Celsius")))
		case bmcsim.Power:
			power.WriteString(wrap("POWER_SUPPLY_SUMMARY", value("PRESENT_POWER_READING", reading+" Watts")))
		case bmcsim.Voltage:
		}
	}
	nics := "NIC_INFORMATION"
	if b.kind.MisspeltNICs {
		nics = "NIC_INFOMATION"
	}
	name := "iLO"
	if b.kind.ControlBytes {
		name = "\x01iLO"
	}
	return wrap("FANS", fans.String()) + wrap("TEMPERATURE", temps.String()) + wrap("POWER_SUPPLIES", power.String()) + wrap(nics, b.nics()) +
		wrap("FIRMWARE_INFORMATION", wrap("INDEX_1", value("FIRMWARE_NAME", "HP ProLiant System ROM")+value("FIRMWARE_VERSION", "05/05/2011"))+
			wrap("INDEX_2", "<FIRMWARE_NAME VALUE = \""+name+"\"/>\n"+value("FIRMWARE_VERSION", b.config.Firmware))) +
		wrap("HEALTH_AT_A_GLANCE", attrs("FANS", "STATUS", "OK")+attrs("FANS", "REDUNDANCY", "Fully Redundant")+attrs("TEMPERATURE", "STATUS", lie))
}

func (b *BMC) nics() string {
	var out strings.Builder
	for i, n := range b.machine.Spec().NICs {
		out.WriteString(wrap("NIC", value("NETWORK_PORT", fmt.Sprint("Port ", i+1))+value("PORT_DESCRIPTION", "HP Ethernet 1Gb 4-port 331i Adapter")+
			value("LOCATION", "Embedded")+value("MAC_ADDRESS", n.MAC.String())+value("STATUS", "OK")))
	}
	return out.String() + wrap("iLO", value("NETWORK_PORT", "iLO Dedicated Network Port")+value("MAC_ADDRESS", "02:00:00:00:00:01")) +
		wrap("iSCSI", value("NETWORK_PORT", "Port 1")+value("MAC_ADDRESS", "02:00:00:00:00:02"))
}
