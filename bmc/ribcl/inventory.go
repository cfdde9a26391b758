package ribcl

import (
	"context"
	"net"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/markup"
)

func (d *driver) Identify(ctx context.Context) (bmc.Identity, error) {
	id := bmc.Identity{BMCVendor: "HPE", Manufacturer: "HPE"}
	c := rib("GET_FW_VERSION")
	r, err := d.do(ctx, c)
	if err != nil {
		return bmc.Identity{}, err
	}
	fw, err := r.need(c, "GET_FW_VERSION")
	if err != nil {
		return bmc.Identity{}, err
	}
	id.BMCModel, id.BMCVersion = fw.Attr("MANAGEMENT_PROCESSOR"), fw.Attr("FIRMWARE_VERSION")
	r, err = d.do(ctx, server("GET_HOST_DATA"))
	if err != nil {
		return id, err
	}
	for _, p := range r.parts {
		for _, record := range p.All("SMBIOS_RECORD") {
			identify(&id, record)
		}
	}
	// No tag at all is told by a remark without an element.
	r, err = d.do(ctx, server("GET_ASSET_TAG"))
	if err != nil && bmc.ClassOf(err) != bmc.Unsupported {
		return id, err
	}
	id.AssetTag = told(r.find("ASSET_TAG").Attr("VALUE"))
	return id, nil
}

// identify takes what a decoded SMBIOS record says (types 0 and 1: BIOS and system).
func identify(id *bmc.Identity, record *markup.Element) {
	field := map[string]string{}
	for _, f := range record.All("FIELD") {
		field[strings.ToLower(f.Attr("NAME"))] = told(f.Attr("VALUE"))
	}
	switch record.Attr("TYPE") {
	case "0":
		id.BIOSVersion = strings.TrimSpace(field["family"] + " " + field["date"])
	case "1":
		id.Model, id.Serial = field["product name"], field["serial number"]
		id.UUID = strings.ToLower(field["cuuid"]) // with dashes; the field UUID mirrors raw bytes
	}
}

// told trims what iLO pads and empties what it fills in for nothing.
func told(s string) string {
	switch s = strings.TrimSpace(s); strings.ToUpper(s) {
	case "N/A", "NA", "UNKNOWN", "NOT AVAILABLE", "NONE":
		return ""
	}
	return s
}

// health reads the report of everything, which takes an iLO seconds.
func (d *driver) health(ctx context.Context) (*markup.Element, error) {
	c := server("GET_EMBEDDED_HEALTH")
	r, err := d.do(ctx, c)
	if err != nil {
		return nil, err
	}
	return r.need(c, "GET_EMBEDDED_HEALTH_DATA")
}

func (d *driver) Sensors(ctx context.Context) ([]bmc.Sensor, error) {
	h, err := d.health(ctx)
	if err != nil {
		return nil, err
	}
	var out []bmc.Sensor
	for _, e := range h.Child("FANS").All("FAN") {
		out = append(out, sensor(e, "fan", "%", "SPEED"))
	}
	for _, e := range h.Child("TEMPERATURE").All("TEMP") {
		out = append(out, sensor(e, "temperature", "Cel", "CURRENTREADING"))
	}
	if e := h.Child("POWER_SUPPLIES").Find("PRESENT_POWER_READING"); e != nil {
		out = append(out, bmc.Sensor{Name: "Present Power", Kind: "power", Unit: "W", Value: number(e.Attr("VALUE")), Health: "unknown"})
	}
	return out, nil
}

func sensor(e *markup.Element, kind, unit, reading string) bmc.Sensor {
	s := bmc.Sensor{Name: e.Child("LABEL").Attr("VALUE"), Kind: kind, Unit: unit, Health: word(e.Child("STATUS").Attr("VALUE"))}
	r := e.Child(reading)
	s.Value = number(r.Attr("VALUE"))
	if unit := strings.ToLower(r.Attr("UNIT")); kind == "fan" && unit == "rpm" {
		s.Unit = "RPM"
	} else if kind == "temperature" && unit == "fahrenheit" && s.Value != nil {
		v := (*s.Value - 32) / 1.8
		s.Value = &v
	}
	return s
}

// number reads a number that may carry its unit ("109 Watts"); nil when there is none ("N/A").
func number(s string) *float64 {
	field := strings.Fields(s)
	if len(field) == 0 {
		return nil
	}
	v, err := strconv.ParseFloat(strings.TrimSuffix(field[0], "%"), 64)
	if err != nil {
		return nil
	}
	return &v
}

// word turns RIBCL's words for a condition into ours. What is not there, or not told, is unknown and no alarm.
func word(s string) string {
	switch strings.ToUpper(strings.TrimSpace(s)) {
	case "OK", "OTHER", "REDUNDANT", "FULLY REDUNDANT":
		return "ok"
	case "DEGRADED", "CAUTION", "WARNING", "NOT REDUNDANT", "NON-REDUNDANT":
		return "warning"
	case "FAILED", "CRITICAL", "FAULT", "FAILED REDUNDANT":
		return "critical"
	}
	return "unknown"
}

