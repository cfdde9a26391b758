package redfish

import (
	"net/http"
	"slices"

	"github.com/hagane-cloud/hagane/lab/machine"
)

// targets are the boot targets by the machine's devices.
var targets = map[machine.Device]string{
	machine.None: "None", machine.Network: "Pxe", machine.Disk: "Hdd", machine.CDROM: "Cd", machine.Setup: "BiosSetup",
}

// resetTypes are the reset types that the BMC offers.
var resetTypes = []string{"On", "ForceOff", "GracefulShutdown", "ForceRestart", "PowerCycle", "PushPowerButton"}

func (b *BMC) system() document {
	spec, st := b.machine.Spec(), b.machine.Status()
	path := b.SystemPath()
	return document{
		"@odata.type": "#ComputerSystem.v1_10_0.ComputerSystem", "@odata.id": path, "@odata.context": root + "/$metadata#ComputerSystem.ComputerSystem",
		"Id": b.kind.SystemID, "Name": "System", "SystemType": "Physical", "AssetTag": "",
		"Manufacturer": spec.Manufacturer, "Model": spec.Product, "SerialNumber": spec.Serial, "SKU": "HG-1", "PartNumber": "HG-1", "UUID": spec.UUID,
		"BiosVersion": "lab-1.0", "PowerState": power(st.On), "IndicatorLED": "Off",
		"Status":             document{"Health": "OK", "HealthRollup": "OK", "State": "Enabled"},
		"ProcessorSummary":   document{"Count": 1, "Model": "Hagane Lab CPU", "Status": document{"Health": "OK", "State": "Enabled"}},
		"MemorySummary":      document{"TotalSystemMemoryGiB": float64(spec.MemoryMB) / 1024, "Status": document{"Health": "OK", "State": "Enabled"}},
		"Boot":               boot(st),
		"EthernetInterfaces": link(path + "/EthernetInterfaces"),
		"Links":              document{"Chassis": []document{link(root + "/Chassis/" + b.kind.ChassisID)}, "ManagedBy": []document{link(root + "/Managers/" + b.kind.ManagerID)}},
		"Actions":            document{"#ComputerSystem.Reset": document{"target": path + "/Actions/ComputerSystem.Reset", "ResetType@Redfish.AllowableValues": resetTypes}},
		"LastResetTime":      st.Since.UTC().Format("2006-01-02T15:04:05Z"),
	}
}

func power(on bool) string {
	if on {
		return "On"
	}
	return "Off"
}

func boot(st machine.Status) document {
	enabled := "Disabled"
	if st.Boot.Device != machine.None {
		enabled = "Once"
		if st.Boot.Persistent {
			enabled = "Continuous"
		}
	}
	mode := "UEFI"
	if st.NextMode == machine.BIOS {
		mode = "Legacy"
	}
	return document{
		"BootSourceOverrideEnabled": enabled, "BootSourceOverrideEnabled@Redfish.AllowableValues": []string{"Disabled", "Once", "Continuous"},
		"BootSourceOverrideTarget": targets[st.Boot.Device], "BootSourceOverrideTarget@Redfish.AllowableValues": []string{"None", "Pxe", "Hdd", "Cd", "BiosSetup"},
		"BootSourceOverrideMode": mode, "BootSourceOverrideMode@Redfish.AllowableValues": []string{"UEFI", "Legacy"},
	}
}

// patch is what of a system can be changed; nil is left as it is.
type patch struct {
	Boot *struct {
		Enabled *string `json:"BootSourceOverrideEnabled"`
		Target  *string `json:"BootSourceOverrideTarget"`
		Mode    *string `json:"BootSourceOverrideMode"`
	}
}

func (b *BMC) patchSystem(w http.ResponseWriter, r *http.Request) {
	switch match := r.Header.Get("If-Match"); {
	case match == "" && b.kind.NeedIfMatch:
		refuse(w, http.StatusPreconditionRequired, "PreconditionRequired", "The request needs an If-Match header.")
		return
	case match != "" && match != "*" && match != etag(b.system()):
		refuse(w, http.StatusPreconditionFailed, "PreconditionFailed", "The ETag does not match the resource.")
		return
	}
	var p patch
	if err := read(w, r, &p); err != nil {
		refuseFault(w, err)
		return
	}
	if p.Boot == nil {
		refuse(w, http.StatusBadRequest, "PropertyUnknown", "Only Boot can be changed.")
		return
	}
	override, bad := p.override(b.machine.Status().Boot)
	if bad != "" {
		refuse(w, http.StatusBadRequest, "PropertyValueNotInList", "The value of the property "+bad+" is not in the list of acceptable values.")
		return
	}
	if err := b.machine.SetBoot(r.Context(), override); err != nil {
		refuse(w, http.StatusBadRequest, "PropertyValueConflict", err.Error())
		return
	}
	b.answer(w, b.system())
}

// override returns the override that follows from the present one and a patch; bad names a property with a
// value that can not be.
func (p patch) override(now machine.Boot) (next machine.Boot, bad string) {
	next = now
	if t := p.Boot.Target; t != nil {
		next.Device = ""
		for device, name := range targets {
			if name == *t {
				next.Device = device
			}
		}
		if next.Device == "" {
			return now, "BootSourceOverrideTarget"
		}
		next.Persistent = now.Persistent && now.Device != machine.None
	}
	if e := p.Boot.Enabled; e != nil {
		switch *e {
		case "Disabled":
			next.Device, next.Persistent = machine.None, false
		case "Once", "Continuous":
			next.Persistent = *e == "Continuous"
		default:
			return now, "BootSourceOverrideEnabled"
		}
	}
	if m := p.Boot.Mode; m != nil {
		switch *m {
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

func (b *BMC) resetSystem(w http.ResponseWriter, r *http.Request) {
	var body struct{ ResetType string }
	if err := read(w, r, &body); err != nil {
		refuseFault(w, err)
		return
	}
	if !slices.Contains(resetTypes, body.ResetType) {
		refuse(w, http.StatusBadRequest, "ActionParameterNotSupported", "The value of the parameter ResetType is not supported.")
		return
	}
	on := b.machine.Status().On
	action := machine.PowerOn
	switch body.ResetType {
	case "ForceOff":
		action = machine.PowerOff
	case "ForceRestart", "PowerCycle":
		action = machine.Reset
	case "GracefulShutdown":
		action = machine.SoftOff
	case "PushPowerButton":
		if on {
			action = machine.SoftOff
		}
	}
	if !on && (action == machine.Reset || action == machine.SoftOff) {
		refuse(w, http.StatusConflict, "ResourceInUse", "The action can not be carried out while the system is off.")
		return
	}
	if err := b.machine.Power(r.Context(), action); err != nil {
		b.config.Log.Warn("a BMC could not do as it was told", "action", action, "err", err)
		refuse(w, http.StatusInternalServerError, "InternalError", "The request failed due to an internal service error.")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
