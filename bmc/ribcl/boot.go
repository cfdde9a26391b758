package ribcl

import (
	"context"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/markup"
)

// names are RIBCL's names of boot devices. RBSU is the set-up menu.
var names = map[bmc.Device]string{bmc.None: "NORMAL", bmc.PXE: "NETWORK", bmc.Disk: "HDD", bmc.CDROM: "CDROM", bmc.Setup: "RBSU"}

// entry is a boot device of the persistent order.
type entry struct {
	name   string // CDROM, NETWORK1 …; with UEFI BootXXXX
	device bmc.Device
}

// kindOf tells from a boot entry's name and description what it boots from. UEFI entries have no other sign.
func kindOf(name, description string) bmc.Device {
	text := strings.ToUpper(name + " " + description)
	for _, w := range []struct {
		part   string
		device bmc.Device
	}{
		{"CDROM", bmc.CDROM}, {"CD/DVD", bmc.CDROM}, {"CD ROM", bmc.CDROM}, {"DVD", bmc.CDROM}, {"USB", ""}, {"FLOPPY", ""},
		{"NETWORK", bmc.PXE}, {"NIC", bmc.PXE}, {"PXE", bmc.PXE}, {"IPV4", bmc.PXE}, {"IPV6", bmc.PXE},
		{"HDD", bmc.Disk}, {"HARD", bmc.Disk}, {"LOGICAL DRIVE", bmc.Disk}, {"SAS", bmc.Disk}, {"SATA", bmc.Disk}, {"NVME", bmc.Disk}, {"SSD", bmc.Disk},
		{"EMBEDDED UEFI SHELL", ""}, {"BOOT MANAGER", bmc.Disk},
	} {
		if strings.Contains(text, w.part) {
			return w.device
		}
	}
	return ""
}

// order reads the persistent order. iLO 3 and later list elements; iLO 2 gives attributes that hold positions.
func (d *driver) order(ctx context.Context) ([]entry, error) {
	c := server("GET_PERSISTENT_BOOT")
	r, err := d.do(ctx, c)
	if err != nil {
		return nil, err
	}
	e, err := r.need(c, "PERSISTENT_BOOT", "GET_PERSISTENT_BOOT")
	if err != nil {
		return nil, err
	}
	var out []entry
	for _, dev := range e.All("DEVICE") {
		name := dev.Attr("VALUE")
		out = append(out, entry{name: name, device: kindOf(name, dev.Attr("DESCRIPTION"))})
	}
	if len(out) > 0 {
		return out, nil
	}
	return positions(e), nil
}

func positions(e *markup.Element) []entry {
	var out []entry
	at := map[string]int{}
	for _, a := range e.Attrs {
		if n, err := strconv.Atoi(a.Value); err == nil {
			at[a.Name.Local] = n
			out = append(out, entry{name: a.Name.Local, device: kindOf(a.Name.Local, "")})
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return at[out[i].name] < at[out[j].name] })
	return out
}

// setOrder writes the whole order and reads it back.
func (d *driver) setOrder(ctx context.Context, order []string) error {
	var body strings.Builder
	for _, name := range order {
		body.WriteString(`<DEVICE VALUE="` + markup.Escape(name) + `"/>`)
	}
	if _, err := d.do(ctx, server("SET_PERSISTENT_BOOT").change(body.String())); err != nil {
		return err
	}
	return d.settle(ctx, "the boot order "+strings.Join(order, ", "), func() (bool, error) {
		now, err := d.order(ctx)
		return slices.Equal(namesOf(now), order), err
	})
}

// once reads the device of the next boot; "" when there is none but the order.
func (d *driver) once(ctx context.Context) (bmc.Device, error) {
	c := server("GET_ONE_TIME_BOOT")
	r, err := d.do(ctx, c)
	if err != nil {
		return "", err
	}
	e, err := r.need(c, "BOOT_TYPE")
	if err != nil {
		return "", err
	}
	word := strings.ToUpper(e.Attr("VALUE", "DEVICE")) // iLO 2 calls it DEVICE
	for device, name := range names {
		if word == name && device != bmc.None {
			return device, nil
		}
	}
	if word == "" || word == "NORMAL" {
		return "", nil
	}
	if k := kindOf(word, e.Attr("DESCRIPTION")); k != "" {
		return k, nil
	}
	order, err := d.order(ctx)
	if err != nil {
		return "", err
	}
	for _, o := range order {
		if strings.EqualFold(o.name, word) {
			return o.device, nil
		}
	}
	return "", nil
}

