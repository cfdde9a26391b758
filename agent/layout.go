package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/hagane-cloud/hagane/agent/layout"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

// builder lays the disks of a machine out.
type builder struct {
	Assembler
	*agent
	order   *protocol.LayOut
	disks   []Disk
	arrays  []built
	devices map[string]string // of partitions and volumes, by label
}

// built is an array that was made.
type built struct {
	disk    Disk // the array itself, or its only disk
	disks   []int
	members []string       // devices that a software RAID is made of; none where there is none
	numbers map[string]int // of the partitions, by label
}

// layOut lays the disks out and returns what it then read from them. An order that is repeated begins anew: nothing of the
// layout's is on the disks yet that anyone would miss.
func (a *agent) layOut(ctx context.Context, o *protocol.LayOut, t *task) (_ *protocol.Layout, err error) {
	tools, ok := a.Machine.(Assembler)
	if !ok {
		return nil, fault.Errorf(fault.Invalid, "this machine has no tools to lay disks out")
	}
	if err := layout.Check(&o.Layout); err != nil {
		return nil, err
	}
	b := &builder{Assembler: tools, agent: a, order: o, devices: map[string]string{}}
	if b.disks, err = a.Machine.Disks(ctx); err != nil {
		return nil, fault.Wrap("opening the disks", err)
	}
	defer b.close()
	root, err := layout.Choose(described(b.disks), o.Root)
	if err != nil {
		return nil, err
	}
	assigned, err := layout.Assign(&o.Layout, described(b.disks), root)
	if err != nil {
		return nil, err
	}
	found, err := b.build(ctx, assigned, t)
	b.closeArrays()
	if err = errors.Join(err, b.Release(context.WithoutCancel(ctx))); err != nil {
		return nil, err
	}
	for _, d := range b.disks {
		if err := d.Sync(ctx); err != nil {
			return nil, err
		}
	}
	t.describe("reading the arrays back")
	return found, b.readMembers(ctx, found)
}

func (b *builder) close() {
	for _, d := range b.disks {
		_ = d.Close() // synced where it was written to
	}
}

// closeArrays closes what an array opened. An array that is a single disk is among the disks.
func (b *builder) closeArrays() {
	for _, one := range b.arrays {
		if one.members != nil {
			_ = one.disk.Close()
		}
	}
}

// build makes arrays, groups and file systems, and reads partitions, groups and file systems back.
func (b *builder) build(ctx context.Context, assigned [][]int, t *task) (*protocol.Layout, error) {
	l := &b.order.Layout
	for i, spec := range l.Arrays {
		t.doing(fmt.Sprintf("making array %d of %d", i+1, len(l.Arrays)), 0)
		if err := b.array(ctx, i, spec, assigned[i]); err != nil {
			return nil, fault.Wrap(fmt.Sprintf("raid_arrays[%d]", i), err)
		}
	}
	for _, g := range l.Groups {
		t.describe("making the volume group " + g.Label)
		var members []string
		for _, label := range g.Partitions {
			members = append(members, b.devices[label])
		}
		volumes, err := b.Group(ctx, g, members)
		if err != nil {
			return nil, fault.Wrap("making the volume group "+g.Label, err)
		}
		for label, device := range volumes {
			b.devices[label] = device
		}
	}
	for _, f := range l.Filesystems {
		if f.Mount == "/" {
			continue // the image's own
		}
		t.describe("making " + f.Type + " on " + f.Label)
		if err := b.Format(ctx, b.devices[f.Label], f); err != nil {
			return nil, fault.Wrap("making "+f.Type+" on "+f.Label, err)
		}
	}
	t.describe("reading the layout back")
	return b.read(ctx)
}

