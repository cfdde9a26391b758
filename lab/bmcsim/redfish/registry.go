package redfish

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
)

// attribute is a BIOS setting.
type attribute struct {
	Name, Type, Label string
	Default           any
	Allowed           []string
	Min, Max          int
	ReadOnly          bool
}

var onOff = []string{"Enabled", "Disabled"}

// common are the BIOS settings that all kinds have, besides the mode.
var common = []attribute{
	{Name: "ProcVirtualization", Type: "Enumeration", Label: "Virtualization Technology", Default: "Enabled", Allowed: onOff},
	{Name: "LogicalProc", Type: "Enumeration", Label: "Logical Processor", Default: "Enabled", Allowed: onOff},
	{Name: "ProcCStates", Type: "Enumeration", Label: "C States", Default: "Enabled", Allowed: onOff},
	{Name: "ProcTurboMode", Type: "Enumeration", Label: "Turbo Mode", Default: "Enabled", Allowed: onOff},
	{Name: "ProcX2Apic", Type: "Enumeration", Label: "x2APIC Mode", Default: "Enabled", Allowed: onOff},
	{Name: "ProcCores", Type: "Integer", Label: "Number of Cores per Processor (0: all)", Default: 0.0, Min: 0, Max: 64},
	{Name: "SriovGlobalEnable", Type: "Enumeration", Label: "SR-IOV Global Enable", Default: "Disabled", Allowed: onOff},
	{Name: "MemTest", Type: "Enumeration", Label: "System Memory Testing", Default: "Disabled", Allowed: onOff},
	{Name: "MemOpMode", Type: "Enumeration", Label: "Memory Operating Mode", Default: "OptimizerMode", Allowed: []string{"OptimizerMode", "MirrorMode", "SingleRankSpareMode"}},
	{Name: "NodeInterleave", Type: "Enumeration", Label: "Node Interleaving", Default: "Disabled", Allowed: onOff},
	{Name: "SysProfile", Type: "Enumeration", Label: "System Profile", Default: "PerfPerWattOptimizedDapc", Allowed: []string{"PerfOptimized", "PerfPerWattOptimizedDapc", "PerfPerWattOptimizedOs", "Custom"}},
	{Name: "SerialComm", Type: "Enumeration", Label: "Serial Communication", Default: "OnConRedir", Allowed: []string{"Off", "OnNoConRedir", "OnConRedir"}},
	{Name: "SerialBaud", Type: "Enumeration", Label: "Failsafe Baud Rate", Default: "115200", Allowed: []string{"9600", "57600", "115200"}},
	{Name: "PxeDev1EnDis", Type: "Enumeration", Label: "PXE Device 1", Default: "Enabled", Allowed: onOff},
	{Name: "HttpDev1EnDis", Type: "Enumeration", Label: "HTTP Device 1", Default: "Disabled", Allowed: onOff},
	{Name: "BootSeqRetry", Type: "Enumeration", Label: "Boot Sequence Retry", Default: "Enabled", Allowed: onOff},
	{Name: "TpmSecurity", Type: "Enumeration", Label: "TPM Security", Default: "On", Allowed: []string{"On", "Off"}},
	{Name: "AcPwrRcvry", Type: "Enumeration", Label: "AC Power Recovery", Default: "Last", Allowed: []string{"Last", "On", "Off"}},
	{Name: "AcPwrRcvryUserDelay", Type: "Integer", Label: "User Defined Delay", Default: 60.0, Min: 60, Max: 240},
	{Name: "NumLock", Type: "Boolean", Label: "Keyboard NumLock", Default: true},
	{Name: "QuietBoot", Type: "Boolean", Label: "Quiet Boot", Default: false},
	{Name: "AssetTag", Type: "String", Label: "Asset Tag", Default: "", Max: 63},
	{Name: "SystemBiosVersion", Type: "String", Label: "System BIOS Version", Default: "1.0.0", Max: 32, ReadOnly: true},
	{Name: "SetupPassword", Type: "Password", Label: "Setup Password", Max: 32},
}

// attributes are the BIOS settings of the kind.
func (b *BMC) attributes() []attribute {
	mode := b.kind.Settings.Mode
	if b.capture != nil {
		return nil // what the documents show is all
	}
	return append([]attribute{{Name: mode.Name, Type: "Enumeration", Label: "Boot Mode", Default: mode.UEFI, Allowed: []string{mode.UEFI, mode.BIOS}}}, common...)
}

