package wsman

import (
	"context"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/markup"
)

func (d *driver) Identify(ctx context.Context) (bmc.Identity, error) {
	s, err := d.one(ctx, "DCIM_SystemView")
	if err != nil {
		return bmc.Identity{}, err
	}
	id := bmc.Identity{Manufacturer: s.Value("Manufacturer"), Model: s.Value("Model"), Serial: s.Value("ServiceTag"), UUID: strings.ToLower(s.Value("UUID")),
		AssetTag: s.Value("AssetTag"), BIOSVersion: s.Value("BIOSVersionString"), BMCVendor: "Dell", BMCVersion: s.Value("LifecycleControllerVersion")}
	card, err := d.one(ctx, "DCIM_iDRACCardView")
	if bmc.ClassOf(err) == bmc.Unsupported {
		id.BMCModel = "iDRAC6"
		return id, nil
	}
	if err != nil {
		return id, err
	}
	id.BMCModel, id.BMCVersion = card.Value("Model"), card.Value("FirmwareVersion")
	return id, nil
}

// units are the base units of CIM_NumericSensor.
var units = map[string]struct{ kind, unit string }{
	"2": {"temperature", "Cel"}, "5": {"voltage", "V"}, "6": {"current", "A"}, "7": {"power", "W"}, "19": {"fan", "RPM"}, "65": {"other", "%"},
}