// Health reads the summary and names the parts behind it.
func (d *driver) Health(ctx context.Context) (bmc.Health, error) {
	h, err := d.health(ctx)
	if err != nil {
		return bmc.Health{Word: "unknown"}, err
	}
	worst := bmc.Health{Word: "unknown"}
	rank := map[string]int{"unknown": 0, "ok": 1, "warning": 2, "critical": 3}
	for _, e := range h.Child("HEALTH_AT_A_GLANCE").Kids() {
		w := word(e.Attr("STATUS"))
		if rank[w] > rank[worst.Word] {
			worst.Word = w
		}
		if rank[w] < rank["warning"] {
			continue
		}
		path := strings.ToLower(e.Name)
		causes := parts(h.Child(e.Name), path)
		if len(causes) == 0 {
			causes = []string{path + ": " + w}
		}
		worst.Causes = append(worst.Causes, causes...)
	}
	return worst, nil
}

// parts lists what is not well inside of a section.
func parts(section *markup.Element, path string) []string {
	var out []string
	for _, e := range section.Kids() {
		if w := word(e.Child("STATUS").Attr("VALUE")); w == "warning" || w == "critical" {
			out = append(out, path+"/"+e.Child("LABEL", "NETWORK_PORT").Attr("VALUE")+": "+w)
		}
	}
	return out
}

// NICs reads the server's own interfaces; the iLO's and the iSCSI functions of the same ports are left out.
func (d *driver) NICs(ctx context.Context) ([]bmc.NIC, error) {
	h, err := d.health(ctx)
	if err != nil {
		return nil, err
	}
	if h.Child("NIC_INFORMATION", "NIC_INFOMATION") == nil {
		return nil, bmc.Fail(bmc.Failure{Class: bmc.Unsupported}, "the iLO's GET_EMBEDDED_HEALTH lists no network interfaces")
	}
	return interfaces(h), nil
}

func interfaces(h *markup.Element) []bmc.NIC {
	var out []bmc.NIC
	for _, e := range h.Child("NIC_INFORMATION", "NIC_INFOMATION").Kids() { // G7 firmware spells it wrong
		if !strings.EqualFold(e.Name, "NIC") {
			continue
		}
		port := e.Child("NETWORK_PORT").Attr("VALUE")
		n := bmc.NIC{ID: port, Name: port, Model: told(e.Child("PORT_DESCRIPTION").Attr("VALUE")), Slot: told(e.Child("LOCATION").Attr("VALUE"))}
		if n.Slot != "" {
			n.ID = n.Slot + " " + port
		}
		if mac, err := net.ParseMAC(e.Child("MAC_ADDRESS").Attr("VALUE")); err == nil {
			n.MAC = mac.String()
		}
		switch strings.ToUpper(e.Child("STATUS").Attr("VALUE")) {
		case "OK", "LINK UP":
			n.Link = "up"
		case "LINK DOWN", "DISCONNECTED":
			n.Link = "down"
		}
		out = append(out, n)
	}
	return out
}

// Firmware reads the versions that the health report lists, or at least the iLO's own.
func (d *driver) Firmware(ctx context.Context) ([]bmc.Component, error) {
	c := rib("GET_FW_VERSION")
	r, err := d.do(ctx, c)
	if err != nil {
		return nil, err
	}
	fw, err := r.need(c, "GET_FW_VERSION")
	if err != nil {
		return nil, err
	}
	out := []bmc.Component{{ID: "iLO", Name: fw.Attr("MANAGEMENT_PROCESSOR"), Version: fw.Attr("FIRMWARE_VERSION")}}
	h, err := d.health(ctx)
	if bmc.ClassOf(err) == bmc.Unsupported {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range h.Child("FIRMWARE_INFORMATION").Kids() {
		name := e.Child("FIRMWARE_NAME").Attr("VALUE")
		if name == "" || strings.EqualFold(name, "iLO") {
			continue
		}
		out = append(out, bmc.Component{ID: name, Name: name, Version: e.Child("FIRMWARE_VERSION").Attr("VALUE")})
	}
	return out, nil
}

// Update is not possible: an iLO of this age has images sent to it, and fetches none.
func (d *driver) Update(context.Context, string, string) (bmc.Task, error) {
	return bmc.Task{}, bmc.Fail(bmc.Failure{Class: bmc.Unsupported}, "RIBCL can not fetch firmware from a URL; update this iLO from its web page, or the server by its own update image")
}

// Follow knows no task.
func (d *driver) Follow(context.Context, string) (bmc.Task, error) { return bmc.Task{Gone: true}, nil }
