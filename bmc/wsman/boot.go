package wsman

import (
	"context"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/markup"
)

// The attributes of the iDRAC that override the boot device at once, without a job at the next boot (iDRAC 7 and later).
const (
	firstBoot = "FirstBootDevice"
	bootOnce  = "BootOnce"
	bootGroup = "ServerBoot.1"
)

// devices are the values of FirstBootDevice. VCD-DVD is the virtual drive; "Cd" would be a physical one.
var devices = map[bmc.Device]string{bmc.None: "Normal", bmc.PXE: "PXE", bmc.Disk: "HDD", bmc.CDROM: "VCD-DVD", bmc.Setup: "BIOS"}

// serverBoot reads the two attributes; there is nil when the iDRAC has none.
func (d *driver) serverBoot(ctx context.Context) (device, once *markup.Element, err error) {
	all, err := d.enumerate(ctx, "DCIM_iDRACCardEnumeration")
	if bmc.ClassOf(err) == bmc.Unsupported {
		return nil, nil, nil
	}
	for _, e := range all {
		if !strings.HasPrefix(e.Value("GroupID"), bootGroup) && !strings.Contains(e.Value("InstanceID"), bootGroup+"#") {
			continue
		}
		switch e.Value("AttributeName") {
		case firstBoot:
			device = e
		case bootOnce:
			once = e
		}
	}
	return device, once, err
}

func (d *driver) Boot(ctx context.Context) (bmc.Boot, error) {
	b := bmc.Boot{Device: bmc.None}
	mode, err := d.BootMode(ctx)
	if err != nil {
		return b, err
	}
	b.Mode = mode
	device, once, err := d.serverBoot(ctx)
	if err != nil {
		return b, err
	}
	if device == nil {
		return d.bootByOrder(ctx, b)
	}
	for name, word := range devices {
		if strings.EqualFold(device.Value("CurrentValue"), word) {
			b.Device = name
		}
	}
	b.Persistent = b.Device != bmc.None && strings.EqualFold(once.Value("CurrentValue"), "Disabled")
	return b, nil
}

func (d *driver) SetBoot(ctx context.Context, b bmc.Boot) error {
	word, ok := devices[b.Device]
	if !ok {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "an iDRAC has no boot device %q", b.Device)
	}
	now, err := d.Boot(ctx)
	if err != nil {
		return err
	}
	device, _, err := d.serverBoot(ctx)
	if err != nil {
		return err
	}
	if device == nil {
		if why := orderCannot(b); why != "" {
			return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "%s", why)
		}
	}
	if b.Mode != "" && b.Mode != now.Mode {
		if err := d.SetBootMode(ctx, b.Mode); err != nil {
			return err
		}
	} else {
		b.Mode = now.Mode
	}
	if b == now || (b.Device == bmc.None && now.Device == bmc.None) {
		return nil
	}
	if device == nil {
		return d.setOrder(ctx, b)
	}
	once := "Enabled"
	if b.Persistent {
		once = "Disabled"
	}
	if err := d.apply(ctx, pair{bootGroup + "#" + firstBoot, word}, pair{bootGroup + "#" + bootOnce, once}); err != nil {
		return err
	}
	return d.settle(ctx, "the boot device "+string(b.Device), func() (bool, error) {
		now, err := d.Boot(ctx)
		return now == b || (b.Device == bmc.None && now.Device == bmc.None), err
	})
}

// order is the order of the boot sources of one kind: as it is, and as it will be.
type order struct{ current, pending []string }