// checkSetting answers when a setting can not have a value.
func (c *call) checkSetting(name string, value any) bool {
	if c.capture != nil {
		return c.checkCaptured(name, value)
	}
	all := c.attributes()
	i := slices.IndexFunc(all, func(a attribute) bool { return a.Name == name })
	if i < 0 {
		c.unknownProperty(name)
		return false
	}
	a := all[i]
	if a.ReadOnly {
		if value == c.values(false)[name] {
			return true
		}
		c.refuse(http.StatusBadRequest, "PropertyNotWritable", "The property "+name+" is read-only.", name)
		return false
	}
	text, isText := value.(string)
	number, isNumber := value.(float64)
	_, isBool := value.(bool)
	fits := false
	switch a.Type {
	case "Enumeration":
		fits = isText && slices.Contains(a.Allowed, text)
	case "String", "Password":
		fits = isText && len(text) <= a.Max
	case "Integer":
		fits = isNumber && number == float64(int(number)) && int(number) >= a.Min && int(number) <= a.Max
	case "Boolean":
		fits = isBool
	}
	if !fits && !(a.Type == "Password" && value == nil) {
		c.unknownValue(name)
		return false
	}
	return true
}

// checkCaptured answers when a captured BIOS has no setting of a name, or one of another type.
func (c *call) checkCaptured(name string, value any) bool {
	now, there := c.values(false)[name]
	if !there {
		c.unknownProperty(name)
		return false
	}
	if now != nil && value != nil && reflect.TypeOf(now) != reflect.TypeOf(value) {
		c.unknownValue(name)
		return false
	}
	return true
}

// registryName is what the BIOS calls its registry.
func (b *BMC) registryName() string {
	path := b.kind.Settings.Registry
	if last := path[strings.LastIndexByte(path, '/')+1:]; last != "BiosRegistry" {
		return last
	}
	return "BiosAttributeRegistry.v1_0_3"
}

// registryFileID is the id of the registry's file in Registries.
func (b *BMC) registryFileID() string {
	name, _, _ := strings.Cut(b.registryName(), ".v")
	if name == b.registryName() {
		name, _, _ = strings.Cut(name, ".")
	}
	return name
}

func (c *call) registryList() document {
	paths := []string{"Registries/Base.1.8.0"}
	if c.kind.Settings.Registry != "none" && !c.kind.Settings.None {
		paths = append(paths, "Registries/"+c.registryFileID())
	}
	return c.members("MessageRegistryFile", paths...)
}

func (c *call) registryFile() document {
	switch c.args[0] {
	case c.registryFileID():
		d := c.resource("MessageRegistryFile.v1_1_0.MessageRegistryFile", "BIOS Attribute Registry")
		var uri any = root + "/" + c.kind.Settings.Registry
		if c.kind.Settings.ExtRef {
			uri = document{"extref": uri}
		}
		d["Registry"], d["Languages"], d["Location"] = c.registryName(), []string{"en"}, []any{document{"Language": "en", "Uri": uri}}
		return d
	case "Base.1.8.0":
		d := c.resource("MessageRegistryFile.v1_1_0.MessageRegistryFile", "Base Message Registry")
		d["Registry"], d["Languages"], d["Location"] = "Base.1.8", []string{"en"}, []any{}
		return d
	}
	return c.ownRegistry()
}

// ownRegistry is the registry of the BIOS's settings.
func (c *call) ownRegistry() document {
	if !strings.EqualFold(c.path, c.kind.Settings.Registry) {
		return nil
	}
	d := c.resource("AttributeRegistry.v1_3_3.AttributeRegistry", "BIOS Attribute Registry")
	d["@odata.id"] = root + "/" + c.kind.Settings.Registry
	d["Id"], d["Language"], d["RegistryVersion"], d["OwningEntity"] = c.registryName(), "en", "1.0.0", "Hagane"
	var entries []any
	for _, a := range c.attributes() {
		e := document{"AttributeName": a.Name, "DisplayName": a.Label, "Type": a.Type, "ReadOnly": a.ReadOnly, "ResetRequired": true, "DefaultValue": a.Default, "MenuPath": "./System"}
		if c.kind.OEM == "Dell" {
			delete(e, "ReadOnly")
			e["Readonly"] = a.ReadOnly
		}
		switch a.Type {
		case "Enumeration":
			var allowed []any
			for _, v := range a.Allowed {
				allowed = append(allowed, document{"ValueName": v, "ValueDisplayName": v})
			}
			e["Value"] = allowed
		case "Integer":
			e["LowerBound"], e["UpperBound"], e["ScalarIncrement"] = a.Min, a.Max, 1
			if c.kind.OEM == "Dell" && a.Min == 0 {
				e["LowerBound"] = -1
			}
		case "String", "Password":
			e["MinLength"], e["MaxLength"] = 0, a.Max
		}
		entries = append(entries, e)
	}
	d["RegistryEntries"] = document{"Attributes": entries}
	return d
}
