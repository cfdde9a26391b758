package layout

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

// of reads a layout in the protocol's form.
func of(t *testing.T, text string) *protocol.Layout {
	t.Helper()
	l := new(protocol.Layout)
	if err := json.Unmarshal([]byte(text), l); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return l
}

const (
	withRAID = `{"arrays": [{"primary": true, "partitions": [{"label": "root", "bytes": 9000000000}, {"label": "swap"}]},
		{"level": 5, "partitions": [{"label": "pv", "lvm": true}, {"label": "data", "bytes": 8000000000}]}],
		"groups": [{"label": "vg", "partitions": ["pv"], "volumes": [{"label": "var", "bytes": 8000000000}, {"label": "home"}]}],
		"filesystems": [{"label": "root", "type": "ext4", "mount": "/"}, {"label": "swap", "type": "swap"},
			{"label": "var", "type": "xfs", "mount": "/var"}, {"label": "data", "type": "ext4", "mount": "/var/data"}]}`
	lone = `{"arrays": [{"partitions": [{"label": "a", "lvm": %lvm}]}], "groups": [%groups], "filesystems": [%filesystems]}`
)

func TestCheck(t *testing.T) {
	for _, text := range []string{`{}`, withRAID, `{"arrays": [{"partitions": []}, {"disks": ["a", "b"], "level": 1}, {"level": 0}]}`} {
		if err := Check(of(t, text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	array := func(text string) string { return `{"arrays": [` + text + `]}` }
	filled := func(lvm, groups, filesystems string) string {
		return strings.NewReplacer("%lvm", lvm, "%groups", groups, "%filesystems", filesystems).Replace(lone)
	}
	group := func(rest string) string { return filled("true", `{"label": "vg", "partitions": ["a"]`+rest+`}`, "") }
	fs := func(text string) string { return filled("false", "", text) }
	for text, field := range map[string]string{
		array(strings.Repeat(`{},`, 16) + `{}`):                                                      "raid_arrays",
		array(`{"primary": true}, {"primary": true}`):                                                "raid_arrays",
		array(`{"level": 1}, {"level": 5}`):                                                          "raid_arrays",
		array(`{"primary": true, "level": 1}`):                                                       "raid_arrays[0].raid_level",
		array(`{"level": 4}`):                                                                        "raid_arrays[0].raid_level",
		array(`{"disks": ["a", "b"]}`):                                                               "raid_arrays[0].raid_level",
		array(`{}, {"level": 5, "disks": ["a", "b"]}`):                                               "raid_arrays[1].disk_hardware_ids",
		array(`{"primary": true, "disks": ["a", "b"]}`):                                              "raid_arrays[0].disk_hardware_ids",
		array(`{"disks": ["a"]}, {"disks": ["a"]}`):                                                  "raid_arrays[1].disk_hardware_ids",
		array(`{"partitions": [{"label": "Config-2"}]}`):                                             "raid_arrays[0].partitions[0].partition_label",
		strings.Replace(withRAID, `"label": "vg"`, `"label": "sda"`, 1):                              "lvm_volume_groups[0].vg_label",
		strings.Replace(withRAID, `"label": "vg"`, `"label": "md127"`, 1):                            "lvm_volume_groups[0].vg_label",
		array(`{"partitions": [{"label": "-x"}]}`):                                                   "raid_arrays[0].partitions[0].partition_label",
		array(`{"partitions": [{"label": "x", "bytes": 9000000}]}, {"partitions":[{"label": "x"}]}`): "raid_arrays[1].partitions[0].partition_label",
		array(`{"partitions": [{"label": "x", "bytes": 512}]}`):                                      "raid_arrays[0].partitions[0].size",
		array(`{"partitions": [{"label": "x"}, {"label": "y"}]}`):                                    "raid_arrays[0].partitions",
		filled("true", "", ""):                                                                       "lvm_volume_groups",
		filled("false", `{"label": "vg", "partitions": ["a"]}`, ""):                                  "lvm_volume_groups[0].physical_volume_partition_labels",
		filled("true", `{"label": "vg", "partitions": ["a", "a"]}`, ""):                              "lvm_volume_groups[0].physical_volume_partition_labels",
		filled("true", `{"label": "vg"}`, ""):                                                        "lvm_volume_groups[0].physical_volume_partition_labels",
		filled("true", `{"label": "", "partitions": ["a"]}`, ""):                                     "lvm_volume_groups[0].vg_label",
		group(`, "volumes": [{"label": "a"}]`):                                                       "lvm_volume_groups[0].logical_volumes[0].lv_label",
		group(`, "volumes": [{"label": "x_mlog"}]`):                                                  "lvm_volume_groups[0].logical_volumes[0].lv_label",
		group(`, "volumes": [{"label": "x", "bytes": 1}]`):                                           "lvm_volume_groups[0].logical_volumes[0].size",
		group(`, "volumes": [{"label": "x"}, {"label": "y"}]`):                                       "lvm_volume_groups[0].logical_volumes",
		fs(`{"label": "b", "type": "ext4"}`):                                                         "filesystems[0].label",
		fs(`{"label": "a", "type": "ext4"}, {"label": "a", "type": "xfs"}`):                          "filesystems[1].label",
		fs(`{"label": "a", "type": "zfs"}`):                                                          "filesystems[0].fs_type",
		fs(`{"label": "a", "type": "swap", "mount": "/x"}`):                                          "filesystems[0].mount_point",
		fs(`{"label": "a", "type": "ext4", "mount": "x"}`):                                           "filesystems[0].mount_point",
		fs(`{"label": "a", "type": "ext4", "mount": "/x/../y"}`):                                     "filesystems[0].mount_point",
		fs(`{"label": "a", "type": "ext4", "mount": "/x y"}`):                                        "filesystems[0].mount_point",
		fs(`{"label": "a", "type": "ext4", "mount": "/usr/local"}`):                                  "filesystems[0].mount_point",
		fs(`{"label": "a", "type": "ext4", "mount": "/"}`):                                           "filesystems[0].mount_point",
		strings.Replace(withRAID, `"/var/data"`, `"/var"`, 1):                                        "filesystems[3].mount_point",
		strings.Replace(withRAID, `"var", "bytes": 8000000000`, `"var", "bytes": 9000000`, 1):        "filesystems[2].fs_type",
	} {
		err := Check(of(t, text))
		if !fault.Is(err, fault.Invalid) || !strings.HasPrefix(err.Error(), field+": ") {
			t.Errorf("%s\n\tgives %v, want a fault of the field %s", text, err, field)
		}
	}
}

func TestFits(t *testing.T) {
	const gb = 1 << 30
	disk := func(name string, size int64) protocol.Disk {
		return protocol.Disk{Name: name, Serial: "S" + name, Bytes: size}
	}
	four := []protocol.Disk{disk("a", 20*gb), disk("b", 30*gb), disk("c", 30*gb), disk("d", 30*gb)}
	id := DiskID(four[3])
	for _, c := range []struct {
		text  string
		disks []protocol.Disk
		want  string // "" fits
	}{
		{withRAID, four, ""},
		{withRAID, four[:3], "raid_arrays[1] needs 3 disks and 2 are left"},
		{strings.Replace(withRAID, `"var", "bytes": 8000000000`, `"var", "bytes": 60000000000`, 1), four, "lvm_volume_groups[0]"},
		{withRAID, []protocol.Disk{disk("a", 8*gb), four[1], four[2], four[3]}, "raid_arrays[0] need"},
		{withRAID, nil, "no disk fits"},
		{`{"arrays": [{"disks": ["` + id + `"], "partitions": [{"label": "x", "bytes": 31000000000}]}, {"level": 1}]}`, four, ""},
		{`{"arrays": [{"disks": ["` + id + `"]}, {"level": 5}]}`, four, "needs 3 disks and 2 are left"},
		{`{"arrays": [{"disks": ["` + DiskID(four[0]) + `"]}]}`, four, "has the image on it"},
		{`{"arrays": [{"primary": true, "disks": ["` + id + `"]}, {"partitions": [{"label": "x", "bytes": 21000000000}]}]}`, four, ""},
		{`{"arrays": [{"disks": ["x"]}]}`, four, "there is no disk x"},
	} {
		err := Fits(of(t, c.text), c.disks, protocol.RootHint{}, 2*gb)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s on %d disks: %v, want %q", c.text, len(c.disks), err, c.want)
		}
	}
}

func TestDiskID(t *testing.T) {
	d := protocol.Disk{Name: "/dev/sda", Serial: "A"}
	moved := d
	moved.Name = "/dev/sdb"
	if DiskID(d) != DiskID(moved) || DiskID(d) == DiskID(protocol.Disk{Name: "/dev/sda"}) || len(DiskID(d)) != 36 {
		t.Errorf("%s %s", DiskID(d), DiskID(moved))
	}
}
