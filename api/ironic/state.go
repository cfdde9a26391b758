package ironic

import (
	"net/http"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

func (i *ironic) states(w http.ResponseWriter, r *api.Request) error {
	n, err := i.get(r)
	if err != nil {
		return err
	}
	runs, err := i.Phases(r.Context(), []node.Node{*n})
	if err != nil {
		return err
	}
	d, err := pick(nodeDoc(r, n, runs[n.ID]), []string{"raid_config", "target_raid_config", "power_state", "target_power_state", "provision_state", "target_provision_state", "last_error",
		"provision_updated_at", "console_enabled", "boot_mode", "secure_boot"})
	if err != nil {
		return err
	}
	delete(d, "links")
	return api.JSON(w, http.StatusOK, d)
}

// powerTargets pairs Ironic's words with actions.
var powerTargets = map[string]bmc.Action{"power on": bmc.PowerOn, "power off": bmc.PowerOff, "soft power off": bmc.SoftOff, "rebooting": bmc.Reset, "reboot": bmc.Reset}

func (i *ironic) power(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Target  string `json:"target"`
		Timeout *int   `json:"timeout"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	a, ok := powerTargets[b.Target]
	if !ok {
		return fault.Field("target", "%q is not possible; possible: power on, power off, soft power off, rebooting", b.Target)
	}
	n, err := i.get(r)
	if err != nil {
		return err
	}
	return accepted(w, i.AskPower(r.Context(), n.ID, a))
}

// devices pairs Ironic's boot devices with ours.
var devices = []struct {
	theirs string
	ours   bmc.Device
}{{"pxe", bmc.PXE}, {"disk", bmc.Disk}, {"cdrom", bmc.CDROM}, {"bios", bmc.Setup}}

func (i *ironic) bootDevices(w http.ResponseWriter, r *api.Request) error {
	if _, err := i.get(r); err != nil {
		return err
	}
	names := []string{}
	for _, d := range devices {
		names = append(names, d.theirs)
	}
	return api.JSON(w, http.StatusOK, api.Object{"supported_boot_devices": names})
}

// bootDevice tells the boot device that was set last; of a node that nobody set one of, the BMC is asked.
func (i *ironic) bootDevice(w http.ResponseWriter, r *api.Request) error {
	n, err := i.get(r)
	if err != nil {
		return err
	}
	b, err := i.BootDevice(r.Context(), n.ID)
	if err != nil {
		return err
	}
	if b.Device == "" {
		t, err := i.Learn(r.Context(), n.ID, "boot", fresh)
		if err != nil {
			return err
		}
		if b, err = node.Known[bmc.Boot](t); err != nil {
			return err
		}
	}
	var name any
	for _, d := range devices {
		if d.ours == b.Device {
			name = d.theirs
		}
	}
	return api.JSON(w, http.StatusOK, api.Object{"boot_device": name, "persistent": b.Persistent})
}

func (i *ironic) setBootDevice(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Device     string `json:"boot_device"`
		Persistent bool   `json:"persistent"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	n, err := i.get(r)
	if err != nil {
		return err
	}
	for _, d := range devices {
		if d.theirs == b.Device {
			return done(w, http.StatusNoContent, i.SetBootDevice(r.Context(), n.ID, bmc.Boot{Device: d.ours, Persistent: b.Persistent, Mode: n.BootMode}))
		}
	}
	return fault.Field("boot_device", "%q is not possible; possible: pxe, disk, cdrom, bios", b.Device)
}

func (i *ironic) hold(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Reason string `json:"reason"`
	}
	if r.ContentLength != 0 {
		if err := api.Decode(w, r, &b); err != nil {
			return err
		}
	}
	n, err := i.get(r)
	if err != nil {
		return err
	}
	return accepted(w, i.Hold(r.Context(), n.ID, node.Hold{Category: "operator", By: r.Caller.User.Name, Reason: b.Reason}))
}

func (i *ironic) release(w http.ResponseWriter, r *api.Request) error {
	n, err := i.get(r)
	if err != nil {
		return err
	}
	return accepted(w, i.Release(r.Context(), n.ID))
}

func (i *ironic) traits(w http.ResponseWriter, r *api.Request) error {
	n, err := i.get(r)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"traits": orList(n.Traits)})
}

func (i *ironic) retrait(w http.ResponseWriter, r *api.Request, change func(have []string) ([]string, error)) error {
	n, err := i.get(r)
	if err != nil {
		return err
	}
	if n.Traits, err = change(n.Traits); err != nil {
		return err
	}
	for _, t := range n.Traits {
		if !strings.HasPrefix(t, "CUSTOM_") && !strings.HasPrefix(t, "HW_") && !strings.HasPrefix(t, "COMPUTE_") || len(t) > 255 {
			return fault.Field("traits", "%q is not a trait: they begin with CUSTOM_, HW_ or COMPUTE_", t)
		}
	}
	_, err = i.Update(r.Context(), *n, nil)
	return done(w, http.StatusNoContent, err)
}

func (i *ironic) setTraits(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Traits []string `json:"traits"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	return i.retrait(w, r, func([]string) ([]string, error) { return b.Traits, nil })
}

func (i *ironic) dropTraits(w http.ResponseWriter, r *api.Request) error {
	return i.retrait(w, r, func([]string) ([]string, error) { return nil, nil })
}

func (i *ironic) addTrait(w http.ResponseWriter, r *api.Request) error {
	return i.retrait(w, r, func(have []string) ([]string, error) {
		if slices.Contains(have, r.PathValue("trait")) {
			return have, nil
		}
		return append(have, r.PathValue("trait")), nil
	})
}

func (i *ironic) dropTrait(w http.ResponseWriter, r *api.Request) error {
	return i.retrait(w, r, func(have []string) ([]string, error) {
		at := slices.Index(have, r.PathValue("trait"))
		if at < 0 {
			return nil, fault.Errorf(fault.NotFound, "the node has no trait %q", r.PathValue("trait"))
		}
		return slices.Delete(have, at, at+1), nil
	})
}

// console tells whether the console is recorded. Operators read the record at the address that it tells.
func (i *ironic) console(w http.ResponseWriter, r *api.Request) error {
	n, err := i.get(r)
	if err != nil {
		return err
	}
	if has, known := n.Has(bmc.CanConsole); known && !has {
		_, why := n.Recorded()
		return fault.Errorf(fault.Conflict, "the node has no console: %s", why)
	}
	var info any
	if recorded(n) {
		info = api.Object{"type": "log", "url": api.BaseURL(r.Request) + "/operator/v1/nodes/" + string(n.ID) + "/console"}
	}
	return api.JSON(w, http.StatusOK, api.Object{"console_enabled": recorded(n), "console_info": info})
}

func (i *ironic) setConsole(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Enabled *bool `json:"enabled"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	if b.Enabled == nil {
		return fault.Field("enabled", "must be true or false")
	}
	n, err := i.get(r)
	if err != nil {
		return err
	}
	return accepted(w, i.SetConsole(r.Context(), n.ID, *b.Enabled))
}
