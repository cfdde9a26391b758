package ecl

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
)

type raidArray struct {
	Primary    bool     `json:"primary_storage"`
	Card       string   `json:"raid_card_hardware_id"`
	Disks      []string `json:"disk_hardware_ids"`
	Level      *int     `json:"raid_level"`
	Partitions []struct {
		LVM   bool   `json:"lvm"`
		Size  string `json:"size"`
		Label string `json:"partition_label"`
	} `json:"partitions"`
}

type volumeGroup struct {
	Label      string   `json:"vg_label"`
	Partitions []string `json:"physical_volume_partition_labels"`
	Volumes    []struct {
		Size  string `json:"size"`
		Label string `json:"lv_label"`
	} `json:"logical_volumes"`
}

type filesystem struct {
	Label string `json:"label"`
	Mount string `json:"mount_point"`
	Type  string `json:"fs_type"`
}

// layoutOf translates how disks are asked to be laid out.
func layoutOf(arrays []raidArray, groups []volumeGroup, filesystems []filesystem) (*protocol.Layout, error) {
	l := new(protocol.Layout)
	for i, a := range arrays {
		if a.Card != "" {
			return nil, fault.Field(fmt.Sprintf("raid_arrays[%d].raid_card_hardware_id", i), "no RAID card %q is known: arrays are software RAIDs of Linux; leave it out", a.Card)
		}
		to := protocol.Array{Primary: a.Primary, Disks: a.Disks, Level: a.Level}
		for j, p := range a.Partitions {
			size, err := bytesOf(p.Size)
			if err != nil {
				return nil, fault.Field(fmt.Sprintf("raid_arrays[%d].partitions[%d].size", i, j), "%s", err.Error())
			}
			to.Partitions = append(to.Partitions, protocol.Partition{Label: p.Label, Bytes: size, LVM: p.LVM})
		}
		l.Arrays = append(l.Arrays, to)
	}
	for i, g := range groups {
		to := protocol.VolumeGroup{Label: g.Label, Partitions: g.Partitions}
		for j, v := range g.Volumes {
			size, err := bytesOf(v.Size)
			if err != nil {
				return nil, fault.Field(fmt.Sprintf("lvm_volume_groups[%d].logical_volumes[%d].size", i, j), "%s", err.Error())
			}
			to.Volumes = append(to.Volumes, protocol.Volume{Label: v.Label, Bytes: size})
		}
		l.Groups = append(l.Groups, to)
	}
	for _, f := range filesystems {
		l.Filesystems = append(l.Filesystems, protocol.Filesystem{Label: f.Label, Type: f.Type, Mount: f.Mount})
	}
	return l, nil
}

// units of sizes.
var units = map[byte]int64{'M': 1 << 20, 'G': 1 << 30, 'T': 1 << 40}

// bytesOf reads a size such as 100G; "" is 0, what others leave.
func bytesOf(size string) (int64, error) {
	if size == "" {
		return 0, nil
	}
	last := len(size) - 1
	unit := units[size[last]]
	n, err := strconv.ParseInt(size[:last], 10, 64)
	const most = 1 << 50
	if err != nil || unit == 0 || n < 1 || n > most/unit || strings.HasPrefix(size, "+") {
		return 0, fault.Errorf(fault.Invalid, "%.40q is no size: a number of 1 or more with M, G or T behind it, such as 100G", size)
	}
	return n * unit, nil
}

// gigabytes shows a size as ECL2.0 does.
func gigabytes(n int64) int64 { return (n + 1<<29) >> 30 }

// layoutDocs show a layout: as it was read back from the disks where it was, otherwise as asked for. A size that is not
// known yet is left out, as is what is false.
func (s shown) layoutDocs() (arrays, groups, filesystems []api.Object) {
	arrays, groups, filesystems = []api.Object{}, []api.Object{}, []api.Object{}
	l := s.Layout
	if s.laidOut != nil {
		l = s.laidOut
	}
	if l == nil {
		return arrays, groups, filesystems
	}
	sized := func(d api.Object, size int64) api.Object {
		if size > 0 {
			d["size"] = gigabytes(size)
		}
		return d
	}
	for _, a := range l.Arrays {
		partitions := []api.Object{}
		for _, p := range a.Partitions {
			d := sized(api.Object{"partition_label": p.Label}, p.Bytes)
			if p.LVM {
				d["lvm"] = true
			}
			partitions = append(partitions, d)
		}
		ids := append([]string{}, a.Disks...)
		d := api.Object{"disk_hardware_ids": ids, "internal_disk_ids": ids, "partitions": partitions}
		if a.Primary {
			d["primary_storage"] = true
		}
		if a.Level != nil {
			d["raid_level"] = *a.Level
		}
		arrays = append(arrays, d)
	}
	for _, g := range l.Groups {
		volumes := []api.Object{}
		for _, v := range g.Volumes {
			volumes = append(volumes, sized(api.Object{"lv_label": v.Label}, v.Bytes))
		}
		groups = append(groups, api.Object{"vg_label": g.Label, "physical_volume_partition_labels": g.Partitions, "logical_volumes": volumes})
	}
	for _, f := range l.Filesystems {
		d := api.Object{"label": f.Label, "fs_type": f.Type}
		if f.Mount != "" {
			d["mount_point"] = f.Mount
		}
		filesystems = append(filesystems, d)
	}
	return arrays, groups, filesystems
}
