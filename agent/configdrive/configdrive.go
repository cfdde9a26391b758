// Package configdrive makes and reads OpenStack config drives: a small FAT file system labelled
// config-2 with the instance's metadata in it, in which cloud-init and the like find their
// instructions on first boot. FAT rather than ISO 9660 because its sectors can be as large as the
// disk's, so that the drive can be mounted on disks with 4096-byte sectors too. The agent writes
// one behind an image; the lab's machines and the tiny test system read it back.
package configdrive

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sort"

	"github.com/hagane-cloud/hagane/agent/fat"
	"github.com/hagane-cloud/hagane/agent/partition"
	"github.com/hagane-cloud/hagane/fault"
)

// Label is the file system label by which a config drive is known.
const Label = "config-2"

// MaxBytes is the largest config drive that Build makes (64 MiB, the limit of the OpenStack format).
const MaxBytes = 64 << 20

// Drive is the content of a config drive: path → content, such as openstack/latest/meta_data.json.
type Drive map[string][]byte

// Paths returns the paths in order.
func (d Drive) Paths() []string {
	paths := make([]string, 0, len(d))
	for p := range d {
		paths = append(paths, p)
	}
	sort.Strings(paths)
	return paths
}

// Build returns the file system for a disk with sectors of the given size in bytes (0 means 512).
// The same content gives the same bytes. Its faults are Invalid (a bad path) and TooLarge.
func Build(d Drive, sectorBytes int) ([]byte, error) {
	image, err := fat.Build(fat.Options{Label: Label, SectorBytes: sectorBytes, MaxBytes: MaxBytes}, d)
	return image, fault.Wrap("making a config drive", err)
}

// Read returns the content of the config drive on a partition or disk. It returns fs.ErrNotExist
// when there is none, and an Invalid fault when there is one and it is damaged.
func Read(from io.ReaderAt) (Drive, error) {
	d, err := fat.Read(from, Label, 2*MaxBytes)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Wrap("reading the config drive", err)
	}
	return d, err
}

// Find looks for a config drive on a disk of the given size in bytes and sector size (512 or
// 4096): in its partitions, and on the whole disk when it has none. It returns fs.ErrNotExist when
// there is none.
func Find(ctx context.Context, disk io.ReaderAt, size int64, sector int) (Drive, error) {
	table, err := partition.Read(disk, size, sector)
	if err != nil {
		return nil, err
	}
	if table.Kind == partition.None {
		return Read(io.NewSectionReader(disk, 0, size))
	}
	for _, p := range table.Partitions {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		drive, err := Read(io.NewSectionReader(disk, p.Offset, p.Bytes))
		if err == nil {
			return drive, nil
		}
	}
	return nil, fs.ErrNotExist
}
