package layout

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

// smallestRoot is the smallest disk that an empty hint takes where there is a choice: smaller ones
// are virtual media and boot modules.
const smallestRoot = 4 << 30

// Choose returns the index of the disk that a hint means.
func Choose(disks []protocol.Disk, hint protocol.RootHint) (int, error) {
	var fitting []int
	for i, d := range disks {
		if fits(d, hint) {
			fitting = append(fitting, i)
		}
	}
	if hint == (protocol.RootHint{}) && len(fitting) > 1 {
		if large := slices.DeleteFunc(slices.Clone(fitting), func(i int) bool { return disks[i].Bytes < smallestRoot }); len(large) > 0 {
			fitting = large
		}
	}
	if len(fitting) == 0 {
		return -1, fault.Errorf(fault.Invalid, "no disk fits the root hint %+v: the machine has %s", hint, list(disks))
	}
	return slices.MinFunc(fitting, func(i, j int) int {
		return cmp.Or(cmp.Compare(disks[i].Bytes, disks[j].Bytes), cmp.Compare(disks[i].Name, disks[j].Name))
	}), nil
}

func fits(d protocol.Disk, hint protocol.RootHint) bool {
	matches := func(want, have string) bool {
		return want == "" || strings.EqualFold(strings.TrimSpace(want), strings.TrimSpace(have))
	}
	return matches(hint.Name, d.Name) && matches(hint.Serial, d.Serial) && matches(hint.WWN, d.WWN) &&
		matches(hint.Model, d.Model) && d.Bytes >= hint.MinBytes
}

func list(disks []protocol.Disk) string {
	if len(disks) == 0 {
		return "none (is the driver of its disk controller in the ramdisk?)"
	}
	words := make([]string, len(disks))
	for i, d := range disks {
		words[i] = fmt.Sprintf("%s (%d bytes, model %q, serial %q)", d.Name, d.Bytes, d.Model, d.Serial)
	}
	return strings.Join(words, ", ")
}

// Hint returns the hint to the disk that the image goes to: the layout's primary storage where that names a disk,
// otherwise hint.
func Hint(l *protocol.Layout, disks []protocol.Disk, hint protocol.RootHint) (protocol.RootHint, error) {
	if l == nil {
		return hint, nil
	}
	for _, a := range l.Arrays {
		if !a.Primary || len(a.Disks) == 0 {
			continue
		}
		i, err := named(disks, a.Disks[0])
		if err != nil {
			return hint, err
		}
		// By what DiskID goes by: names may be others at the next boot.
		switch d := disks[i]; {
		case d.Serial != "":
			return protocol.RootHint{Serial: d.Serial}, nil
		case d.WWN != "":
			return protocol.RootHint{WWN: d.WWN}, nil
		default:
			return protocol.RootHint{Name: d.Name}, nil
		}
	}
	return hint, nil
}

func named(disks []protocol.Disk, id string) (int, error) {
	i := slices.IndexFunc(disks, func(d protocol.Disk) bool { return DiskID(d) == id })
	if i < 0 {
		return i, fault.Errorf(fault.Invalid, "there is no disk %s", id)
	}
	return i, nil
}

