package redfish

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/hagane-cloud/hagane/lab/machine"
)

func (c *call) managers() document {
	paths := []string{c.manager()}
	if c.kind.Tree.HGX {
		paths = append(paths, "Managers/HGX_BMC_0")
	}
	return c.members("Manager", paths...)
}

func (c *call) showManager() document {
	d := c.resource("Manager.v1_5_0.Manager", "Manager")
	reset := document{"target": root + "/" + c.manager() + "/Actions/Manager.Reset"}
	if c.kind.Power.BMCTypes != nil {
		reset["ResetType@Redfish.AllowableValues"] = c.kind.Power.BMCTypes
	}
	for k, v := range (document{
		"ManagerType": "BMC", "Manufacturer": cmp.Or(c.config.Vendor, c.kind.Manufacturer, c.kind.Vendor), "Model": cmp.Or(c.config.Model, c.kind.Model),
		"FirmwareVersion": c.version("BMC"), "PowerState": "On", "UUID": c.machine.Spec().UUID, "Status": fine(),
		"DateTime": stamp(time.Now()), "DateTimeLocalOffset": "+00:00",
		"Links":   document{"ManagerForServers": []document{link(c.system())}, "ManagerForChassis": []document{link(c.chassis())}},
		"Actions": document{"#Manager.Reset": reset}, "EthernetInterfaces": link(c.manager() + "/EthernetInterfaces"),
		"NetworkProtocol": link(c.manager() + "/NetworkProtocol"), "SerialConsole": document{"ServiceEnabled": true, "MaxConcurrentSessions": 1, "ConnectTypesSupported": []string{"IPMI"}},
	}) {
		d[k] = v
	}
	if c.kind.Media.Under == "" && c.kind.Media.Slots != nil {
		d["VirtualMedia"] = link(c.manager() + "/VirtualMedia")
	}
	if len(c.kind.Tree.ManagerLogs) > 0 {
		d["LogServices"] = link(c.manager() + "/LogServices")
	}
	if c.kind.OEM == "Dell" {
		d["Attributes"] = link(c.manager() + "/Attributes")
		d["Links"].(document)["Oem"] = document{"Dell": document{
			"Jobs": link(c.manager() + "/Oem/Dell/Jobs"), "DellJobService": link(c.manager() + "/Oem/Dell/DellJobService"), "DellLCService": link(c.manager() + "/Oem/Dell/DellLCService"),
			"DellAttributes": []document{link(c.manager() + "/Oem/Dell/DellAttributes/" + c.kind.ManagerID)},
		}}
	}
	return d
}

// changeManager takes a clock that is set, and forgets it.
func (c *call) changeManager() { c.changed() }

func (c *call) otherManager() document {
	if !c.kind.Tree.HGX {
		return nil
	}
	d := c.resource("Manager.v1_5_0.Manager", "HGX BMC")
	d["ManagerType"], d["Model"], d["FirmwareVersion"], d["Status"], d["DateTime"] = "BMC", "OpenBmc", "HGX-22.10-1-rc57", fine(), "2020-12-11T00:00:00+00:00"
	return d
}

func (c *call) resetManager() {
	kind, given := c.body["ResetType"].(string)
	switch types := c.kind.Power.BMCTypes; {
	case given && types == nil:
		c.refuse(http.StatusBadRequest, "ActionParameterUnknown", "The action has no parameter ResetType.", "Manager.Reset", "ResetType")
		return
	case !given && types != nil:
		c.refuse(http.StatusBadRequest, "ActionParameterMissing", "The action needs the parameter ResetType.", "Manager.Reset", "ResetType")
		return
	case given && !slices.Contains(types, kind):
		c.refuse(http.StatusBadRequest, "ActionParameterNotSupported", "The value of the parameter ResetType is not supported.", kind, "ResetType")
		return
	}
	c.w.Header().Set("Connection", "close")
	c.done(0)
	c.faults.Restart(cmp.Or(c.config.Away, defaultAway))
}

func (c *call) ownPorts() document { return c.members("EthernetInterface") }

func (c *call) protocols() document {
	d := c.resource("ManagerNetworkProtocol.v1_5_0.ManagerNetworkProtocol", "Manager Network Protocol")
	d["HTTPS"], d["IPMI"], d["SSH"] = document{"ProtocolEnabled": true, "Port": 443}, document{"ProtocolEnabled": true, "Port": 623}, document{"ProtocolEnabled": false, "Port": 22}
	return d
}

// firstDevices are Dell's names of boot devices in the manager's attributes.
var firstDevices = map[string]machine.Device{"Normal": machine.None, "PXE": machine.Network, "HDD": machine.Disk, "VCD-DVD": machine.CDROM, "BIOS": machine.Setup}

func (c *call) dellAttributes() document {
	if c.kind.OEM != "Dell" {
		return nil
	}
	d := c.resource("DellAttributes.v1_0_0.DellAttributes", "Attributes")
	all := document{"ServerBoot.1.FirstBootDevice": "Normal", "ServerBoot.1.BootOnce": "Disabled", "VirtualMedia.1.Attached": "AutoAttach", "VirtualConsole.1.PluginType": "HTML5"}
	now := c.machine.Status().Boot
	for name, device := range firstDevices {
		if device == now.Device {
			all["ServerBoot.1.FirstBootDevice"] = name
		}
	}
	if now.Device != machine.None && !now.Persistent {
		all["ServerBoot.1.BootOnce"] = "Enabled"
	}
	for k, v := range c.state.attributes {
		all[k] = v
	}
	d["Attributes"] = all
	return d
}

func (c *call) changeDellAttributes() {
	wanted := c.body.inner("Attributes")
	if wanted == nil {
		c.refuse(http.StatusBadRequest, "PropertyMissing", "Attributes are needed.", "Attributes")
		return
	}
	before := c.machine.Status().Boot
	next, boots := before, false
	for name, value := range wanted {
		switch name {
		case "ServerBoot.1.FirstBootDevice":
			device, known := firstDevices[wanted.text(name)]
			if !known {
				c.unknownValue(name)
				return
			}
			next.Device, boots = device, true
		case "ServerBoot.1.BootOnce":
			next.Persistent = value != "Enabled"
			boots = true
		case "VirtualMedia.1.Attached", "VirtualConsole.1.PluginType":
			if c.state.attributes == nil {
				c.state.attributes = map[string]any{}
			}
			c.state.attributes[name] = value
		default:
			c.unknownProperty(name)
			return
		}
	}
	if boots {
		c.state.lie = nil
		if err := c.machine.SetBoot(c.r.Context(), next); err != nil {
			c.refuse(http.StatusBadRequest, "PropertyValueConflict", err.Error())
			return
		}
		c.undo(func() { _ = c.machine.SetBoot(context.Background(), before) })
	}
	c.changed()
}
