// Package configdrive makes and reads OpenStack config drives: a small FAT file system labelled
// config-2 with the instance's metadata in it, in which cloud-init and the like find their
// instructions on first boot. FAT rather than ISO 9660 because its sectors can be as large as the
// disk's, so that the drive can be mounted on disks with 4096-byte sectors too. The agent writes
// one behind an image; the lab's machines and the tiny test system read it back.
package configdrive

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"

	"github.com/hagane-cloud/hagane/agent/partition"
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

// check refuses paths that a file system can not carry.
func (d Drive) check() error {
	for _, p := range d.Paths() {
		if !fs.ValidPath(p) || p == "." {
			return fmt.Errorf("%q is not a path within a drive", p)
		}
		for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
			if _, is := d[dir]; is {
				return fmt.Errorf("%q is both a file and a folder", dir)
			}
		}
	}
	return nil
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
