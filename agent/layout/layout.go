// Package layout checks how disks are asked to be laid out, and decides which disks of a machine become which array. The
// cloud asks it before it chooses a node, and the agent before it begins, so that both decide alike. It touches no disk.
package layout

import (
	"crypto/sha256"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

// The kinds of file system.
const (
	Ext4 = "ext4"
	XFS  = "xfs"
	Swap = "swap"
)

// Bounds of a layout.
const (
	maxArrays      = 16
	maxDisks       = 64 // of an array
	maxPartitions  = 32 // of an array
	maxGroups      = 16
	maxVolumes     = 64 // of a group
	maxFilesystems = 128
	maxMount       = 255
)

// Sizes of what cannot be smaller, and of what is taken for administration.
const (
	smallest    = 8 << 20   // a partition or volume
	smallestXFS = 300 << 20 // mkfs.xfs makes no smaller one since xfsprogs 5.19
)

// labels fit into a GPT's names of 36 characters, and are names that LVM takes.
var labels = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,35}$`)

// reserved are names that LVM keeps for volumes of its own (lvm(8), "Valid names").
var reserved = regexp.MustCompile(`^(snapshot|pvmove)|_(cdata|cmeta|corig|mlog|mimage|pmspare|rimage|rmeta|tdata|tmeta|vorigin|vdata|imeta|iorig)`)

// devices are names that something in /dev has already: LVM makes a folder there for each group.
var devices = regexp.MustCompile(`^(autofs|block|bsg|bus|char|console|core|cpu|disk|dm|dri|fb|fd|full|fuse|hpet|hugepages|hvc|hwrng|input|ipmi|kmsg|kvm|log|` +
	`loop|lp|mapper|mcelog|md|mei|mem|mqueue|net|null|nvram|pmem|port|ppp|psaux|ptmx|ptp|pts|random|raw|rfkill|rtc|sg|shm|snapshot|snd|sr|stderr|stdin|` +
	`stdout|tpm|tty|uhid|uinput|urandom|usb|vcs|vfio|vhost|watchdog|zero|zram)[0-9]*$|^([hsv]d|xvd)[a-z]{1,3}[0-9]*$|^nvme[0-9]|^ttyS`)

// drive is the label of the config drive, by which systems find that.
const drive = "config-2"

// DiskID returns the id by which a layout names a disk: always the same for one disk, wherever it is asked. A disk is
// known by its serial number, or WWN, or else its name.
func DiskID(d protocol.Disk) string {
	what := "name " + d.Name
	switch {
	case d.Serial != "":
		what = "serial " + d.Serial
	case d.WWN != "":
		what = "wwn " + d.WWN
	}
	h := sha256.Sum256([]byte("hagane disk " + what))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80 // a UUID of version 8, made as one likes (RFC 9562)
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// Empty reports whether nothing is asked for.
func Empty(l *protocol.Layout) bool {
	return l == nil || len(l.Arrays)+len(l.Groups)+len(l.Filesystems) == 0
}

// Check refuses a layout that no disks could have. Its faults name the field by ECL2.0's names.
func Check(l *protocol.Layout) error {
	c := checker{partitions: map[string]protocol.Partition{}, free: map[string]bool{}, sizes: map[string]int64{}, primary: map[string]bool{}}
	for _, check := range []func(*protocol.Layout) error{c.arrays, c.groups, c.filesystems} {
		if err := check(l); err != nil {
			return err
		}
	}
	return nil
}

// checker knows the labels seen so far.
type checker struct {
	partitions map[string]protocol.Partition
	free       map[string]bool  // labels that can have a file system and have none yet
	sizes      map[string]int64 // of labels; 0 is the rest
	primary    map[string]bool  // partitions of the primary storage
}

func (c *checker) arrays(l *protocol.Layout) error {
	if len(l.Arrays) > maxArrays {
		return fault.Field("raid_arrays", "must be %d at most", maxArrays)
	}
	primaries, open := 0, 0
	seen := map[string]bool{}
	for i, a := range l.Arrays {
		at := fmt.Sprintf("raid_arrays[%d]", i)
		if a.Primary {
			primaries++
		}
		if a.Level != nil && len(a.Disks) == 0 {
			open++
		}
		for _, d := range a.Disks {
			if seen[d] {
				return fault.Field(at+".disk_hardware_ids", "the disk %s is named twice", d)
			}
			seen[d] = true
		}
		if err := checkDisks(at, a); err != nil {
			return err
		}
		if err := c.addPartitions(at, a); err != nil {
			return err
		}
	}
	switch {
	case primaries > 1:
		return fault.Field("raid_arrays", "one array at most can be the primary storage")
	case open > 1:
		return fault.Field("raid_arrays", "one array with a raid_level at most can leave disk_hardware_ids out: it takes all disks that are left")
	}
	return nil
}

// levels are the RAID levels and the disks that they need.
var levels = map[int]int{0: 2, 1: 2, 5: 3, 6: 4, 10: 4}

func checkDisks(at string, a protocol.Array) error {
	switch {
	case len(a.Disks) > maxDisks:
		return fault.Field(at+".disk_hardware_ids", "must be %d at most", maxDisks)
	case a.Primary && a.Level != nil:
		return fault.Field(at+".raid_level", "the primary storage is one disk, from which any image can boot; leave raid_level out, or make another array")
	case a.Primary && len(a.Disks) > 1:
		return fault.Field(at+".disk_hardware_ids", "the primary storage is one disk; name one, or none for the server's own")
	case !a.Primary && a.Level == nil && len(a.Disks) > 1:
		return fault.Field(at+".raid_level", "is missing: several disks become one by a RAID of the level 0, 1, 5, 6 or 10")
	case a.Level == nil:
		return nil
	}
	need, known := levels[*a.Level]
	if !known {
		return fault.Field(at+".raid_level", "%d is not possible; 0, 1, 5, 6 and 10 are", *a.Level)
	}
	if n := len(a.Disks); n > 0 && n < need {
		return fault.Field(at+".disk_hardware_ids", "RAID %d needs %d disks at least; %d are named", *a.Level, need, n)
	}
	return nil
}

func (c *checker) addPartitions(at string, a protocol.Array) error {
	if len(a.Partitions) > maxPartitions {
		return fault.Field(at+".partitions", "must be %d at most", maxPartitions)
	}
	rest := 0
	for j, p := range a.Partitions {
		if err := c.size(fmt.Sprintf("%s.partitions[%d]", at, j), "partition_label", p.Label, p.Bytes); err != nil {
			return err
		}
		if p.Bytes == 0 {
			rest++
		}
		c.partitions[p.Label], c.primary[p.Label] = p, a.Primary
		if !p.LVM {
			c.free[p.Label] = true
		}
	}
	if rest > 1 {
		return fault.Field(at+".partitions", "one partition at most can be without a size: it takes what the others leave")
	}
	return nil
}

// size notes the size of what has a label of its own.
func (c *checker) size(at, field, label string, size int64) error {
	if !labels.MatchString(label) {
		return fault.Field(at+"."+field, "must have 1 to 36 letters, digits, _, . and -, and begin with a letter or digit")
	}
	if _, taken := c.sizes[label]; taken || strings.EqualFold(label, drive) {
		return fault.Field(at+"."+field, "%q is the label of something else already", label)
	}
	if size != 0 && size < smallest {
		return fault.Field(at+".size", "must be 8M at least")
	}
	c.sizes[label] = size
	return nil
}

func (c *checker) groups(l *protocol.Layout) error {
	if len(l.Groups) > maxGroups {
		return fault.Field("lvm_volume_groups", "must be %d at most", maxGroups)
	}
	names, grouped := map[string]bool{}, map[string]bool{}
	for i, g := range l.Groups {
		at := fmt.Sprintf("lvm_volume_groups[%d]", i)
		if !labels.MatchString(g.Label) || names[g.Label] {
			return fault.Field(at+".vg_label", "must be a name of its own of 1 to 36 letters, digits, _, . and -")
		}
		if devices.MatchString(g.Label) {
			return fault.Field(at+".vg_label", "%q is the name of a device; take another, such as vg-%s", g.Label, g.Label)
		}
		names[g.Label] = true
		if len(g.Partitions) == 0 {
			return fault.Field(at+".physical_volume_partition_labels", "names no partition")
		}
		for _, label := range g.Partitions {
			if p, known := c.partitions[label]; !known || !p.LVM {
				return fault.Field(at+".physical_volume_partition_labels", "%q is no partition with lvm set", label)
			}
			if grouped[label] {
				return fault.Field(at+".physical_volume_partition_labels", "the partition %q is named twice", label)
			}
			grouped[label] = true
		}
		if err := c.addVolumes(at, g); err != nil {
			return err
		}
	}
	for _, a := range l.Arrays {
		for _, p := range a.Partitions {
			if p.LVM && !grouped[p.Label] {
				return fault.Field("lvm_volume_groups", "the partition %q has lvm set, and no group has it in physical_volume_partition_labels", p.Label)
			}
		}
	}
	return nil
}

func (c *checker) addVolumes(at string, g protocol.VolumeGroup) error {
	if len(g.Volumes) > maxVolumes {
		return fault.Field(at+".logical_volumes", "must be %d at most", maxVolumes)
	}
	rest := 0
	for j, v := range g.Volumes {
		here := fmt.Sprintf("%s.logical_volumes[%d]", at, j)
		if err := c.size(here, "lv_label", v.Label, v.Bytes); err != nil {
			return err
		}
		if reserved.MatchString(v.Label) {
			return fault.Field(here+".lv_label", "%q is a name that LVM keeps for itself", v.Label)
		}
		if v.Bytes == 0 {
			rest++
		}
		c.free[v.Label] = true
	}
	if rest > 1 {
		return fault.Field(at+".logical_volumes", "one volume at most can be without a size: it takes what the others leave")
	}
	return nil
}

func (c *checker) filesystems(l *protocol.Layout) error {
	if len(l.Filesystems) > maxFilesystems {
		return fault.Field("filesystems", "must be %d at most", maxFilesystems)
	}
	mounts := map[string]bool{}
	for i, f := range l.Filesystems {
		at := fmt.Sprintf("filesystems[%d]", i)
		if !c.free[f.Label] {
			return fault.Field(at+".label", "%q is no logical volume, nor a partition without lvm, or has a file system already", f.Label)
		}
		c.free[f.Label] = false
		if size := c.sizes[f.Label]; f.Type == XFS && size > 0 && size < smallestXFS {
			return fault.Field(at+".fs_type", "xfs needs 300M; use ext4 or a larger size")
		}
		if err := checkMount(at, f); err != nil {
			return err
		}
		if f.Mount == "/" && !c.primary[f.Label] {
			return fault.Field(at+".mount_point", "/ is in the image, which is on the primary storage: label a partition of that without lvm, to say how large it is to be")
		}
		if f.Mount != "" && mounts[f.Mount] {
			return fault.Field(at+".mount_point", "%s is mounted twice", f.Mount)
		}
		mounts[f.Mount] = true
	}
	return nil
}

// systems are places where the operating system mounts something of its own.
var systems = []string{"/boot", "/dev", "/proc", "/run", "/sys", "/etc", "/usr", "/bin", "/sbin", "/lib", "/lib64"}

func checkMount(at string, f protocol.Filesystem) error {
	switch {
	case f.Type != Ext4 && f.Type != XFS && f.Type != Swap:
		return fault.Field(at+".fs_type", "%q is not known; ext4, xfs and swap are", f.Type)
	case f.Mount == "":
		return nil
	case f.Type == Swap:
		return fault.Field(at+".mount_point", "swap is not mounted anywhere; leave mount_point out")
	case len(f.Mount) > maxMount || !path.IsAbs(f.Mount) || path.Clean(f.Mount) != f.Mount:
		return fault.Field(at+".mount_point", "must be an absolute path of at most %d bytes, without . and .. and a slash at its end", maxMount)
	case strings.ContainsFunc(f.Mount, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '"' || r == '\\' || r == '#' }):
		return fault.Field(at+".mount_point", "must have no spaces, quotes, backslashes, # and control characters")
	case slices.ContainsFunc(systems, func(s string) bool { return f.Mount == s || strings.HasPrefix(f.Mount, s+"/") }):
		return fault.Field(at+".mount_point", "%s is the operating system's own, which comes with the image", f.Mount)
	}
	return nil
}

// Root returns the partition that is mounted at /; "" when none is asked for. It is the image's own.
func Root(l *protocol.Layout) string {
	for _, f := range l.Filesystems {
		if f.Mount == "/" {
			return f.Label
		}
	}
	return ""
}
