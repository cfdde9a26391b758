package protocol

// LayOut asks for the disks to be laid out after an image was written. What is on the disks of the layout, beside the
// image on the root disk, is lost.
type LayOut struct {
	Root       RootHint `json:"root"`        // the disk that the image is on
	ImageBytes int64    `json:"image_bytes"` // of the raw image: partitions behind it are not its own
	Layout     Layout   `json:"layout"`
}

// Layout is how disks are divided: arrays of disks with partitions on them, volume groups of partitions, and file
// systems on partitions and logical volumes. Labels name partitions and volumes throughout.
type Layout struct {
	Arrays      []Array       `json:"arrays,omitempty"`
	Groups      []VolumeGroup `json:"groups,omitempty"`
	Filesystems []Filesystem  `json:"filesystems,omitempty"`
}

// Array is one disk, or several as a software RAID.
type Array struct {
	// Primary is the disk with the image; the partitions are added behind it.
	Primary bool `json:"primary,omitempty"`
	// Disks are ids of disks (layout.DiskID). When there are none the layout chooses (layout.Assign).
	Disks []string `json:"disks,omitempty"`
	// Level is that of the RAID: 0, 1, 5, 6 or 10; nil is one disk as it is.
	Level      *int        `json:"level,omitempty"`
	Partitions []Partition `json:"partitions,omitempty"`
}

// Partition is a part of an array.
type Partition struct {
	Label string `json:"label"`
	Bytes int64  `json:"bytes,omitempty"` // 0 is what the others leave
	LVM   bool   `json:"lvm,omitempty"`   // a physical volume of a group
}

// VolumeGroup is a group of LVM.
type VolumeGroup struct {
	Label      string   `json:"label"`
	Partitions []string `json:"partitions"` // labels of the physical volumes
	Volumes    []Volume `json:"volumes,omitempty"`
}

// Volume is a logical volume.
type Volume struct {
	Label string `json:"label"`
	Bytes int64  `json:"bytes,omitempty"` // 0 is what the others leave
}

// Filesystem is a file system, or swap, on a partition or logical volume.
type Filesystem struct {
	Label string `json:"label"` // of the partition or volume
	Type  string `json:"type"`  // ext4, xfs or swap
	Mount string `json:"mount,omitempty"`
	UUID  string `json:"uuid,omitempty"` // that it is made with
}
