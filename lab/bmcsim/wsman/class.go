package wsman

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/lab/bmcsim"
	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
	"github.com/hagane-cloud/hagane/lab/machine"
)

// instances returns the instances of a class.
func (b *BMC) instances(ctx context.Context, class string) ([][]pair, bool) {
	d := inject.From(ctx)
	switch class {
	case "DCIM_ComputerSystem":
		return b.systems(d), true
	case "DCIM_SystemView":
		return [][]pair{b.systemView(d)}, true
	case "DCIM_iDRACCardView":
		if !b.kind.ServerBoot {
			return nil, false
		}
		return [][]pair{{{"FQDD", "iDRAC.Embedded.1-1"}, {"FirmwareVersion", b.config.Firmware}, {"Model", b.kind.Name + " Enterprise"}}}, true
	case "DCIM_iDRACCardEnumeration":
		if !b.kind.ServerBoot {
			return nil, false
		}
		return append(b.serverBoot(), b.people(class)...), true
	case "DCIM_iDRACCardString", "DCIM_iDRACCardInteger":
		if !b.kind.ServerBoot {
			return nil, false
		}
		return b.people(class), true
	case "DCIM_BIOSEnumeration", "DCIM_BIOSString", "DCIM_BIOSInteger":
		return b.settings(class), true
	case "DCIM_BootSourceSetting":
		return b.sources(), true
	case "DCIM_LifecycleJob":
		if d.LoseTask {
			return nil, true
		}
		out := [][]pair{{{"InstanceID", "JID_CLEARALL"}, {"JobStatus", "Completed"}, {"Name", "CLEARALL"}, {"PercentComplete", "0"}, {"Message", "NA"}, {"MessageID", "NA"}}}
		for _, j := range b.jobs {
			j.advance()
			out = append(out, []pair{{"InstanceID", j.id}, {"JobStatus", j.status}, {"Message", j.message}, {"MessageID", "PR19"}, {"Name", j.name}, {"PercentComplete", strconv.Itoa(j.percent)}})
		}
		return out, true
	case "DCIM_NumericSensor", "DCIM_PSNumericSensor":
		return b.readings(class == "DCIM_PSNumericSensor"), true
	case "DCIM_NICView":
		return b.nics(), true
	case "DCIM_SoftwareIdentity":
		return b.software(), true
	case "DCIM_SELLogEntry":
		return b.log(d), true
	}
	return nil, false
}

func (b *BMC) systems(d inject.Decision) [][]pair {
	state := map[bool]string{true: "2", false: "3"}[b.machine.Status().On]
	if d.Power != "" {
		state = map[string]string{"on": "2", "off": "3"}[d.Power]
	}
	return [][]pair{{{"CreationClassName", "DCIM_SPComputerSystem"}, {"Name", "systemmc"}, {"EnabledState", "2"}},
		{{"CreationClassName", "DCIM_ComputerSystem"}, {"Name", "srv:system"}, {"EnabledState", state}}}
}

func (b *BMC) systemView(d inject.Decision) []pair {
	spec := b.machine.Spec()
	status := "1"
	if d.Health != "" {
		status = map[string]string{"Critical": "3", "Warning": "2"}[d.Health]
	}
	return []pair{{"Manufacturer", spec.Manufacturer}, {"Model", spec.Product}, {"ServiceTag", spec.Serial}, {"BoardSerialNumber", "CN0B" + spec.Serial}, {"UUID", strings.ToUpper(spec.UUID)},
		{"AssetTag", ""}, {"BIOSVersionString", "2.8.0"}, {"LifecycleControllerVersion", b.config.Firmware}, {"PrimaryStatus", status}, {"RollupStatus", status},
		{"CPURollupStatus", "1"}, {"FanRollupStatus", "1"}, {"PSRollupStatus", status}, {"StorageRollupStatus", "0"}}
}

func (b *BMC) serverBoot() [][]pair {
	boot := b.machine.Status().Boot
	word := map[machine.Device]string{machine.None: "Normal", machine.Network: "PXE", machine.Disk: "HDD", machine.CDROM: "VCD-DVD", machine.Setup: "BIOS"}[boot.Device]
	once := "Enabled"
	if boot.Persistent {
		once = "Disabled"
	}
	of := func(name, v string) []pair {
		return []pair{{"AttributeName", name}, {"CurrentValue", v}, {"PendingValue", nilValue}, {"GroupID", "ServerBoot.1"}, {"InstanceID", "iDRAC.Embedded.1#ServerBoot.1#" + name}}
	}
	return [][]pair{{{"AttributeName", "Enable"}, {"CurrentValue", "Enabled"}, {"GroupID", "WebServer.1"}, {"InstanceID", "iDRAC.Embedded.1#WebServer.1#Enable"}}, of("BootOnce", once), of("FirstBootDevice", word)}
}

// people are the attributes of users.
func (b *BMC) people(class string) [][]pair {
	var out [][]pair
	for n, u := range b.users[1:] {
		name, value := "UserName", u.name
		switch class {
		case "DCIM_iDRACCardEnumeration":
			name, value = "Enable", map[bool]string{true: "Enabled", false: "Disabled"}[u.on]
		case "DCIM_iDRACCardInteger":
			if name, value = "Privilege", u.privilege; value == "" {
				value = "0"
			}
		}
		group := fmt.Sprintf("Users.%d", n+1)
		out = append(out, []pair{{"AttributeName", name}, {"CurrentValue", value}, {"PendingValue", nilValue}, {"GroupID", group}, {"InstanceID", "iDRAC.Embedded.1#" + group + "#" + name}})
	}
	return out
}

