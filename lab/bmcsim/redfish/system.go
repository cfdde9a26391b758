package redfish

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/hagane-cloud/hagane/lab/bmcsim"
)

// catchUp carries out what waited for a boot of the machine or a restart of the BMC. The lock is held.
func (b *BMC) catchUp() {
	s := &b.state
	if boots := b.machine.Status().Boots; boots != s.boots {
		s.boots, s.lie = boots, nil
		b.applySettings()
		for _, component := range components[1:] {
			b.finishStaged(component)
		}
		b.activate("BIOS")
	}
	if r := b.restarts.Load(); r != s.restarts {
		s.restarts = r
		b.finishStaged(components[0])
		b.activate("BMC")
	}
}

func (c *call) systems() document {
	paths := []string{c.system()}
	if c.kind.Tree.HGX {
		paths = []string{"Systems/HGX_Baseboard_0", c.system()}
	}
	return c.members("ComputerSystem", paths...)
}

// inSelfTest reports whether the machine is in its power-on self-test.
func (b *BMC) inSelfTest() bool { return bmcsim.InSelfTest(b.machine.Status(), b.selfTest) }

func (c *call) showSystem() document {
	spec, st := c.machine.Spec(), c.machine.Status()
	d := c.resource("ComputerSystem.v1_13_0.ComputerSystem", "System")
	for k, v := range (document{
		"@odata.context": root + "/$metadata#ComputerSystem.ComputerSystem", "SystemType": "Physical", "AssetTag": "",
		"Manufacturer": spec.Manufacturer, "Model": spec.Product, "SerialNumber": spec.Serial, "SKU": "HG-1", "PartNumber": "HG-1", "UUID": spec.UUID,
		"BiosVersion": c.version("BIOS"), "PowerState": c.power(), "Status": c.health(),
		"ProcessorSummary": document{"Count": 1, "Model": "Hagane Lab CPU", "Status": fine()},
		"MemorySummary":    document{"TotalSystemMemoryGiB": float64(spec.MemoryMB) / 1024, "Status": fine()},
		"Boot":             c.bootDocument(true), "Storage": link(c.system() + "/Storage"), "Memory": link(c.system() + "/Memory"), "Processors": link(c.system() + "/Processors"),
		"Links":         document{"Chassis": []document{link(c.chassis())}, "ManagedBy": []document{link(c.manager())}},
		"Actions":       c.systemActions(),
		"LastResetTime": stamp(st.Since),
	}) {
		d[k] = v
	}
	if !c.kind.Tree.NoSystemNICs {
		d["EthernetInterfaces"] = link(c.system() + "/EthernetInterfaces")
	}
	if !c.kind.Settings.None {
		d["Bios"], d["SecureBoot"] = link(c.biosPath()), link(c.system()+"/SecureBoot")
	}
	if c.kind.Media.Under == "Systems" && c.kind.Media.Slots != nil {
		d["VirtualMedia"] = link(c.system() + "/VirtualMedia")
	}
	if len(c.kind.Tree.SystemLogs) > 0 {
		d["LogServices"] = link(c.system() + "/LogServices")
	}
	if at := c.kind.Boot.At; c.kind.Boot.Advertised {
		d["@Redfish.Settings"] = document{"@odata.type": "#Settings.v1_3_0.Settings", "SettingsObject": link(c.system() + "/" + at)}
	} else if c.kind.Boot.Decoy {
		d["@Redfish.Settings"] = document{"@odata.type": "#Settings.v1_3_0.Settings", "SettingsObject": link(c.system() + "/Settings")}
	}
	c.lights(d)
	c.ownProperties(d)
	return d
}

// ownProperties adds the vendor's own part.
func (c *call) ownProperties(d document) {
	switch c.kind.OEM {
	case "Hpe", "Hp":
		post := "PowerOff"
		if c.machine.Status().On {
			post = "FinishedPost"
			if c.inSelfTest() {
				post = "InPost"
			}
		}
		d["Oem"] = document{c.kind.OEM: document{"PostState": post}}
	case "ts_fujitsu", "Fsas":
		base := c.system() + "/Oem/" + c.kind.OEM
		d["Oem"] = document{c.kind.OEM: document{
			"IsBiosInPostPhase": c.inSelfTest(), "BootConfig": link(base + "/BootConfig"), "VirtualMedia": link(base + "/VirtualMedia"), "System": link(base + "/System"),
		}}
	case "Dell":
		d["SKU"], d["SerialNumber"] = c.machine.Spec().Serial, "CNIVC00"+c.machine.Spec().Serial+"       "
	case "":
	default:
		d["Oem"] = document{c.kind.OEM: document{}}
	}
}