// Boot reads the override. RIBCL knows an order and a device of the next boot; a persistent override is an order
// that was changed by us, of which the memory keeps the original.
func (d *driver) Boot(ctx context.Context) (bmc.Boot, error) {
	b := bmc.Boot{Device: bmc.None}
	mode, err := d.BootMode(ctx)
	if err != nil && bmc.ClassOf(err) != bmc.Unsupported {
		return b, err
	}
	b.Mode = mode
	device, err := d.once(ctx)
	if err != nil {
		return b, err
	}
	if device != "" {
		b.Device = device
		return b, nil
	}
	if d.memory.Get(orderFact) == "" {
		return b, nil
	}
	order, err := d.order(ctx)
	if err != nil {
		return b, err
	}
	if len(order) > 0 && order[0].device != "" {
		b.Device, b.Persistent = order[0].device, true
	}
	return b, nil
}

func (d *driver) SetBoot(ctx context.Context, b bmc.Boot) error {
	if _, ok := names[b.Device]; !ok {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "RIBCL has no boot device %q", b.Device)
	}
	if b.Persistent && b.Device == bmc.Setup {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "RIBCL opens the set-up menu at the next boot only, not at every one")
	}
	now, err := d.Boot(ctx)
	if err != nil {
		return err
	}
	change := b.Mode != "" && b.Mode != now.Mode
	if change && b.Mode == bmc.UEFI && d.memory.Get(modeFact) == "none" {
		return noMode()
	}
	if change || b.Device == bmc.None || !b.Persistent { // each mode has an order of its own
		if err := d.restoreOrder(ctx); err != nil {
			return err
		}
	}
	if change {
		if err := d.SetBootMode(ctx, b.Mode); err != nil {
			return err
		}
	}
	if b.Device == bmc.None || !b.Persistent {
		return d.setOnce(ctx, b.Device)
	}
	if err := d.setOnce(ctx, bmc.None); err != nil {
		return err
	}
	return d.setPersistent(ctx, b.Device)
}

// setOnce sets the device of the next boot. Where the generic name is refused it is the name of a UEFI boot entry.
func (d *driver) setOnce(ctx context.Context, device bmc.Device) error {
	want := device
	if device == bmc.None {
		want = ""
	}
	if now, err := d.once(ctx); err != nil || now == want {
		return err
	}
	name := names[device]
	if d.memory.Get(namesFact) == "entries" {
		name = d.entryOf(ctx, device, name)
	}
	_, err := d.do(ctx, server("SET_ONE_TIME_BOOT", "VALUE", name).change(""))
	if bmc.ClassOf(err) == bmc.Refused && name == names[device] {
		if other := d.entryOf(ctx, device, name); other != name {
			if _, err = d.do(ctx, server("SET_ONE_TIME_BOOT", "VALUE", other).change("")); err == nil {
				d.memory.Set(namesFact, "entries")
			}
		}
	}
	if err != nil {
		return err
	}
	return d.settle(ctx, "the next boot from "+string(device), func() (bool, error) {
		now, err := d.once(ctx)
		return now == want, err
	})
}

// entryOf returns the name of the boot entry for a device, or otherwise the generic name.
func (d *driver) entryOf(ctx context.Context, device bmc.Device, otherwise string) string {
	order, err := d.order(ctx)
	if err != nil || device == bmc.None || device == bmc.Setup {
		return otherwise
	}
	for _, o := range order {
		if o.device == device {
			return o.name
		}
	}
	return otherwise
}