// Assign says which disks of a machine become each array, as indexes. The primary storage is the disk at root. Arrays
// that name disks get those; then each without a raid_level gets one, by name; then the one with a raid_level gets all
// that are left.
func Assign(l *protocol.Layout, disks []protocol.Disk, root int) ([][]int, error) {
	out := make([][]int, len(l.Arrays))
	taken := map[int]bool{root: true}
	for i, a := range l.Arrays {
		if a.Primary {
			out[i] = []int{root}
			continue
		}
		for _, id := range a.Disks {
			d, err := named(disks, id)
			if err != nil {
				return nil, err
			}
			if taken[d] {
				return nil, fault.Errorf(fault.Invalid, "the disk %s has the image on it, or is another array's", id)
			}
			taken[d] = true
			out[i] = append(out[i], d)
		}
	}
	left := make([]int, 0, len(disks))
	for i := range disks {
		if !taken[i] {
			left = append(left, i)
		}
	}
	slices.SortFunc(left, func(i, j int) int { return cmp.Compare(disks[i].Name, disks[j].Name) })
	for _, whole := range []bool{false, true} {
		for i, a := range l.Arrays {
			if a.Primary || len(a.Disks) > 0 || (a.Level != nil) != whole {
				continue
			}
			n := len(left)
			if !whole {
				n = min(1, n)
			}
			out[i], left = left[:n:n], left[n:]
		}
	}
	for i, a := range l.Arrays {
		need := 1
		if a.Level != nil {
			need = levels[*a.Level]
		}
		if len(out[i]) < need {
			return nil, fault.Errorf(fault.Invalid, "raid_arrays[%d] needs %d disks and %d are left", i, need, len(out[i]))
		}
	}
	return out, nil
}

// What tools keep for themselves, generously: the partition tables at both ends of a disk, the superblock and bitmap of
// an array's member, the metadata of a physical volume.
const (
	tableBytes  = 4 << 20
	memberBytes = 256 << 20
	extentBytes = 4 << 20
)

// DriveBytes is left at the end of the root disk for the config drive.
const DriveBytes = 66 << 20

// Fits says why a machine with these disks can not have the layout; nil if it can. The image is of the given size.
func Fits(l *protocol.Layout, disks []protocol.Disk, hint protocol.RootHint, image int64) error {
	hint, err := Hint(l, disks, hint)
	if err != nil {
		return err
	}
	root, err := Choose(disks, hint)
	if err != nil {
		return err
	}
	assigned, err := Assign(l, disks, root)
	if err != nil {
		return err
	}
	room := map[string]int64{}
	for i, a := range l.Arrays {
		size := Capacity(a, disks, assigned[i]) - tableBytes
		if a.Primary {
			size -= image + DriveBytes
		}
		rest := ""
		for _, p := range a.Partitions {
			need := p.Bytes
			if p.Bytes == 0 {
				rest, need = p.Label, least(l, p.Label)
			}
			size -= need
			room[p.Label] = p.Bytes
		}
		if size < 0 {
			return fault.Errorf(fault.Invalid, "the partitions of raid_arrays[%d] need %d MB more than its disks have", i, -size>>20+1)
		}
		if rest != "" {
			room[rest] = size + least(l, rest)
		}
	}
	for i, g := range l.Groups {
		var size int64
		for _, p := range g.Partitions {
			size += max(room[p]-2*extentBytes, 0) / extentBytes * extentBytes
		}
		for _, v := range g.Volumes {
			size -= (max(v.Bytes, least(l, v.Label)) + extentBytes - 1) / extentBytes * extentBytes
		}
		if size < 0 {
			return fault.Errorf(fault.Invalid, "the volumes of lvm_volume_groups[%d] need %d MB more than its partitions have", i, -size>>20+1)
		}
	}
	return nil
}

// least is how small something without a size may become.
func least(l *protocol.Layout, label string) int64 {
	if slices.ContainsFunc(l.Filesystems, func(f protocol.Filesystem) bool { return f.Label == label && f.Type == XFS }) {
		return smallestXFS
	}
	return smallest
}

// Capacity estimates how many bytes an array of the assigned disks has, at least.
func Capacity(a protocol.Array, disks []protocol.Disk, assigned []int) int64 {
	least := disks[assigned[0]].Bytes
	for _, d := range assigned {
		least = min(least, disks[d].Bytes)
	}
	if a.Level == nil {
		return least
	}
	n := int64(len(assigned))
	switch *a.Level {
	case 1:
		n = 1
	case 5:
		n--
	case 6:
		n -= 2
	case 10:
		n /= 2
	}
	return n * max(least-memberBytes-tableBytes, 0)
}