func (b *BMC) settings(class string) [][]pair {
	var out [][]pair
	for _, a := range b.bios {
		if a.kind != class {
			continue
		}
		pending := nilValue
		if a.set {
			pending = a.pending
		}
		of := []pair{{"AttributeName", a.name}, {"AttributeDisplayName", a.name}, {"CurrentValue", a.current}, {"PendingValue", pending}, {"FQDD", setupTarget}, {"IsReadOnly", fmt.Sprint(a.readOnly)}}
		if b.kind.Defaults && !a.readOnly {
			of = append(of, pair{"DefaultValue", a.factory})
		}
		for _, v := range a.possible {
			of = append(of, pair{"PossibleValues", v})
		}
		switch class {
		case "DCIM_BIOSInteger":
			of = append(of, pair{"LowerBound", "60"}, pair{"UpperBound", "240"})
		case "DCIM_BIOSString":
			of = append(of, pair{"MinLength", "0"}, pair{"MaxLength", "63"})
		}
		out = append(out, of)
	}
	return out
}

func (b *BMC) sources() [][]pair {
	var out [][]pair
	for _, kind := range []string{"IPL", "UEFI"} {
		o := b.orders[kind]
		for _, id := range o.factory {
			of := []pair{{"InstanceID", id}, {"BIOSBootString", id}, {"CurrentAssignedSequence", strconv.Itoa(slices.Index(o.current, id))}, {"PendingAssignedSequence", strconv.Itoa(slices.Index(o.pending, id))}}
			if b.kind.SourceTypes {
				of = append(of, pair{"BootSourceType", kind})
			}
			out = append(out, of)
		}
	}
	return out
}

func sourceDevice(id string) machine.Device {
	switch {
	case strings.Contains(id, "#NIC."):
		return machine.Network
	case strings.Contains(id, "#Optical."):
		return machine.CDROM
	}
	return machine.Disk
}

func (b *BMC) readings(supplies bool) [][]pair {
	on := b.machine.Status().On
	units := map[bmcsim.Kind]string{bmcsim.Temperature: "2", bmcsim.Voltage: "5", bmcsim.Power: "7", bmcsim.Fan: "19"}
	var out [][]pair
	for _, s := range b.sensors {
		if (s.Kind == bmcsim.Power) != supplies {
			continue
		}
		v, ok := s.Value(on)
		reading, modifier := strconv.Itoa(int(v)), "0"
		if s.Kind == bmcsim.Voltage {
			reading, modifier = strconv.Itoa(int(v*1000+0.5)), "-3"
		}
		status := "1"
		if !ok {
			reading, status = nilValue, "0"
		}
		out = append(out, []pair{{"ElementName", s.Name}, {"BaseUnits", units[s.Kind]}, {"UnitModifier", modifier}, {"CurrentReading", reading}, {"PrimaryStatus", status}})
	}
	return out
}

func (b *BMC) nics() [][]pair {
	var out [][]pair
	for i, n := range b.machine.Spec().NICs {
		mac := strings.ToUpper(n.MAC.String())
		out = append(out, []pair{{"FQDD", fmt.Sprintf("NIC.Embedded.%d-1-1", i+1)}, {"ProductName", "Broadcom Gigabit Ethernet BCM5720"}, {"CurrentMACAddress", mac}, {"PermanentMACAddress", mac},
			{"LinkSpeed", "3"}, {"DeviceDescription", fmt.Sprintf("Embedded NIC %d Port 1 Partition 1", i+1)}})
	}
	return out
}

func (b *BMC) software() [][]pair {
	return [][]pair{
		{{"InstanceID", "DCIM:INSTALLED#741__BIOS.Setup.1-1"}, {"ElementName", "BIOS"}, {"VersionString", "2.8.0"}, {"Status", "Installed"}, {"Updateable", "true"}},
		{{"InstanceID", "DCIM:AVAILABLE#741__BIOS.Setup.1-1"}, {"ElementName", "BIOS"}, {"VersionString", "2.7.0"}, {"Status", "Available"}, {"Updateable", "true"}},
		{{"InstanceID", "DCIM:INSTALLED#iDRAC.Embedded.1-1"}, {"ElementName", "Integrated Dell Remote Access Controller"}, {"VersionString", b.config.Firmware}, {"Status", "Installed"}, {"Updateable", "true"}},
	}
}

func (b *BMC) log(d inject.Decision) [][]pair {
	if d.LoseEvents {
		return nil
	}
	var out [][]pair
	for i := range b.events {
		n := len(b.events) - i // newest first, as iDRACs tell them
		e := b.events[n-1]
		out = append(out, []pair{{"RecordID", strconv.Itoa(n)}, {"InstanceID", fmt.Sprintf("DCIM:SEL:Entry:%d", n)}, {"RecordData", e.text}, {"PerceivedSeverity", e.severity},
			{"CreationTimeStamp", "20261104090100.000000+000"}})
	}
	return out
}