// setPersistent moves the device's entries to the front of the order. An order of another firmware mode comes into
// force with that mode only: then it has to be set again after the boot that changed the mode.
func (d *driver) setPersistent(ctx context.Context, device bmc.Device) error {
	order, err := d.order(ctx)
	if err != nil {
		return err
	}
	was := namesOf(order)
	var first, rest []string
	for _, o := range order {
		if o.device == device {
			first = append(first, o.name)
		} else {
			rest = append(rest, o.name)
		}
	}
	if len(first) == 0 {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "none of the server's boot entries (%s) boots from %s", strings.Join(was, ", "), device)
	}
	if d.memory.Get(orderFact) == "" {
		d.memory.Set(orderFact, strings.Join(was, ","))
	}
	if want := append(first, rest...); !slices.Equal(want, was) {
		return d.setOrder(ctx, want)
	}
	return nil
}

// restoreOrder puts back the order that a persistent override replaced. Entries that came meanwhile are kept at its end,
// those that are gone are left out.
func (d *driver) restoreOrder(ctx context.Context) error {
	fact := d.memory.Get(orderFact)
	if fact == "" {
		return nil
	}
	order, err := d.order(ctx)
	if err != nil {
		return err
	}
	now := namesOf(order)
	// When none of the old entries is left there is nothing to put back.
	if want, err := bmc.Ordered(now, strings.Split(fact, ",")); err == nil && !slices.Equal(want, now) {
		if err := d.setOrder(ctx, want); err != nil {
			return err
		}
	}
	d.memory.Set(orderFact, "")
	return nil
}

func namesOf(order []entry) []string {
	var out []string
	for _, o := range order {
		out = append(out, o.name)
	}
	return out
}

// BootOrder reads the order of the current mode.
func (d *driver) BootOrder(ctx context.Context) ([]string, error) {
	order, err := d.order(ctx)
	return namesOf(order), err
}

// SetBootOrder changes the order; what it was before an override is worth nothing any more.
func (d *driver) SetBootOrder(ctx context.Context, order []string) error {
	now, err := d.BootOrder(ctx)
	if err != nil {
		return err
	}
	want, err := bmc.Ordered(now, order)
	if err != nil {
		return err
	}
	d.memory.Set(orderFact, "")
	if slices.Equal(now, want) {
		return nil
	}
	return d.setOrder(ctx, want)
}

// BootMode reads the mode of the next boot: the pending one, or else the current. An iLO without modes boots BIOS.
func (d *driver) BootMode(ctx context.Context) (bmc.Mode, error) {
	if d.memory.Get(modeFact) == "none" {
		return bmc.BIOS, noMode()
	}
	for _, name := range []string{"GET_PENDING_BOOT_MODE", "GET_CURRENT_BOOT_MODE"} {
		c := server(name)
		r, err := d.do(ctx, c)
		if bmc.ClassOf(err) == bmc.Unsupported {
			d.memory.Set(modeFact, "none")
			return bmc.BIOS, noMode()
		}
		if err != nil {
			return "", err
		}
		switch strings.ToUpper(r.find("BOOT_MODE").Attr("VALUE")) {
		case "UEFI":
			return bmc.UEFI, nil
		case "LEGACY":
			return bmc.BIOS, nil
		}
	}
	return "", bmc.Fail(bmc.Failure{Class: bmc.Garbled}, "the iLO does not tell its boot mode")
}

func noMode() error {
	return bmc.Fail(bmc.Failure{Class: bmc.Unsupported}, "servers of this iLO boot by BIOS alone; there is no boot mode to choose")
}

func (d *driver) SetBootMode(ctx context.Context, m bmc.Mode) error {
	now, err := d.BootMode(ctx)
	if bmc.ClassOf(err) == bmc.Unsupported && m == bmc.BIOS {
		return nil
	}
	if err != nil || now == m {
		return err
	}
	word, ok := map[bmc.Mode]string{bmc.UEFI: "UEFI", bmc.BIOS: "LEGACY"}[m]
	if !ok {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "there is no boot mode %q", m)
	}
	if _, err := d.do(ctx, server("SET_PENDING_BOOT_MODE", "VALUE", word).change("")); err != nil {
		return err
	}
	return d.settle(ctx, "the boot mode "+string(m), func() (bool, error) {
		now, err := d.BootMode(ctx)
		return now == m, err
	})
}
