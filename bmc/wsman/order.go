package wsman

import (
	"context"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
)

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
	if err := d.reorder(ctx, want); err != nil {
		return err
	}
	if b.Device == bmc.None {
		d.memory.Set(orderFact+" IPL", "")
		d.memory.Set(orderFact+" UEFI", "")
	}
	return nil
}

// reorder makes orders of boot sources, by their kind, pending and reads them back.
func (d *driver) reorder(ctx context.Context, want map[string][]string) error {
	settings, err := d.Settings(ctx)
	if err != nil {
		return err
	}
	if err := d.commit(ctx, settings, map[string]string{}, want); err != nil {
		return err
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

// sources reads the kind of boot sources that the next boot goes by, and their order then.
func (d *driver) sources(ctx context.Context) (kind string, ids []string, err error) {
	mode, err := d.BootMode(ctx)
	if err != nil {
		return "", nil, err
	}
	all, err := d.bootSources(ctx)
	kind = sourceKind(mode)
	if err == nil && len(all[kind].pending) == 0 {
		err = bmc.Fail(bmc.Failure{Class: bmc.Unsupported}, "this iDRAC tells no boot sources")
	}
	return kind, all[kind].pending, err
}

// BootOrder reads the order of boot sources at the next boot.
func (d *driver) BootOrder(ctx context.Context) ([]string, error) {
	_, ids, err := d.sources(ctx)
	return ids, err
}

// SetBootOrder makes an order of boot sources pending; what it was before an override is worth nothing any more.
func (d *driver) SetBootOrder(ctx context.Context, order []string) error {
	kind, now, err := d.sources(ctx)
	if err != nil {
		return err
	}
	want, err := bmc.Ordered(now, order)
	if err != nil {
		return err
	}
	d.memory.Set(orderFact+" "+kind, "")
	if slices.Equal(now, want) {
		return nil
	}
	return d.reorder(ctx, map[string][]string{kind: want})
}