func (d *driver) Sensors(ctx context.Context) ([]bmc.Sensor, error) {
	var out []bmc.Sensor
	for _, class := range []string{"DCIM_NumericSensor", "DCIM_PSNumericSensor"} {
		all, err := d.enumerate(ctx, class)
		if bmc.ClassOf(err) == bmc.Unsupported && len(out) > 0 {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range all {
			out = append(out, sensor(e))
		}
	}
	return out, nil
}

func sensor(e *markup.Element) bmc.Sensor {
	s := bmc.Sensor{Name: e.Value("ElementName"), Kind: "other", Health: word(e.Value("PrimaryStatus"))}
	if u, ok := units[e.Value("BaseUnits")]; ok {
		s.Kind, s.Unit = u.kind, u.unit
	}
	reading, err := strconv.ParseFloat(e.Value("CurrentReading"), 64)
	if err != nil {
		return s // off, or absent
	}
	if m, err := strconv.Atoi(e.Value("UnitModifier")); err == nil {
		reading *= math.Pow10(m)
	}
	s.Value = &reading
	return s
}

// word turns a PrimaryStatus or RollupStatus into ours.
func word(s string) string {
	switch s {
	case "1":
		return "ok"
	case "2":
		return "warning"
	case "3":
		return "critical"
	}
	return "unknown"
}

// Health reads the summary and the parts that it is made of.
func (d *driver) Health(ctx context.Context) (bmc.Health, error) {
	s, err := d.one(ctx, "DCIM_SystemView")
	if err != nil {
		return bmc.Health{Word: "unknown"}, err
	}
	h := bmc.Health{Word: word(s.Value("RollupStatus", "PrimaryStatus"))}
	for _, e := range s.Children {
		part, is := strings.CutSuffix(e.Name, "RollupStatus")
		if w := word(e.Text); is && part != "" && (w == "warning" || w == "critical") {
			h.Causes = append(h.Causes, part+": "+w)
		}
	}
	return h, nil
}

// speeds are the values of LinkSpeed in Mbit/s.
var speeds = map[string]int{"1": 10, "2": 100, "3": 1000, "4": 2500, "5": 10000, "6": 20000, "7": 25000, "8": 40000, "9": 50000, "10": 100000}

func (d *driver) NICs(ctx context.Context) ([]bmc.NIC, error) {
	all, err := d.enumerate(ctx, "DCIM_NICView")
	if err != nil {
		return nil, err
	}
	var out []bmc.NIC
	for _, e := range all {
		n := bmc.NIC{ID: e.Value("FQDD"), Name: e.Value("FQDD"), Model: e.Value("ProductName"), SpeedMbps: speeds[e.Value("LinkSpeed")], Slot: e.Value("DeviceDescription")}
		for _, name := range []string{"CurrentMACAddress", "PermanentMACAddress"} {
			if mac, err := net.ParseMAC(e.Value(name)); err == nil && n.MAC == "" {
				n.MAC = mac.String()
			}
		}
		out = append(out, n)
	}
	return out, nil
}

// Firmware lists what is installed; the iDRAC lists what it could install, too.
func (d *driver) Firmware(ctx context.Context) ([]bmc.Component, error) {
	all, err := d.enumerate(ctx, "DCIM_SoftwareIdentity")
	if err != nil {
		return nil, err
	}
	var out []bmc.Component
	for _, e := range all {
		if s := e.Value("Status"); s != "" && !strings.EqualFold(s, "Installed") {
			continue
		}
		out = append(out, bmc.Component{ID: e.Value("InstanceID"), Name: e.Value("ElementName"), Version: e.Value("VersionString"), Updatable: strings.EqualFold(e.Value("Updateable"), "true")})
	}
	return out, nil
}

// Update lets the iDRAC fetch an image. Firmware of the server's parts is installed at the next boot.
func (d *driver) Update(ctx context.Context, url, component string) (bmc.Task, error) {
	if component == "" {
		return bmc.Task{}, bmc.Fail(bmc.Failure{Class: bmc.Refused}, "WS-MAN does not choose the component; name it as Firmware lists it")
	}
	if err := d.ready(ctx); err != nil {
		return bmc.Task{}, err
	}
	const class = "DCIM_SoftwareInstallationService"
	target := "<wsa:Address>" + nsAddressing + "/role/anonymous</wsa:Address><wsa:ReferenceParameters><wsman:ResourceURI>" + classes + "DCIM_SoftwareIdentity</wsman:ResourceURI>" +
		`<wsman:SelectorSet><wsman:Selector Name="InstanceID">` + markup.Escape(component) + "</wsman:Selector></wsman:SelectorSet></wsa:ReferenceParameters>"
	out, err := d.invoke(ctx, class, "InstallFromURI", false, service(class, "IDRAC:ID", "SoftwareUpdate"), pair{"URI", url}, pair{"Target", target})
	if err != nil {
		return bmc.Task{}, err
	}
	return bmc.Task{ID: jobOf(out), Message: out.Value("Message")}, nil
}

// Events reads the System Event Log.
func (d *driver) Events(ctx context.Context, limit int) ([]bmc.Event, error) {
	all, err := d.enumerate(ctx, "DCIM_SELLogEntry")
	if err != nil {
		return nil, err
	}
	var out []bmc.Event
	for _, e := range all {
		ev := bmc.Event{ID: e.Value("RecordID"), Message: e.Value("RecordData"), Severity: "ok"}
		switch e.Value("PerceivedSeverity") {
		case "3", "4":
			ev.Severity = "warning"
		case "5", "6", "7":
			ev.Severity = "critical"
		}
		// CIM's form is yyyymmddhhmmss.mmmmmm and the zone in minutes, which iDRACs leave at +000.
		if stamp, _, _ := strings.Cut(e.Value("CreationTimeStamp"), "."); len(stamp) == 14 {
			if at, err := time.Parse("20060102150405", stamp); err == nil && at.Year() > 1999 {
				ev.At = at
			}
		}
		out = append(out, ev)
	}
	sortByID(out)
	if limit > 0 && len(out) > limit {
		out = out[len(out)-limit:]
	}
	return out, nil
}

// ClearEvents empties the log; that it was emptied becomes its first entry.
func (d *driver) ClearEvents(ctx context.Context) error {
	if _, err := d.invoke(ctx, "DCIM_SELRecordLog", "ClearLog", false, []pair{{"InstanceID", "DCIM:SEL:1"}}); err != nil {
		return err
	}
	return d.settle(ctx, "an empty log", func() (bool, error) {
		left, err := d.Events(ctx, 2)
		return len(left) <= 1, err
	})
}
