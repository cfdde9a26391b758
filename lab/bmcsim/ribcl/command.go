package ribcl

import (
	"context"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/bmc/markup"
	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
	"github.com/hagane-cloud/hagane/lab/machine"
)

// needs are the privileges that commands need; reading needs none.
var needs = map[string]string{
	"SET_HOST_POWER": "RESET_SERVER_PRIV", "HOLD_PWR_BTN": "RESET_SERVER_PRIV", "PRESS_PWR_BTN": "RESET_SERVER_PRIV", "RESET_SERVER": "RESET_SERVER_PRIV",
	"COLD_BOOT_SERVER": "RESET_SERVER_PRIV", "SET_ONE_TIME_BOOT": "RESET_SERVER_PRIV", "SET_PERSISTENT_BOOT": "RESET_SERVER_PRIV",
	"SET_PENDING_BOOT_MODE": "CONFIG_ILO_PRIV", "INSERT_VIRTUAL_MEDIA": "VIRTUAL_MEDIA_PRIV", "EJECT_VIRTUAL_MEDIA": "VIRTUAL_MEDIA_PRIV",
	"SET_VM_STATUS": "VIRTUAL_MEDIA_PRIV", "RESET_RIB": "CONFIG_ILO_PRIV", "ADD_USER": "ADMIN_PRIV", "MOD_USER": "ADMIN_PRIV", "DELETE_USER": "ADMIN_PRIV",
	"CLEAR_IML": "CONFIG_ILO_PRIV",
}

// carryOut answers one command with the inside of a document.
func (b *BMC) carryOut(ctx context.Context, who *account, block, c *markup.Element) string {
	if p := needs[c.Name]; p != "" {
		if !strings.EqualFold(block.Attr("MODE"), "write") {
			return refusal(0x0005, "Open the block for writing.")
		}
		b.mu.Lock()
		allowed := who.privileges[p]
		b.mu.Unlock()
		if !allowed {
			return refusal(0x0023, "User does NOT have correct privilege for action. "+p+" required.")
		}
	}
	d := inject.From(ctx)
	if d.Code != "" {
		if status, err := strconv.ParseInt(strings.TrimPrefix(d.Code, "0x"), 16, 32); err == nil {
			return refusal(int(status), "The operation failed.")
		}
	}
	if d.Nothing && strings.EqualFold(block.Attr("MODE"), "write") {
		return good
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.catchUp(ctx)
	for _, some := range []func(context.Context, string, *markup.Element) (string, bool){b.power, b.boot, b.report, b.vmedia, b.people} {
		if out, ok := some(ctx, block.Name, c); ok {
			return out
		}
	}
	return refusal(0x0001, "syntax error: Line #3: syntax error near \""+strings.ReplaceAll(c.Name, "'", "")+"\"")
}

func (b *BMC) power(ctx context.Context, _ string, c *markup.Element) (string, bool) {
	on := b.machine.Status().On
	act := func(a machine.Action) (string, bool) {
		if err := b.machine.Power(ctx, a); err != nil {
			return refusal(0x0072, "Internal error."), true
		}
		return good, true
	}
	switch c.Name {
	case "GET_HOST_POWER_STATUS":
		told := map[bool]string{true: "ON", false: "OFF"}[on]
		if lie := inject.From(ctx).Power; lie != "" {
			told = strings.ToUpper(lie)
		}
		return good + attrs("GET_HOST_POWER", "HOST_POWER", told), true
	case "SET_HOST_POWER":
		if strings.EqualFold(c.Attr("HOST_POWER"), "Yes") {
			if on {
				return remark("Host power is already ON."), true
			}
			return act(machine.PowerOn)
		}
		return act(machine.SoftOff)
	case "HOLD_PWR_BTN":
		if !on && strings.EqualFold(c.Attr("TOGGLE"), "Yes") {
			return act(machine.PowerOn)
		}
		return act(machine.PowerOff)
	case "PRESS_PWR_BTN":
		if !on {
			return act(machine.PowerOn) // a button is a button
		}
		return act(machine.SoftOff)
	case "RESET_SERVER", "COLD_BOOT_SERVER":
		if !on {
			return refusal(0x0066, "Server is powered off."), true
		}
		return act(machine.Reset)
	case "GET_UID_STATUS":
		return good + attrs("GET_UID_STATUS", "UID", map[bool]string{true: "ON", false: "OFF"}[b.uid]), true
	case "UID_CONTROL":
		b.uid = strings.EqualFold(c.Attr("UID"), "Yes")
		return good, true
	case "RESET_RIB":
		b.door.Leave()
		return remark("Integrated Lights-Out will reset at the end of the script."), true
	}
	return "", false
}
