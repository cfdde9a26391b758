package server

import (
	"encoding/json"
	"slices"

	"github.com/google/uuid"

	"github.com/hagane-cloud/hagane/agent/layout"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
)

// checkLayout refuses a layout that an image leaves no room for in its partition table. That can not be seen of a node.
func (s *Service) checkLayout(l *protocol.Layout, i image.Image) error {
	if layout.Empty(l) {
		return nil
	}
	at := slices.IndexFunc(l.Arrays, func(a protocol.Array) bool { return a.Primary && len(a.Partitions) > 0 })
	if at < 0 {
		return nil
	}
	last, free, err := s.images.Ending(i)
	if err != nil {
		return err
	}
	root, more := layout.Root(l), 0
	for _, p := range l.Arrays[at].Partitions {
		switch {
		case p.Label != root:
			more++
		case p.Bytes > 0 && p.Bytes < last:
			return fault.Field("raid_arrays", "the partition %q is to be mounted at /: the image's own, which has %d MB, more than was asked for", p.Label, last>>20)
		}
	}
	if more > 0 && more >= free { // one is for the config drive
		return fault.Field("raid_arrays", "the partition table of the image has room for %d more partitions beside the config drive, and the primary storage is to have %d: use an image with a GPT",
			max(free-1, 0), more)
	}
	return nil
}

// layoutOf is a server's own layout: its file systems have UUIDs, by which the system finds them.
func layoutOf(l *protocol.Layout) *protocol.Layout {
	if layout.Empty(l) {
		return nil
	}
	own := *l
	own.Filesystems = slices.Clone(l.Filesystems)
	for i := range own.Filesystems {
		if f := &own.Filesystems[i]; f.Mount != "/" {
			f.UUID = uuid.NewString()
		}
	}
	return &own
}

// vendorData are the provider's instructions for cloud-init: to mount the file systems, and to use the swap, of a layout. A
// system that waits for one in vain starts all the same.
// Source: cloud-init's documentation, "Vendor-data" and the module "Mounts".
func vendorData(l *protocol.Layout) (map[string]any, error) {
	var mounts [][]string
	if l != nil {
		for _, f := range l.Filesystems {
			from := "/dev/disk/by-uuid/" + f.UUID
			switch {
			case f.Type == layout.Swap:
				mounts = append(mounts, []string{from, "none", "swap", "sw,nofail", "0", "0"})
			case f.Mount != "" && f.Mount != "/":
				mounts = append(mounts, []string{from, f.Mount, f.Type, "defaults,nofail", "0", "2"})
			}
		}
	}
	if mounts == nil {
		return map[string]any{}, nil
	}
	// JSON is YAML.
	text, err := json.Marshal(map[string]any{"mounts": mounts})
	return map[string]any{"cloud-init": "#cloud-config\n" + string(text) + "\n"}, err
}
