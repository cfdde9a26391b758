package redfish

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/lab/machine"
)

func (b *BMC) biosPath() string { return cmp.Or(b.kind.Settings.Path, b.system()+"/Bios") }

// isBIOS reports whether a path below the BIOS is one that the kind has.
func (c *call) isBIOS() bool {
	return !c.kind.Settings.None && strings.HasPrefix(strings.ToLower(c.path+"/"), strings.ToLower(c.biosPath()+"/"))
}

// values are the settings in force, or as they will be.
func (b *BMC) values(pending bool) document {
	all := document{}
	if b.capture != nil {
		all = b.capture.document(b.biosPath()).inner("Attributes")
	}
	for _, a := range b.attributes() {
		if a.Type != "Password" {
			all[a.Name] = a.Default
		} else {
			all[a.Name] = nil
		}
	}
	if b.capture == nil {
		all[b.kind.Settings.Mode.Name] = b.modeValue(b.machine.Status().Mode)
	}
	for k, v := range b.state.settings {
		all[k] = v
	}
	if pending {
		for k, v := range b.state.pending {
			all[k] = v
		}
	}
	return all
}

func (b *BMC) modeValue(m machine.Mode) string {
	if m == machine.BIOS {
		return b.kind.Settings.Mode.BIOS
	}
	return b.kind.Settings.Mode.UEFI
}

func (c *call) bios() document {
	if !c.isBIOS() {
		return nil
	}
	d := c.resource("Bios.v1_1_0.Bios", "BIOS Configuration")
	d["@odata.id"] = root + "/" + c.biosPath()
	d["Attributes"] = c.values(c.kind.Settings.Jobs)
	settings := document{"@odata.type": "#Settings.v1_3_0.Settings", "SettingsObject": link(c.biosPath() + "/" + c.kind.Settings.Pending)}
	if c.kind.Settings.Jobs {
		settings["SupportedApplyTimes"] = []string{"OnReset", "AtMaintenanceWindowStart", "InMaintenanceWindowOnReset"}
	}
	d["@Redfish.Settings"] = settings
	reset := root + "/" + c.biosPath() + "/Actions/Bios.ResetBios"
	if c.kind.Wire.Fold {
		reset = root + "/" + c.biosPath() + "/settings/Actions/Bios.ResetBios/"
	}
	d["Actions"] = document{"#Bios.ResetBios": document{"target": reset}}
	if c.kind.Settings.Registry != "none" {
		d["AttributeRegistry"] = c.registryName()
	}
	return d
}

func (c *call) biosPending() document {
	last := c.path[strings.LastIndexByte(c.path, '/')+1:]
	if !c.isBIOS() || !strings.EqualFold(last, strings.Trim(c.kind.Settings.Pending, "/")) {
		return nil
	}
	d := c.resource("Bios.v1_1_0.Bios", "BIOS Configuration Pending")
	d["Attributes"] = document{}
	if c.kind.Settings.FullCopy {
		d["Attributes"] = c.values(true)
	} else if c.state.pending != nil {
		d["Attributes"] = copied(c.state.pending)
	}
	if c.kind.OEM == "Dell" {
		d["Actions"] = document{"Oem": document{"#DellManager.ClearPending": document{"target": root + "/" + c.path + "/Actions/Oem/DellManager.ClearPending"}}}
	}
	return d
}

func copied(m map[string]any) document {
	d := make(document, len(m))
	for k, v := range m {
		d[k] = v
	}
	return d
}

func (c *call) changeBios() {
	wanted := c.body.inner("Attributes")
	switch {
	case wanted == nil:
		c.refuse(http.StatusBadRequest, "PropertyMissing", "Attributes are needed.", "Attributes")
		return
	case c.kind.Boot.SelfTestID != "" && c.inSelfTest():
		c.refuse(http.StatusBadRequest, c.kind.Boot.SelfTestID, "The server is in its power-on self-test; nothing can be changed now.")
		return
	case c.openJob() != nil:
		c.refuse(http.StatusBadRequest, "IDRAC.2.7.SYS011", "Pending configuration values are already committed, unable to perform another set operation.")
		return
	}
	for name, value := range wanted {
		if !c.checkSetting(name, value) {
			return
		}
	}
	before := copied(c.state.pending)
	now := c.values(false)
	if c.state.pending == nil {
		c.state.pending = map[string]any{}
	}
	for name, value := range wanted {
		if now[name] == value {
			delete(c.state.pending, name)
		} else {
			c.state.pending[name] = value
		}
	}
	c.undo(func() {
		c.state.pending = before
		c.scheduleMode()
	})
	c.scheduleMode()
	when := c.body.inner("@Redfish.SettingsApplyTime")
	if c.kind.Settings.Jobs && when.text("ApplyTime") == "OnReset" {
		t := c.startTask(&task{kind: "config", name: "Configure: BIOS.Setup.1-1"})
		c.w.Header().Set("Location", root+"/TaskService/Tasks/"+t.id)
		c.send(http.StatusAccepted, document{})
		return
	}
	c.changed()
}

