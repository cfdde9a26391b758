package redfish

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/hagane-cloud/hagane/lab/machine"
)

// devices are the machine's devices in the order in which targets are listed.
var devices = []machine.Device{machine.None, machine.Network, machine.Disk, machine.CDROM, machine.Setup}

// target returns the kind's name of a device.
func (b *BMC) target(d machine.Device) string {
	switch d {
	case machine.Network:
		return "Pxe"
	case machine.Disk:
		return "Hdd"
	case machine.CDROM:
		return cmp.Or(b.kind.Boot.CD, "Cd")
	case machine.Setup:
		return "BiosSetup"
	case machine.None:
	}
	return "None"
}

func (b *BMC) targets() []string {
	var all []string
	for _, d := range devices {
		all = append(all, b.target(d))
	}
	return all
}

// override is what the BMC shows as the override in force.
func (b *BMC) override() machine.Boot {
	st := b.machine.Status()
	if b.state.lie != nil {
		return *b.state.lie
	}
	shown := st.Boot
	shown.Mode = st.NextMode
	return shown
}

// bootDocument is the property Boot, of the system or of the resource for future states.
func (c *call) bootDocument(onSystem bool) document {
	rules, now := c.kind.Boot, c.override()
	enabled, mode := "Disabled", "UEFI"
	if now.Device != machine.None {
		enabled = "Once"
		if now.Persistent {
			enabled = "Continuous"
		}
	}
	if now.Mode == machine.BIOS {
		mode = "Legacy"
	}
	d := document{"BootSourceOverrideEnabled": enabled, "BootSourceOverrideTarget": c.target(now.Device)}
	if !rules.NoMode {
		d["BootSourceOverrideMode"] = mode
	}
	if rules.Blank && !c.state.set {
		d = document{"BootSourceOverrideEnabled": "", "BootSourceOverrideTarget": "", "BootSourceOverrideMode": ""}
	}
	if !onSystem || !rules.NoTargets {
		d["BootSourceOverrideTarget@Redfish.AllowableValues"] = c.targets()
		d["BootSourceOverrideEnabled@Redfish.AllowableValues"] = c.enabling()
		if !rules.NoMode && !rules.FixedMode {
			d["BootSourceOverrideMode@Redfish.AllowableValues"] = []string{"UEFI", "Legacy"}
		}
	}
	if rules.Order && onSystem {
		d["BootOrder"], d["BootOptions"] = c.order(), link(c.system()+"/BootOptions")
	}
	return d
}

func (b *BMC) enabling() []string {
	if b.kind.Boot.NoContinuous {
		return []string{"Once", "Disabled"}
	}
	return []string{"Disabled", "Once", "Continuous"}
}

// systemSettings is the resource for future states.
func (c *call) systemSettings() document {
	last := c.path[len(c.system())+1:]
	rules := c.kind.Boot
	if rules.At != last && (!rules.Decoy || last != "Settings") {
		return nil
	}
	d := c.resource("ComputerSystem.v1_13_0.ComputerSystem", "Future state of the system")
	if rules.At == last {
		d["Boot"] = c.bootDocument(false)
	}
	return d
}

func (c *call) changeFutureBoot() {
	wanted := c.body.inner("Boot")
	if wanted == nil || c.kind.Boot.At == "" {
		c.refuse(http.StatusBadRequest, "PropertyNotWritable", "The property is read-only.", "Boot")
		return
	}
	if c.setBoot(wanted) {
		c.changed()
	}
}

// setBoot changes the override; it answers when it can not.
func (c *call) setBoot(wanted document) bool {
	rules := c.kind.Boot
	if rules.SelfTestID != "" && c.inSelfTest() {
		c.refuse(http.StatusBadRequest, rules.SelfTestID, "The server is in its power-on self-test; nothing can be changed now.")
		return false
	}
	if order, ok := wanted["BootOrder"]; ok {
		return c.setOrder(order)
	}
	override := map[string]bool{}
	for name, value := range wanted {
		switch name {
		case "BootSourceOverrideTarget", "BootSourceOverrideEnabled", "BootSourceOverrideMode":
			if _, text := value.(string); !text {
				c.refuse(http.StatusBadRequest, "PropertyValueTypeError", "The value of the property "+name+" is of another type than the schema says.", name)
				return false
			}
			override[name] = true
		default:
			c.unknownProperty(name)
			return false
		}
	}
	if rules.NoMode && override["BootSourceOverrideMode"] {
		c.unknownProperty("BootSourceOverrideMode")
		return false
	}
	if rules.FixedMode && override["BootSourceOverrideMode"] {
		c.refuse(http.StatusBadRequest, "iLO.2.14.UnsupportedOperation", "The operation is not supported by the current system.")
		return false
	}
	if rules.Triple && len(override) < 3 {
		c.refuse(http.StatusBadRequest, "PropertyMissing", "Target, enabled and mode belong together.", "BootSourceOverrideMode")
		return false
	}
	next, bad := c.nextOverride(wanted)
	if bad != "" {
		c.unknownValue(bad)
		return false
	}
	return c.apply(next)
}

