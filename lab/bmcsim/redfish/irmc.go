package redfish

import (
	"net/http"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/lab/machine"
)

// isFTS reports whether the BMC is Fujitsu's, which has actions of its own beside the standard's.
func (b *BMC) isFTS() bool { return b.kind.OEM == "ts_fujitsu" || b.kind.OEM == "Fsas" }

// resetsFTS are Fujitsu's names of the reset types.
var resetsFTS = map[string]string{
	"PowerOn": "On", "PowerOff": "ForceOff", "PowerCycle": "PowerCycle", "GracefulPowerOff": "GracefulShutdown", "ImmediateReset": "ForceRestart",
	"GracefulReset": "GracefulRestart", "PulseNmi": "Nmi", "PressPowerButton": "PushPowerButton",
}

// allowedFTS lists what can be done in the state that the machine is in: iRMCs tell no more.
func (b *BMC) allowedFTS() []string {
	if b.machine.Status().On {
		return []string{"PowerOff", "PowerCycle", "GracefulPowerOff", "ImmediateReset", "GracefulReset", "PulseNmi", "PressPowerButton"}
	}
	return []string{"PowerOn", "PressPowerButton"}
}

func (c *call) resetFTS() {
	kind := c.body.text("FTSResetType")
	if !c.isFTS() {
		c.missing()
		return
	}
	if !slices.Contains(c.allowedFTS(), kind) {
		c.refuse(http.StatusBadRequest, "ActionParameterValueNotInList", "The value of the parameter FTSResetType is not in the list.", kind, "FTSResetType")
		return
	}
	c.reset(resetsFTS[kind])
}

// oem reports whether a path asks for the vendor's own part.
func (c *call) oem() bool { return c.isFTS() && c.args[0] == c.kind.OEM }

func (c *call) systemFTS() document {
	if !c.oem() {
		return nil
	}
	d := c.resource("FTSSystem.v1_0_0.FTSSystem", "System")
	d["IsBiosInPostPhase"], d["AssetTag"] = c.inSelfTest(), ""
	return d
}

// bootDevicesFTS are Fujitsu's names of the boot devices.
var bootDevicesFTS = map[string]machine.Device{"Default": machine.None, "None": machine.None, "Pxe": machine.Network, "Hdd": machine.Disk, "Cd": machine.CDROM, "BiosSetup": machine.Setup}

func (c *call) bootConfig() document {
	if !c.oem() {
		return nil
	}
	d, now := c.resource("FTSBootConfig.v1_0_0.FTSBootConfig", "BootConfig"), c.override()
	d["BootDevice"], d["BootType"], d["NextBootOnlyEnabled"] = "Default", "UEFI", now.Device != machine.None && !now.Persistent
	for name, device := range bootDevicesFTS {
		if device == now.Device && device != machine.None {
			d["BootDevice"] = name
		}
	}
	if now.Mode == machine.BIOS {
		d["BootType"] = "Legacy"
	}
	return d
}

func (c *call) changeBootConfig() {
	if id := c.kind.Boot.SelfTestID; c.inSelfTest() {
		c.refuse(http.StatusBadRequest, id, "The server is in its power-on self-test; nothing can be changed now.")
		return
	}
	next := c.override()
	next.Mode = ""
	for name, value := range c.body {
		text, _ := value.(string)
		device, known := bootDevicesFTS[text]
		once, isBool := value.(bool)
		switch {
		case name == "BootDevice" && known:
			next.Device = device
		case name == "NextBootOnlyEnabled" && isBool:
			next.Persistent = !once
		case name == "BootType" && text == "UEFI":
			next.Mode = machine.UEFI
		case name == "BootType" && text == "Legacy":
			next.Mode = machine.BIOS
		case strings.HasPrefix(name, "@odata"):
		default:
			c.unknownValue(name)
			return
		}
	}
	if next.Device == machine.None {
		next.Persistent = false
	}
	if c.apply(next) {
		c.changed()
	}
}

// mediaConfig is where Fujitsu's action finds the name of the image.
func (c *call) mediaConfig() document {
	if !c.oem() {
		return nil
	}
	d := c.resource("FTSVirtualMedia.v1_0_0.FTSVirtualMedia", "VirtualMedia")
	image, _ := c.state.attributes["CDImage"].(map[string]any)
	d["CDImage"] = image
	d["CDStatus"] = map[bool]string{true: "Connected", false: "Disconnected"}[c.inserted("0")]
	d["RemoteMountEnabled"] = true
	return d
}

func (c *call) changeMediaConfig() {
	if c.state.attributes == nil {
		c.state.attributes = map[string]any{}
	}
	if image := c.body.inner("CDImage"); image != nil {
		c.state.attributes["CDImage"] = map[string]any(image)
	}
	c.changed()
}

// connectFTS connects the image that mediaConfig names: a URL, or server, share and name of the image.
func (c *call) connectFTS() {
	verb := c.body.text("FTSVirtualMediaAction")
	slot := c.kind.Media.Slots
	switch {
	case !c.isFTS() || len(slot) == 0:
		c.missing()
	case verb == "ConnectCD":
		image, _ := c.state.attributes["CDImage"].(map[string]any)
		if c.put(slot[0], imageURL(image)) {
			c.done(0)
		}
	case verb == "DisconnectCD":
		c.take(slot[0])
		c.done(0)
	default:
		c.refuse(http.StatusBadRequest, "ActionParameterMissing", "The action needs the parameter FTSVirtualMediaAction.", "FTSComputerSystem.VirtualMedia", "FTSVirtualMediaAction")
	}
}

func imageURL(image document) string {
	name := image.text("ImageName")
	if strings.Contains(name, "://") || name == "" {
		return name
	}
	return strings.TrimSuffix("http://"+image.text("ServerName")+"/"+strings.Trim(image.text("ShareName"), "/"), "/") + "/" + name
}
