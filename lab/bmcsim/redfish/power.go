package redfish

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/hagane-cloud/hagane/lab/machine"
)

func (c *call) systemActions() document {
	reset := document{"target": root + "/" + c.system() + "/Actions/ComputerSystem.Reset"}
	if c.kind.Power.ActionInfo {
		reset["@Redfish.ActionInfo"] = root + "/" + c.system() + "/ResetActionInfo"
	} else {
		reset["ResetType@Redfish.AllowableValues"] = c.kind.Power.Types
	}
	d := document{"#ComputerSystem.Reset": reset}
	if c.isFTS() {
		base := root + "/" + c.system() + "/Actions/Oem/FTSComputerSystem."
		d["Oem"] = document{
			"#FTSComputerSystem.Reset":        document{"target": base + "Reset", "FTSResetType@Redfish.AllowableValues": c.allowedFTS()},
			"#FTSComputerSystem.VirtualMedia": document{"target": base + "VirtualMedia", "FTSVirtualMediaAction@Redfish.AllowableValues": []string{"ConnectCD", "DisconnectCD"}},
		}
	}
	return d
}

func (c *call) resetInfo() document {
	if !c.kind.Power.ActionInfo {
		return nil
	}
	d := c.resource("ActionInfo.v1_1_2.ActionInfo", "Reset Action Info")
	d["Parameters"] = []any{document{"Name": "ResetType", "Required": true, "DataType": "String", "AllowableValues": c.kind.Power.Types}}
	return d
}

func (c *call) resetSystem() {
	kind, ok := c.body["ResetType"].(string)
	if !ok {
		c.refuse(http.StatusBadRequest, "ActionParameterMissing", "The action needs the parameter ResetType.", "ComputerSystem.Reset", "ResetType")
		return
	}
	if !slices.Contains(c.kind.Power.Types, kind) {
		c.refuse(http.StatusBadRequest, "ActionParameterNotSupported", "The value of the parameter ResetType is not supported.", kind, "ResetType")
		return
	}
	c.reset(kind)
}

// reset does something to the machine's power by a Redfish reset type.
func (c *call) reset(kind string) {
	rules, on := c.kind.Power, c.machine.Status().On
	var action machine.Action
	switch kind {
	case "Nmi":
		c.interrupt(on)
		return
	case "On", "ForceOn":
		action = machine.PowerOn
	case "ForceOff":
		action = machine.PowerOff
	case "GracefulShutdown":
		action = machine.SoftOff
	case "PushPowerButton":
		if action = machine.PowerOn; on {
			action = machine.SoftOff
		}
	default: // a graceful restart too: the lab's operating systems know none
		action = machine.Reset
	}
	switch {
	case !on && (action == machine.Reset || action == machine.SoftOff):
		c.refuse(http.StatusConflict, "ResourceInUse", "The action can not be carried out while the system is off.")
		return
	case action == machine.PowerOn && on, action == machine.PowerOff && !on:
		if rules.Same != 0 {
			c.refuse(rules.Same, cmp.Or(rules.CoolingID, "ActionParameterValueConflict"), "The system is in that state already.")
			return
		}
		c.done(0)
		return
	case time.Since(c.state.pressed) < rules.Cooling:
		c.refuse(map[bool]int{true: 409, false: 400}[rules.CoolingID == "Base.1.18.ActionParameterValueConflict"], rules.CoolingID, "The system is not in a state for that yet.")
		return
	}
	if err := c.machine.Power(c.r.Context(), action); err != nil {
		c.config.Log.Warn("a BMC could not do as it was told", "action", action, "err", err)
		c.refuse(http.StatusInternalServerError, "InternalError", "The request failed due to an internal service error.")
		return
	}
	c.state.pressed = time.Now()
	c.undo(func() { c.unpress(on) })
	c.catchUp()
	c.done(0)
}

// unpress puts the power back to what it was.
func (c *call) unpress(on bool) {
	action := machine.PowerOff
	if on {
		action = machine.PowerOn
	}
	if err := c.machine.Power(context.Background(), action); err != nil {
		c.config.Log.Warn("a change of power did not undo itself", "err", err)
	}
}

func (c *call) interrupt(on bool) {
	if !on {
		c.refuse(http.StatusConflict, "ResourceInUse", "The action can not be carried out while the system is off.")
		return
	}
	c.state.interrupts++
	c.done(0)
}