// bootSources reads the boot sources by their kind: IPL for BIOS, UEFI.
func (d *driver) bootSources(ctx context.Context) (map[string]order, error) {
	all, err := d.enumerate(ctx, "DCIM_BootSourceSetting")
	if bmc.ClassOf(err) == bmc.Unsupported {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	type source struct {
		id               string
		current, pending int
	}
	byKind := map[string][]source{}
	for _, e := range all {
		id := e.Value("InstanceID")
		kind := e.Value("BootSourceType")
		if kind == "" {
			kind, _, _ = strings.Cut(id, ":") // 11th generation servers tell it there only
		}
		current, err := strconv.Atoi(e.Value("CurrentAssignedSequence"))
		pending, err2 := strconv.Atoi(e.Value("PendingAssignedSequence"))
		if err != nil || err2 != nil || (kind != "IPL" && kind != "UEFI") {
			continue
		}
		byKind[kind] = append(byKind[kind], source{id, current, pending})
	}
	out := map[string]order{}
	for kind, list := range byKind {
		var o order
		sort.SliceStable(list, func(i, j int) bool { return list[i].current < list[j].current })
		for _, s := range list {
			o.current = append(o.current, s.id)
		}
		sort.SliceStable(list, func(i, j int) bool { return list[i].pending < list[j].pending })
		for _, s := range list {
			o.pending = append(o.pending, s.id)
		}
		out[kind] = o
	}
	return out, nil
}

// deviceOf tells from a boot source's id, which holds the device's FQDD, what it boots from.
func deviceOf(id string) bmc.Device {
	for _, k := range []struct {
		part   string
		device bmc.Device
	}{{"#NIC.", bmc.PXE}, {"#Optical.", bmc.CDROM}, {"#HardDisk.", bmc.Disk}, {"#RAID.", bmc.Disk}, {"#Disk.", bmc.Disk}} {
		if strings.Contains(id, k.part) {
			return k.device
		}
	}
	return ""
}

// sourceKind is the boot sources' kind of a mode.
func sourceKind(m bmc.Mode) string {
	if m == bmc.UEFI {
		return "UEFI"
	}
	return "IPL"
}

// orderCannot says why the order of boot sources can not do what is asked for; "" when it can.
func orderCannot(b bmc.Boot) string {
	switch {
	case b.Device == bmc.Setup:
		return "this iDRAC can not open the set-up menu; it has the order of boot sources alone"
	case b.Device != bmc.None && !b.Persistent:
		return "this iDRAC can not set the device of one boot; it has the order of boot sources alone, which is persistent"
	}
	return ""
}

// bootByOrder reads the override of an iDRAC without attributes for it: an order that we changed.
func (d *driver) bootByOrder(ctx context.Context, b bmc.Boot) (bmc.Boot, error) {
	kind := sourceKind(b.Mode)
	if d.memory.Get(orderFact+" "+kind) == "" {
		return b, nil
	}
	all, err := d.bootSources(ctx)
	if err != nil || len(all[kind].pending) == 0 {
		return b, err
	}
	if dev := deviceOf(all[kind].pending[0]); dev != "" {
		b.Device, b.Persistent = dev, true
	}
	return b, nil
}

// setOrder puts the device's sources first; for no device it puts back the orders that were before, of both kinds.
func (d *driver) setOrder(ctx context.Context, b bmc.Boot) error {
	all, err := d.bootSources(ctx)
	if err != nil {
		return err
	}
	want := map[string][]string{}
	for kind, o := range all {
		fact := d.memory.Get(orderFact + " " + kind)
		switch {
		case b.Device == bmc.None && fact != "":
			was := strings.Split(fact, "\n")
			if slices.Equal(slices.Sorted(slices.Values(was)), slices.Sorted(slices.Values(o.pending))) { // else devices came or went
				want[kind] = was
			}
		case b.Device != bmc.None && kind == sourceKind(b.Mode):
			list := slices.Clone(o.pending)
			sort.SliceStable(list, func(i, j int) bool { return deviceOf(list[i]) == b.Device && deviceOf(list[j]) != b.Device })
			if len(list) == 0 || deviceOf(list[0]) != b.Device {
				return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "none of the server's boot sources boots from %s", b.Device)
			}
			want[kind] = list
			if fact == "" {
				d.memory.Set(orderFact+" "+kind, strings.Join(o.pending, "\n"))
			}
		}
	}
	settings, err := d.Settings(ctx)
	if err != nil {
		return err
	}
	if err := d.commit(ctx, settings, map[string]string{}, want); err != nil {
		return err
	}
	if b.Device == bmc.None {
		d.memory.Set(orderFact+" IPL", "")
		d.memory.Set(orderFact+" UEFI", "")
	}
	return d.settle(ctx, "the order of boot sources", func() (bool, error) {
		now, err := d.bootSources(ctx)
		for kind, w := range want {
			if !slices.Equal(now[kind].pending, w) {
				return false, err
			}
		}
		return true, err
	})
}

// BootMode reads the mode of the next boot: the pending value of the BIOS's setting, or else the current.
func (d *driver) BootMode(ctx context.Context) (bmc.Mode, error) {
	all, err := d.enumerate(ctx, "DCIM_BIOSEnumeration")
	if err != nil {
		return "", err
	}
	e := pick(all, "AttributeName", "BootMode")
	v := e.Value("PendingValue")
	if v == "" {
		v = e.Value("CurrentValue")
	}
	switch strings.ToLower(v) {
	case "bios":
		return bmc.BIOS, nil
	case "uefi":
		return bmc.UEFI, nil
	}
	return "", bmc.Fail(bmc.Failure{Class: bmc.Garbled}, "the BIOS tells the boot mode %q", v)
}

// SetBootMode asks for a mode, which a job brings into force at the next boot.
func (d *driver) SetBootMode(ctx context.Context, m bmc.Mode) error {
	word, ok := map[bmc.Mode]string{bmc.UEFI: "Uefi", bmc.BIOS: "Bios"}[m]
	if !ok {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "there is no boot mode %q", m)
	}
	return d.SetSettings(ctx, map[string]any{"BootMode": word})
}