// apply sets an override, or what the kind makes of it.
func (c *call) apply(next machine.Boot) bool {
	rules, before := c.kind.Boot, c.machine.Status()
	lie := c.state.lie
	shown := next
	shown.Mode = cmp.Or(next.Mode, before.NextMode)
	c.state.set, c.state.lie = true, nil
	switch {
	case rules.Nothing:
		c.state.lie = &machine.Boot{Device: machine.None, Mode: machine.BIOS}
		return true
	case rules.OnceIgnored && !next.Persistent && next.Device != machine.None, rules.PhysicalCD && next.Device == machine.CDROM:
		c.state.lie = &shown
		next.Device, next.Persistent = machine.None, false
	case rules.BriefAlways && next.Persistent:
		c.state.lie = &shown
		next.Persistent = false
	}
	if err := c.machine.SetBoot(c.r.Context(), next); err != nil {
		c.state.lie = lie
		c.refuse(http.StatusBadRequest, "PropertyValueConflict", err.Error())
		return false
	}
	c.undo(func() {
		c.state.lie = lie
		was := before.Boot
		was.Mode = before.NextMode
		_ = c.machine.SetBoot(context.Background(), was)
	})
	return true
}

// nextOverride returns the override that follows from the present one and what is wanted; bad names a property with a
// value that can not be.
func (c *call) nextOverride(wanted document) (next machine.Boot, bad string) {
	now := c.override()
	next = now
	next.Mode = ""
	if c.kind.Boot.Forgets {
		next.Mode = machine.BIOS
		if _, given := wanted["BootSourceOverrideEnabled"]; !given {
			return machine.Boot{Device: machine.None, Mode: machine.BIOS}, ""
		}
	}
	if t, given := wanted["BootSourceOverrideTarget"].(string); given {
		i := slices.Index(c.targets(), t)
		if i < 0 {
			return now, "BootSourceOverrideTarget"
		}
		next.Device = devices[i]
		next.Persistent = now.Persistent && now.Device != machine.None
	}
	if e, given := wanted["BootSourceOverrideEnabled"].(string); given {
		if !slices.Contains(c.enabling(), e) {
			return now, "BootSourceOverrideEnabled"
		}
		next.Persistent = e == "Continuous"
		if e == "Disabled" {
			next.Device = machine.None
		}
	}
	if m, given := wanted["BootSourceOverrideMode"].(string); given {
		switch m {
		case "UEFI":
			next.Mode = machine.UEFI
		case "Legacy":
			next.Mode = machine.BIOS
		default:
			return now, "BootSourceOverrideMode"
		}
	}
	return next, ""
}

// references of the boot options, in the order as delivered.
var references = []string{"Boot0001", "Boot0002", "Boot0003"}

func (b *BMC) order() []string {
	if b.state.order != nil {
		return b.state.order
	}
	return b.references()
}

// references are the boot options that there are.
func (b *BMC) references() []string {
	if b.capture != nil {
		list, _ := b.capture.document(b.system()).inner("Boot")["BootOrder"].([]any)
		return texts(list)
	}
	return references
}

func (c *call) setOrder(value any) bool {
	if !c.kind.Boot.Order {
		c.unknownProperty("BootOrder")
		return false
	}
	list, _ := value.([]any)
	var order []string
	for _, v := range list {
		name, _ := v.(string)
		if !slices.Contains(c.references(), name) || slices.Contains(order, name) {
			c.unknownValue("BootOrder")
			return false
		}
		order = append(order, name)
	}
	if len(order) != len(c.references()) {
		c.refuse(http.StatusBadRequest, "ArrayPropertyOutOfBound", "The number of items provided for the array property is not the number of boot options.", "BootOrder")
		return false
	}
	before := c.state.order
	c.state.order = order
	c.undo(func() { c.state.order = before })
	return true
}

func (c *call) bootOptions() document {
	if !c.kind.Boot.Order {
		return nil
	}
	var paths []string
	for _, r := range references {
		paths = append(paths, c.system()+"/BootOptions/"+r)
	}
	return c.members("BootOption", paths...)
}

func (c *call) bootOption() document {
	i := slices.Index(references, c.args[0])
	if i < 0 || !c.kind.Boot.Order {
		return nil
	}
	d := c.resource("BootOption.v1_0_4.BootOption", "Boot Option")
	d["BootOptionReference"], d["BootOptionEnabled"] = c.args[0], true
	d["DisplayName"] = []string{"Hard Drive", "NIC in Slot 1 Port 1: PXE", "Virtual CD"}[i]
	d["Alias"] = []string{"Hdd", "Pxe", "Cd"}[i]
	return d
}
