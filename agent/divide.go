package agent

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/hagane-cloud/hagane/agent/layout"
	"github.com/hagane-cloud/hagane/agent/partition"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

// alignment is where partitions begin and end.
const alignment = 1 << 20

// device is the name of a partition's device.
func device(disk string, number int) string {
	if end := disk[len(disk)-1]; end >= '0' && end <= '9' {
		return fmt.Sprintf("%sp%d", disk, number)
	}
	return fmt.Sprintf("%s%d", disk, number)
}

// member gives a disk one partition for a software RAID, and returns its device. A disk with a table is not taken for an
// empty one by other systems.
func (b *builder) member(ctx context.Context, d Disk) (string, error) {
	info := d.Info()
	room := info.Bytes/alignment*alignment - 2*alignment
	places, err := partition.Create(d, info.Bytes, info.SectorBytes, rand.Text(), partition.Spec{Type: partition.RAID, Name: "raid", Bytes: room})
	if err == nil {
		err = wipeAt(ctx, d, places[0])
	}
	if err != nil {
		return "", err
	}
	return device(info.Name, places[0].Number), d.Reread(ctx)
}

// divide writes a table with the partitions of a spec to an array, and returns their numbers.
func (b *builder) divide(ctx context.Context, d Disk, spec protocol.Array) (map[string]int, error) {
	info := d.Info()
	sizes, err := portion(spec.Partitions, info.Bytes/alignment*alignment-2*alignment)
	if err != nil {
		return nil, err
	}
	var specs []partition.Spec
	for i, p := range spec.Partitions {
		specs = append(specs, partition.Spec{Type: b.kind(p), Name: p.Label, Bytes: sizes[i]})
	}
	places, err := partition.Create(d, info.Bytes, info.SectorBytes, rand.Text(), specs...)
	if err != nil {
		return nil, err
	}
	numbers := map[string]int{}
	for _, p := range places {
		if err := wipeAt(ctx, d, p); err != nil {
			return nil, err
		}
		numbers[p.Name], b.devices[p.Name] = p.Number, device(info.Name, p.Number)
	}
	return numbers, d.Reread(ctx)
}

// portion returns the sizes of partitions in a room: aligned, and what the others leave for the one without a size.
func portion(partitions []protocol.Partition, room int64) ([]int64, error) {
	sizes, rest := make([]int64, len(partitions)), -1
	for i, p := range partitions {
		sizes[i] = (p.Bytes + alignment - 1) / alignment * alignment
		room -= sizes[i]
		if p.Bytes == 0 {
			rest = i
		}
	}
	if room < 0 || rest >= 0 && room < alignment {
		return nil, fault.Errorf(fault.Invalid, "the partitions need %d MB more than there are", -room>>20+1)
	}
	if rest >= 0 {
		sizes[rest] = room / alignment * alignment
	}
	return sizes, nil
}

// kind is what a partition is for.
func (b *builder) kind(p protocol.Partition) partition.Type {
	if p.LVM {
		return partition.LVM
	}
	for _, f := range b.order.Layout.Filesystems {
		if f.Label == p.Label && f.Type == layout.Swap {
			return partition.Swap
		}
	}
	return partition.Linux
}

// behind adds the partitions of the primary storage behind those of the image, and returns their numbers. The partition
// that is mounted at / is the image's last one, which grows to the size that is asked for. Without one, partitions of given
// sizes go to the end of the disk, so that the image's last one may still grow.
func (b *builder) behind(ctx context.Context, d Disk, spec protocol.Array) (map[string]int, error) {
	info, numbers := d.Info(), map[string]int{}
	table, err := partition.Read(d, info.Bytes, info.SectorBytes)
	if err != nil {
		return nil, err
	}
	if err := forget(table, b.order.ImageBytes); err != nil {
		return nil, err
	}
	last, begin, end := table.Behind()
	end -= layout.DriveBytes
	rooted, others, open := layout.Root(&b.order.Layout), []protocol.Partition(nil), false
	for _, p := range spec.Partitions {
		if p.Label != rooted {
			others, open = append(others, p), open || p.Bytes == 0
			continue
		}
		length, err := rootSize(p, spec.Partitions, last, end)
		if err == nil {
			err = table.Grow(last, length)
		}
		if err != nil {
			return nil, err
		}
		numbers[p.Label], b.devices[p.Label], open = last.Number, device(info.Name, last.Number), true
		_, begin, _ = table.Behind()
	}
	sizes, err := portion(others, end-begin)
	if err != nil {
		return nil, err
	}
	if !open {
		begin = end
		for _, size := range sizes {
			begin -= size
		}
	}
	for i, p := range others {
		place, err := table.At(begin, sizes[i])
		if err == nil {
			err = wipeAt(ctx, d, place)
		}
		if err == nil {
			err = table.Put(place, p.Label, b.kind(p))
		}
		if err != nil {
			return nil, err
		}
		numbers[p.Label], b.devices[p.Label] = place.Number, device(info.Name, place.Number)
		begin += sizes[i]
	}
	if err := table.Write(d); err != nil {
		return nil, err
	}
	if err := d.Sync(ctx); err != nil {
		return nil, err
	}
	return numbers, d.Reread(ctx)
}

// forget takes the partitions out of a table that an earlier try has put behind the image.
func forget(table *partition.Table, image int64) error {
	var old []partition.Partition
	for _, p := range table.Partitions {
		if p.Offset >= image {
			old = append(old, p)
		}
	}
	for _, p := range old {
		if err := table.Remove(p); err != nil {
			return err
		}
	}
	return nil
}

// rootSize is how long the image's last partition is to become: as asked, or up to what the others need.
func rootSize(root protocol.Partition, all []protocol.Partition, last partition.Partition, end int64) (int64, error) {
	length := root.Bytes
	if length == 0 {
		length = end - last.Offset
		for _, p := range all {
			length -= (p.Bytes + alignment - 1) / alignment * alignment
		}
	}
	length = (last.Offset+length)/alignment*alignment - last.Offset
	if last.Number == 0 || length < last.Bytes {
		return 0, fault.Errorf(fault.Invalid, "the image's last partition has %d MB, and %q is to have %d: ask for more", last.Bytes>>20, root.Label, length>>20)
	}
	return length, nil
}

// wipeAt clears both ends of a partition that is to be, so that nothing that was there before is found in it.
func wipeAt(ctx context.Context, d Disk, p partition.Partition) error {
	n := min(int64(endBytes), p.Bytes)
	for _, part := range []span{{p.Offset, n}, {p.Offset + p.Bytes - n, n}} {
		if err := overwrite(ctx, d, part, func(int64) {}); err != nil {
			return fault.Wrap("wiping a partition's ends", err)
		}
	}
	return nil
}

// read reads the partitions of a spec back from the array's table.
func (o built) read(spec protocol.Array) ([]protocol.Partition, error) {
	info := o.disk.Info()
	table, err := partition.Read(o.disk, info.Bytes, info.SectorBytes)
	if err != nil {
		return nil, err
	}
	sizes := map[int]int64{}
	for _, p := range table.Partitions {
		sizes[p.Number] = p.Bytes
	}
	var out []protocol.Partition
	for _, p := range spec.Partitions {
		size := sizes[o.numbers[p.Label]]
		if size == 0 || size < p.Bytes-alignment {
			return nil, fault.Errorf(fault.Internal, "the partition %s has %d bytes", p.Label, size)
		}
		out = append(out, protocol.Partition{Label: p.Label, LVM: p.LVM, Bytes: size})
	}
	return out, nil
}
