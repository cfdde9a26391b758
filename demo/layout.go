package demo

import (
	"context"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/hagane-cloud/hagane/fault"
)

// mirrored is how many disks machines need for the layout that the demo asks for.
const mirrored = 3

// layOut asks for the disks beside the image's to be mirrored, with a volume group and file systems on them.
func (s *story) layOut(server object) {
	if s.Disks < mirrored {
		return
	}
	server["raid_arrays"] = []object{{"raid_level": 1, "partitions": []object{{"partition_label": "pv", "lvm": true}, {"partition_label": "data", "size": "1G"}}}}
	server["lvm_volume_groups"] = []object{{"vg_label": "vg", "physical_volume_partition_labels": []string{"pv"}, "logical_volumes": []object{{"lv_label": "var", "size": "2G"}}}}
	server["filesystems"] = []object{{"label": "data", "mount_point": "/data", "fs_type": "xfs"}, {"label": "var", "mount_point": "/var", "fs_type": "ext4"}}
}

// proveLayout compares what the cloud says of a server's disks with what was asked for.
func (s *story) proveLayout(ctx context.Context, sv *demoServer) error {
	if s.Disks < mirrored {
		return nil
	}
	var got struct {
		Server struct {
			Arrays []struct {
				Level int      `json:"raid_level"`
				Disks []string `json:"disk_hardware_ids"`
			} `json:"raid_arrays"`
			Groups []struct {
				Volumes []struct{ Size int } `json:"logical_volumes"`
			} `json:"lvm_volume_groups"`
		}
	}
	if err := s.tenant.Do(ctx, "GET", "baremetal-server", "/servers/"+sv.id, nil, &got); err != nil {
		return err
	}
	a, g := got.Server.Arrays, got.Server.Groups
	if len(a) != 1 || a[0].Level != 1 || len(a[0].Disks) != s.Disks-1 || len(g) != 1 || len(g[0].Volumes) != 1 || g[0].Volumes[0].Size != 2 {
		return fault.Errorf(fault.Conflict, "%s: the disks are laid out as %+v, and not as asked for", sv.name, got.Server)
	}
	s.say("%s: the agent read back a RAID 1 of %d disks with a volume group and two file systems", sv.name, len(a[0].Disks))
	return nil
}

// memberCommand prints the first four bytes of the RAID's superblock from each disk that has one.
const memberCommand = `for d in /dev/vd[b-p]1 /dev/nvme[1-9]n1p1; do [ -b $d ] && dd if=$d bs=4 skip=1024 count=1 2>/dev/null | od -An -tx1; done; true`

// lookAtDisks has a server's own system read its disks.
func (s *story) lookAtDisks(sv *demoServer, c *ssh.Client) error {
	if s.Disks < mirrored || s.OS != "tiny" {
		return nil
	}
	out, err := output(c, memberCommand)
	if err != nil {
		return err
	}
	const superblock = "fc 4e 2b a9" // of Linux's software RAID, version 1
	if n := strings.Count(out, superblock); n != s.Disks-1 {
		return fault.Errorf(fault.Conflict, "its system finds the RAID on %d disks, want %d: %q", n, s.Disks-1, out)
	}
	s.say("%s: its system finds the RAID on %d disks", sv.name, s.Disks-1)
	return nil
}