func (c *call) lights(d document) {
	light := cmp.Or(c.state.light, "Off")
	if c.kind.Tree.LEDs != "new" {
		d["IndicatorLED"] = light
	}
	if c.kind.Tree.LEDs != "old" {
		d["LocationIndicatorActive"] = light != "Off"
	}
}

// setLight reads the properties of the identify LED; taken is false when there is none, and refused when it answered.
func (c *call) setLight() (taken, refused bool) {
	before := c.state.light
	for _, name := range []string{"IndicatorLED", "LocationIndicatorActive"} {
		value, there := c.body[name]
		if !there {
			continue
		}
		taken = true
		active, isBool := value.(bool)
		word, _ := value.(string)
		switch {
		case name == "IndicatorLED" && c.kind.Tree.LEDs == "new", name != "IndicatorLED" && c.kind.Tree.LEDs == "old":
			c.unknownProperty(name)
			return true, true
		case name == "IndicatorLED" && slices.Contains([]string{"Off", "Lit", "Blinking"}, word):
			c.state.light = word
		case name == "LocationIndicatorActive" && isBool:
			c.state.light = map[bool]string{true: "Blinking", false: "Off"}[active]
		default:
			c.unknownValue(name)
			return true, true
		}
	}
	if taken {
		c.undo(func() { c.state.light = before })
	}
	return taken, false
}

func (c *call) changeSystem() {
	if taken, refused := c.setLight(); refused {
		return
	} else if taken && len(c.body) == 1 {
		c.changed()
		return
	}
	for name := range c.body {
		switch name {
		case "Boot", "IndicatorLED", "LocationIndicatorActive", "@odata.etag", "AssetTag", "@odata.id", "@odata.type":
		default:
			c.unknownProperty(name)
			return
		}
	}
	wanted := c.body.inner("Boot")
	if wanted == nil {
		if _, tag := c.body["AssetTag"]; tag {
			c.changed()
			return
		}
		c.refuse(http.StatusBadRequest, "PropertyUnknown", "Boot is no object.", "Boot")
		return
	}
	if id := c.kind.Boot.RefuseID; c.kind.Boot.At != "" {
		c.refuse(http.StatusBadRequest, id, "The property Boot can only be changed by the resource for future states.", "Boot")
		return
	}
	if c.setBoot(wanted) {
		c.changed()
	}
}

func (c *call) baseboard() document {
	if !c.kind.Tree.HGX {
		return nil
	}
	d := c.resource("ComputerSystem.v1_13_0.ComputerSystem", "HGX_Baseboard_0")
	d["SystemType"], d["PowerState"], d["Status"], d["Manufacturer"], d["SerialNumber"], d["UUID"] = "Physical", c.power(), fine(), "NVIDIA", "1320223000000", "c0ffee00-0000-4000-8000-000000000001"
	d["Boot"] = document{"BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None"}
	return d
}

func (c *call) storageList() document { return c.members("Storage", c.system()+"/Storage/1") }

func (c *call) storage() document {
	d := c.resource("Storage.v1_8_0.Storage", "Storage")
	var drives []document
	for i := range c.machine.Spec().Disks {
		drives = append(drives, link(c.system()+"/Storage/1/Drives/"+string(rune('0'+i))))
	}
	d["Drives"], d["Drives@odata.count"], d["Status"] = drives, len(drives), fine()
	d["StorageControllers"] = []document{{"@odata.id": root + "/" + c.path + "#/StorageControllers/0", "MemberId": "0", "Name": "Controller", "Status": fine()}}
	return d
}

func (c *call) drive() document {
	disks := c.machine.Spec().Disks
	i := int(c.args[0][0] - '0')
	if len(c.args[0]) != 1 || i < 0 || i >= len(disks) {
		return nil
	}
	d := c.resource("Drive.v1_8_0.Drive", "Drive "+c.args[0])
	d["CapacityBytes"], d["SerialNumber"], d["Protocol"], d["MediaType"], d["Status"] = disks[i].Bytes, disks[i].Serial, "NVMe", "SSD", fine()
	return d
}

func (c *call) memoryList() document    { return c.members("Memory") }
func (c *call) processorList() document { return c.members("Processor") }
