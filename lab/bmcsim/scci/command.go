package scci

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/bmc/markup"
	"github.com/hagane-cloud/hagane/lab/bmcsim"
	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
	"github.com/hagane-cloud/hagane/lab/machine"
)

// actions are the names of operation codes that may come as hex.
var actions = map[string]string{"0111": "PowerOnCabinet", "0112": "PowerOffCabinet", "0113": "PowerOffOnCabinet", "0204": "ResetServer", "020C": "RaiseNMI",
	"0205": "RequestShutdownAndOff", "0203": "ResetFirmware", "0252": "ConnectRemoteCdImage"}

// sequence carries out a command sequence.
func (b *BMC) sequence(ctx context.Context, text []byte) string {
	root, err := markup.Parse(text)
	if err != nil || !strings.EqualFold(root.Name, "CMDSEQ") {
		return b.body(31, "Error", "The request is not well-formed", "")
	}
	d := inject.From(ctx)
	if d.Code != "" {
		return b.body(31, "Error", "The command failed ("+d.Code+")", "")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var each strings.Builder
	worst, why := 0, "No Error"
	for _, c := range root.All("CMD") {
		status, data, words := 0, "", ""
		if !d.Nothing || !strings.EqualFold(c.Attr("Type"), "SET") {
			status, data, words = b.carryOut(ctx, c)
		}
		if status != 0 {
			worst, why = status, words
		}
		fmt.Fprintf(&each, `<CMD Context="SCCI" OC="%s" OE="%s" OI="%s" Type="%s">`, c.Attr("OC"), c.Attr("OE"), c.Attr("OI"), c.Attr("Type"))
		if data != "" {
			each.WriteString(`<DATA Type="xsd::string">` + markup.Escape(data) + "</DATA>")
		}
		if b.kind.PerCommand || strings.EqualFold(c.Attr("Type"), "GET") {
			fmt.Fprintf(&each, "<STATUS>%d</STATUS>", status)
		}
		each.WriteString("</CMD>\n")
	}
	if b.kind.PerCommand {
		worst, why = 0, "No Error" // each tells for itself
	}
	severity := map[bool]string{true: "Information", false: "Error"}[worst == 0]
	return b.body(worst, severity, why, each.String())
}

func (b *BMC) body(value int, severity, message, inside string) string {
	out := fmt.Sprintf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Status>\n<Value>%d</Value>\n<Severity>%s</Severity>\n<Message>%s</Message>\n%s", value, severity, message, inside)
	if b.kind.Torn {
		return out + "</Stat"
	}
	return out + "</Status>\n"
}

// carryOut answers one command: its status, data, and words.
func (b *BMC) carryOut(ctx context.Context, c *markup.Element) (int, string, string) {
	code, value, index := c.Attr("OC"), c.Attr("OE"), number(c.Attr("OI"))
	if name, ok := actions[strings.ToUpper(strings.TrimPrefix(code, "0x"))]; ok {
		code = name
	}
	switch code {
	case "E001":
		v, ok := b.space[at(value, index)]
		if !ok {
			return 1, "", "The value is not set"
		}
		if strings.EqualFold(value, "1452") || strings.EqualFold(value, "1A62") {
			return 0, "", "" // passwords are not told
		}
		return 0, v, ""
	case "E002", "ConfigSpace":
		b.space[at(value, index)] = c.Value("DATA")
		if err := b.share(value, index); err != nil {
			return 5, "", "Internal error"
		}
		return 0, "", ""
	case "ConnectRemoteCdImage":
		if b.space[at("1A60", 0)] == "" || b.space[at("1A65", 0)] == "" || b.space[at("1A66", 0)] == "" {
			return 5, "", "Input/Output error"
		}
		b.connected = c.Value("DATA") == "1"
		return 0, "", ""
	case "RaiseNMI":
		b.nmis++
		return 0, "", ""
	case "ResetFirmware":
		b.door.Leave()
		return 0, "", ""
	}
	return b.power(ctx, code)
}

// share tells IPMI of a user that was changed: the same users may enter by it. Their places are one further on.
func (b *BMC) share(value string, index int) error {
	switch strings.ToUpper(value) {
	case "1451", "1452", "1454", "1457":
	default:
		return nil
	}
	level, err := strconv.ParseUint(b.space[at("1454", index)], 10, 8)
	if err != nil {
		level = 0
	}
	return b.beside.SetUser(uint8(index+1), b.space[at("1451", index)], b.space[at("1452", index)], uint8(level), b.space[at("1457", index)] == "1")
}

func (b *BMC) power(ctx context.Context, code string) (int, string, string) {
	action, ok := map[string]machine.Action{"PowerOnCabinet": machine.PowerOn, "PowerOffCabinet": machine.PowerOff, "PowerOffOnCabinet": machine.Reset,
		"ResetServer": machine.Reset, "RequestShutdownAndOff": machine.SoftOff}[code]
	if !ok {
		return 13, "", "Unknown operation code"
	}
	if b.tooSoon > 0 {
		b.tooSoon--
		return 5, "", "Input/Output error"
	}
	if err := b.machine.Power(ctx, action); err != nil {
		return 5, "", "Internal error"
	}
	return 0, "", ""
}

// report writes report.xml; lie is the word to tell of the fans in place of the truth.
func (b *BMC) report(lie string) string {
	spec, on := b.machine.Spec(), b.machine.Status().On
	parts := map[bmcsim.Kind]*strings.Builder{bmcsim.Temperature: {}, bmcsim.Fan: {}, bmcsim.Voltage: {}, bmcsim.Power: {}}
	names := map[bmcsim.Kind][2]string{bmcsim.Temperature: {"Temperature", "CurrValue"}, bmcsim.Fan: {"Fan", "CurrSpeed"}, bmcsim.Voltage: {"Voltage", "CurrValue"}, bmcsim.Power: {"PowerSupply", "Load"}}
	for _, s := range b.sensors {
		v, ok := s.Value(on)
		status, reading := `<Status Description="ok">1</Status>`, fmt.Sprintf("<%s>%.3g</%s>", names[s.Kind][1], v, names[s.Kind][1])
		if !ok {
			status, reading = `<Status Description="not available">0</Status>`, ""
		} else if lie != "" && s.Kind == bmcsim.Fan {
			status = `<Status Description="` + strings.ToLower(lie) + `">3</Status>`
		}
		if s.Kind == bmcsim.Fan {
			reading = strings.Replace(reading, fmt.Sprintf("%.3g", v), fmt.Sprintf("%.0f", v), 1)
		}
		fmt.Fprintf(parts[s.Kind], "<%s Name=%q>%s%s</%s>\n", names[s.Kind][0], s.Name, status, reading, names[s.Kind][0])
	}
	return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Root Schema=\"2\" Version=\"" + b.config.Firmware + "\" OS=\"" + b.kind.Name + "\">\n<System>\n<BIOS><SMBIOS>" +
		"<Type0><BiosVersion>V4.6.5.4 R1.33.0</BiosVersion></Type0><Type1><Manufacturer>" + spec.Manufacturer + "</Manufacturer><ProductName>" + spec.Product +
		"</ProductName><SerialNumber>" + spec.Serial + "</SerialNumber><UUID>" + spec.UUID + "</UUID></Type1></SMBIOS></BIOS>\n<Processor><CPU><Status Description=\"ok\">1</Status></CPU></Processor>" +
		"<Memory><Installed>" + fmt.Sprint(spec.MemoryMB) + "</Installed></Memory>\n<Fans>" + parts[bmcsim.Fan].String() + "</Fans><Temperatures>" + parts[bmcsim.Temperature].String() +
		"</Temperatures><Voltages>" + parts[bmcsim.Voltage].String() + "</Voltages><PowerSupplies>" + parts[bmcsim.Power].String() +
		"</PowerSupplies><ManagementControllers><iRMC Name=\"" + b.kind.Name + "\"><Firmware>" + b.config.Firmware + "</Firmware></iRMC></ManagementControllers>\n</System>\n</Root>\n"
}