// array makes the array of a spec with the partitions on it.
func (b *builder) array(ctx context.Context, i int, spec protocol.Array, disks []int) error {
	one := built{disk: b.disks[disks[0]], disks: disks}
	if spec.Primary {
		numbers, err := b.behind(ctx, one.disk, spec)
		one.numbers = numbers
		b.arrays = append(b.arrays, one)
		return err
	}
	for _, n := range disks {
		if err := wipeEnds(ctx, b.disks[n]); err != nil {
			return err
		}
	}
	if spec.Level != nil {
		for _, n := range disks {
			device, err := b.member(ctx, b.disks[n])
			if err != nil {
				return err
			}
			one.members = append(one.members, device)
		}
		var err error
		if one.disk, err = b.Array(ctx, fmt.Sprintf("array%d", i), *spec.Level, one.members); err != nil {
			return err
		}
	}
	b.arrays = append(b.arrays, one)
	numbers, err := b.divide(ctx, one.disk, spec)
	b.arrays[i].numbers = numbers
	return err
}

// read reads back what is in use.
func (b *builder) read(ctx context.Context) (*protocol.Layout, error) {
	found := &protocol.Layout{}
	all := described(b.disks)
	for i, spec := range b.order.Layout.Arrays {
		a := protocol.Array{Primary: spec.Primary}
		for _, n := range b.arrays[i].disks {
			a.Disks = append(a.Disks, layout.DiskID(all[n]))
		}
		partitions, err := b.arrays[i].read(spec)
		if err != nil {
			return nil, fault.Wrap(fmt.Sprintf("reading raid_arrays[%d] back", i), err)
		}
		a.Partitions = partitions
		found.Arrays = append(found.Arrays, a)
	}
	for _, spec := range b.order.Layout.Groups {
		g, err := b.group(ctx, spec)
		if err != nil {
			return nil, fault.Wrap("reading the volume group "+spec.Label+" back", err)
		}
		found.Groups = append(found.Groups, g)
	}
	for _, spec := range b.order.Layout.Filesystems {
		f, err := b.ReadFilesystem(ctx, b.devices[spec.Label])
		if err != nil {
			return nil, fault.Wrap("reading the file system of "+spec.Label+" back", err)
		}
		if spec.Mount != "/" && (f.Type != spec.Type || spec.UUID != "" && f.UUID != spec.UUID) {
			return nil, fault.Errorf(fault.Internal, "%s reads back as %q with the UUID %q: replace the disk", spec.Label, f.Type, f.UUID)
		}
		f.Label, f.Mount = spec.Label, spec.Mount
		found.Filesystems = append(found.Filesystems, f)
	}
	return found, nil
}

// group reads a volume group back, in the words and the order of its spec.
func (b *builder) group(ctx context.Context, spec protocol.VolumeGroup) (protocol.VolumeGroup, error) {
	g, err := b.ReadGroup(ctx, spec.Label)
	if err != nil {
		return g, err
	}
	out := protocol.VolumeGroup{Label: g.Label}
	on, sizes := map[string]bool{}, map[string]int64{}
	for _, device := range g.Partitions {
		on[device] = true
	}
	for _, v := range g.Volumes {
		sizes[v.Label] = v.Bytes
	}
	for _, label := range spec.Partitions {
		if !on[b.devices[label]] {
			return g, fault.Errorf(fault.Internal, "it is not on %s", b.devices[label])
		}
		out.Partitions = append(out.Partitions, label)
	}
	for _, v := range spec.Volumes {
		if sizes[v.Label] == 0 || sizes[v.Label] < v.Bytes {
			return g, fault.Errorf(fault.Internal, "its volume %s has %d bytes", v.Label, sizes[v.Label])
		}
		out.Volumes = append(out.Volumes, protocol.Volume{Label: v.Label, Bytes: sizes[v.Label]})
	}
	return out, nil
}

// readMembers reads from each member of a software RAID what array it belongs to.
func (b *builder) readMembers(ctx context.Context, found *protocol.Layout) error {
	for i, one := range b.arrays {
		array := ""
		for _, device := range one.members {
			m, err := b.ReadMember(ctx, device)
			if err != nil {
				return fault.Wrap("reading "+device+" back", err)
			}
			if m.Level != *b.order.Layout.Arrays[i].Level || m.Devices != len(one.members) || array != "" && m.Array != array {
				return fault.Errorf(fault.Internal, "%s reads back as a member of another array than was made: %+v", device, m)
			}
			array = m.Array
			found.Arrays[i].Level = &m.Level
		}
	}
	return nil
}