// scheduleMode makes the machine start in the mode that is pending. BMCs that need a job get there with it.
func (c *call) scheduleMode() {
	mode := c.kind.Settings.Mode
	if c.capture != nil {
		return
	}
	next := machine.UEFI
	if c.values(true)[mode.Name] == mode.BIOS {
		next = machine.BIOS
	}
	st := c.machine.Status()
	if _, pending := c.state.pending[mode.Name]; (pending || st.NextMode != next) && c.state.pending != nil {
		boot := st.Boot
		boot.Mode = next
		if err := c.machine.SetBoot(context.Background(), boot); err != nil {
			c.config.Log.Warn("the machine has no such firmware", "mode", next, "err", err)
		}
	}
}

// applySettings brings what is pending into force, at a boot. The lock is held.
func (b *BMC) applySettings() {
	s := &b.state
	if s.secure != nil {
		s.secured, s.secure = *s.secure, nil
	}
	job := b.openJob()
	if b.kind.Settings.Jobs && job == nil {
		return
	}
	if s.settings == nil && len(s.pending) > 0 {
		s.settings = map[string]any{}
	}
	for k, v := range s.pending {
		if k != b.kind.Settings.Mode.Name || b.capture != nil {
			s.settings[k] = v
		}
	}
	s.pending = nil
	if job != nil {
		job.done = true
	}
}

func (c *call) resetBios() {
	if !c.isBIOS() {
		c.missing()
		return
	}
	if c.kind.Settings.Body && c.body == nil {
		c.refuse(http.StatusUnsupportedMediaType, "MissingOrMalformedPart", "The action needs a body.")
		return
	}
	c.state.pending = map[string]any{}
	now := c.values(false)
	for _, a := range c.attributes() {
		if a.Type != "Password" && now[a.Name] != a.Default && a.Name != c.kind.Settings.Mode.Name {
			c.state.pending[a.Name] = a.Default
		}
	}
	if c.kind.Settings.Jobs && len(c.state.pending) > 0 && c.openJob() == nil {
		c.startTask(&task{kind: "config", name: "Configure: BIOS.Setup.1-1"})
	}
	c.done(0)
}

func (c *call) clearPending() {
	switch {
	case c.openJob() != nil:
		c.refuse(http.StatusBadRequest, "IDRAC.2.7.BIOS009", "There is a job for the pending values: delete it.")
	case len(c.state.pending) == 0:
		c.refuse(http.StatusBadRequest, "IDRAC.2.7.BIOS017", "There is nothing pending.")
	default:
		c.state.pending = nil
		c.done(0)
	}
}

func (c *call) secureBoot() document {
	if c.kind.Settings.None {
		return nil
	}
	d := c.resource("SecureBoot.v1_0_0.SecureBoot", "UEFI Secure Boot")
	enabled := c.state.secured
	if c.state.secure != nil {
		enabled = *c.state.secure
	}
	d["SecureBootEnable"], d["SecureBootMode"] = enabled, cmp.Or(c.state.keys, "UserMode")
	d["SecureBootCurrentBoot"] = map[bool]string{true: "Enabled", false: "Disabled"}[c.state.secured]
	d["Actions"] = document{"#SecureBoot.ResetKeys": document{
		"target": root + "/" + c.path + "/Actions/SecureBoot.ResetKeys", "ResetKeysType@Redfish.AllowableValues": []string{"ResetAllKeysToDefault", "DeleteAllKeys", "DeletePK"},
	}}
	return d
}

func (c *call) changeSecureBoot() {
	enable, ok := c.body["SecureBootEnable"].(bool)
	if !ok {
		c.refuse(http.StatusBadRequest, "PropertyUnknown", "Only SecureBootEnable can be changed.")
		return
	}
	before := c.state.secure
	c.state.secure = &enable
	c.undo(func() { c.state.secure = before })
	c.changed()
}

func (c *call) resetKeys() {
	switch kind := c.body.text("ResetKeysType"); kind {
	case "ResetAllKeysToDefault":
		c.state.keys = "UserMode"
	case "DeleteAllKeys", "DeletePK":
		c.state.keys = "SetupMode"
	default:
		c.refuse(http.StatusBadRequest, "ActionParameterNotSupported", "The value of the parameter ResetKeysType is not supported.", kind, "ResetKeysType")
		return
	}
	c.done(0)
}

// since is a time that lies so long before now, for what a BMC remembers.
func since(d time.Duration) string { return stamp(time.Now().Add(-d)) }
