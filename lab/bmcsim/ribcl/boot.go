package ribcl

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/bmc/markup"
	"github.com/hagane-cloud/hagane/lab/machine"
)

const normal = "NORMAL"

// kind is what a boot entry boots, and how UEFI describes it.
type kind struct {
	device      machine.Device
	description string
}

var kinds = map[string]kind{
	"CDROM": {machine.CDROM, ""}, "FLOPPY": {machine.None, ""}, "HDD": {machine.Disk, ""}, "NETWORK1": {machine.Network, ""}, "NETWORK": {machine.Network, ""}, "RBSU": {machine.Setup, ""},
	"Boot0001": {machine.CDROM, "iLO Virtual USB 2 : HP iLO Virtual USB CD/DVD ROM"},
	"Boot0002": {machine.None, "iLO Virtual USB 1 : HP iLO Virtual USB Key"},
	"Boot0003": {machine.Disk, "Embedded RAID 1 : Smart Array P440ar Controller - 838.1 GB, RAID 1 Logical Drive(Target:0, Lun:0)"},
	"Boot0004": {machine.Network, "Embedded LOM 1 Port 1 : HP Ethernet 1Gb 4-port 331i Adapter - NIC (IPv4)"},
}

// first are the orders as delivered, under which the firmware's own order is in force.
var first = map[machine.Mode]string{machine.BIOS: "CDROM", machine.UEFI: "Boot0001"}

// catchUp notices that a boot used the one-time device up, and puts the persistent one in force again.
func (b *BMC) catchUp(ctx context.Context) {
	if b.once != normal && b.machine.Status().Boot.Device == machine.None {
		b.once = normal
		_ = b.apply(ctx, "")
	}
}

// mode is the one whose boot entries are shown.
func (b *BMC) mode() machine.Mode {
	if !b.kind.Modes {
		return machine.BIOS
	}
	return b.machine.Status().Mode
}

// apply tells the machine what to boot from, and the mode where one is given.
func (b *BMC) apply(ctx context.Context, mode machine.Mode) error {
	o := machine.Boot{Device: machine.None, Mode: mode}
	if top := b.orders[b.mode()][0]; top != first[b.mode()] {
		o.Device, o.Persistent = kinds[top].device, true
	}
	if b.once != normal {
		o.Device, o.Persistent = kinds[b.once].device, false
	}
	return b.machine.SetBoot(ctx, o)
}

func (b *BMC) boot(ctx context.Context, _ string, c *markup.Element) (string, bool) {
	switch c.Name {
	case "GET_ONE_TIME_BOOT":
		if b.kind.Positions {
			return good + wrap("GET_ONE_TIME_BOOT", attrs("BOOT_TYPE", "DEVICE", b.once)), true
		}
		return good + wrap("ONE_TIME_BOOT", attrs("BOOT_TYPE", "VALUE", b.once)), true
	case "SET_ONE_TIME_BOOT":
		name := c.Attr("VALUE")
		_, known := kinds[name]
		entry := strings.HasPrefix(name, "Boot")
		if name != normal && (!known || (entry && !b.kind.Modes) || (b.kind.EntriesOnly && !entry && name != "RBSU" && b.machine.Status().NextMode == machine.UEFI)) {
			return refusal(0x003a, "Invalid boot device."), true
		}
		b.once = name
		return b.done(b.apply(ctx, "")), true
	case "GET_PERSISTENT_BOOT":
		return good + b.order(), true
	case "SET_PERSISTENT_BOOT":
		return b.setOrder(ctx, c), true
	case "GET_CURRENT_BOOT_MODE", "GET_PENDING_BOOT_MODE", "SET_PENDING_BOOT_MODE", "GET_SUPPORTED_BOOT_MODE":
		if !b.kind.Modes {
			return "", false
		}
		return b.modes(ctx, c), true
	}
	return "", false
}

func (b *BMC) done(err error) string {
	if err != nil {
		return refusal(0x0072, "Internal error.")
	}
	return good
}

func (b *BMC) order() string {
	order := b.orders[b.mode()]
	if b.kind.Positions {
		var pairs []string
		for i, name := range order {
			pairs = append(pairs, name, strconv.Itoa(i+1))
		}
		slices.Reverse(pairs) // as attributes, in no order: name and value are swapped back below
		for i := 0; i+1 < len(pairs); i += 2 {
			pairs[i], pairs[i+1] = pairs[i+1], pairs[i]
		}
		return attrs("GET_PERSISTENT_BOOT", pairs...)
	}
	var out strings.Builder
	for _, name := range order {
		out.WriteString(`<DEVICE value="` + name + `"`)
		if text := kinds[name].description; text != "" {
			out.WriteString("\n DESCRIPTION=\"" + text + `"`)
		}
		out.WriteString("/>\n")
	}
	return wrap("PERSISTENT_BOOT", out.String())
}

func (b *BMC) setOrder(ctx context.Context, c *markup.Element) string {
	var order []string
	for _, e := range c.All("DEVICE") {
		order = append(order, e.Attr("VALUE"))
	}
	now := slices.Sorted(slices.Values(b.orders[b.mode()]))
	if !slices.Equal(now, slices.Sorted(slices.Values(order))) {
		return refusal(0x003a, "The list of boot devices is not complete.")
	}
	b.orders[b.mode()] = order
	return b.done(b.apply(ctx, ""))
}

func (b *BMC) modes(ctx context.Context, c *markup.Element) string {
	st := b.machine.Status()
	word := map[machine.Mode]string{machine.UEFI: "UEFI", machine.BIOS: "LEGACY"}
	switch c.Name {
	case "GET_CURRENT_BOOT_MODE":
		return good + wrap(c.Name, value("BOOT_MODE", word[st.Mode]))
	case "GET_PENDING_BOOT_MODE":
		return good + wrap(c.Name, value("BOOT_MODE", word[st.NextMode]))
	case "GET_SUPPORTED_BOOT_MODE":
		return good + wrap(c.Name, value("SUPPORTED_BOOT_MODE", "LEGACY_UEFI"))
	}
	for m, w := range word {
		if w == c.Attr("VALUE") {
			return b.done(b.apply(ctx, m))
		}
	}
	return refusal(0x003a, "Invalid boot mode.")
}
