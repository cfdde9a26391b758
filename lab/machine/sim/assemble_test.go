package sim

import (
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/hagane-cloud/hagane/agent"
	"github.com/hagane-cloud/hagane/agent/layout"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/machine/machinetest"
	"github.com/hagane-cloud/hagane/ramdisk/ramdisktest"
)

// withDisks is a machine with so many disks of 4 GiB, and its root disk's hint.
func withDisks(t *testing.T, n int) (*body, protocol.RootHint) {
	t.Helper()
	spec := machine.Spec{Name: "n1", Mode: machine.UEFI}
	for i := range n {
		spec.Disks = append(spec.Disks, machine.DiskSpec{Bus: machine.Virtio, Bytes: 4 << 30, Serial: fmt.Sprintf("D%d", i)})
	}
	m, err := New(spec, t.TempDir(), nil, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "console"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	return newBody(&guest{Machine: m, out: out, say: slog.New(slog.DiscardHandler)}), protocol.RootHint{Serial: "D0"}
}

// carryOut has the agent carry out orders on a machine and returns their ends by their ids.
func carryOut(t *testing.T, b *body, orders ...*protocol.Order) *ramdisktest.Cloud {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, machinetest.Image(), 0o600); err != nil {
		t.Fatal(err)
	}
	cloud := ramdisktest.NewCloud(t, map[string]string{"i": image}, append(orders, &protocol.Order{ID: "end", Shutdown: &protocol.Shutdown{}})...)
	base := fmt.Sprintf("http://127.0.0.1:%d", cloud.Port)
	for _, o := range orders {
		if o.Write != nil {
			o.Write.URL = base + "/image/i"
		}
	}
	if err := agent.Run(t.Context(), agent.Config{API: base + "/agent/v1", Secret: "S", Machine: b, Pause: 1}); err != nil {
		t.Fatal(err)
	}
	return cloud
}

func writeOrder(root protocol.RootHint) *protocol.Order {
	sum := sha512.Sum512(machinetest.Image())
	return &protocol.Order{ID: "write", Write: &protocol.Write{SHA512: hex.EncodeToString(sum[:]), Size: int64(len(machinetest.Image())), Root: root}}
}

func layOrder(id string, root protocol.RootHint, l protocol.Layout) *protocol.Order {
	return &protocol.Order{ID: id, LayOut: &protocol.LayOut{Root: root, ImageBytes: int64(len(machinetest.Image())), Layout: l}}
}

// TestLayout lays out a disk beside the image's, and software RAIDs of every level with a volume group on them, twice; what
// the agent reads back is what was asked for. Erasing leaves nothing.
func TestLayout(t *testing.T) {
	for level, disks := range map[int]int{0: 3, 1: 3, 5: 3, 6: 4, 10: 4} {
		t.Run(fmt.Sprintf("RAID %d", level), func(t *testing.T) {
			b, root := withDisks(t, 2+disks)
			l := protocol.Layout{
				Arrays: []protocol.Array{
					{Level: &level, Partitions: []protocol.Partition{{Label: "pv", LVM: true}, {Label: "data", Bytes: 1 << 30}}},
					{Primary: true, Partitions: []protocol.Partition{{Label: "swap", Bytes: 1 << 30}, {Label: "root"}}},
					{Partitions: []protocol.Partition{{Label: "raw", LVM: true}}},
				},
				Groups: []protocol.VolumeGroup{{Label: "vg", Partitions: []string{"raw", "pv"}, Volumes: []protocol.Volume{{Label: "rest"}, {Label: "var", Bytes: 5 << 30}}}},
				Filesystems: []protocol.Filesystem{
					{Label: "root", Type: layout.Ext4, Mount: "/"}, {Label: "swap", Type: layout.Swap, UUID: uuid.NewString()},
					{Label: "data", Type: layout.XFS, Mount: "/data", UUID: uuid.NewString()}, {Label: "var", Type: layout.Ext4, Mount: "/var", UUID: uuid.NewString()},
				},
			}
			cloud := carryOut(t, b, writeOrder(root), layOrder("first", root, l), layOrder("again", root, l), &protocol.Order{ID: "drive", ConfigDrive: &protocol.ConfigDrive{
				Root: root, Files: map[string][]byte{"openstack/latest/meta_data.json": []byte("{}")},
			}})
			for _, id := range []string{"first", "again", "drive"} {
				if end, _ := cloud.End(id); end.Error != "" {
					t.Fatalf("%s: %s", id, end.Error)
				}
			}
			end, _ := cloud.End("again")
			got := end.Result.LaidOut
			if a := got.Arrays[0]; *a.Level != level || len(a.Disks) != disks || a.Partitions[1].Bytes != 1<<30 {
				t.Errorf("the array is %+v", a)
			}
			if p := got.Arrays[1].Partitions; p[0].Bytes != 1<<30 || p[1].Bytes < 29*1<<30/10 {
				t.Errorf("beside the image there are %+v", p)
			}
			if v := got.Groups[0].Volumes; v[1].Bytes != 5<<30 || v[0].Bytes < 1<<30 {
				t.Errorf("the volumes are %+v", v)
			}
			for i, f := range got.Filesystems[1:] {
				if f != l.Filesystems[i+1] {
					t.Errorf("the file system is %+v, want %+v", f, l.Filesystems[i+1])
				}
			}
			cloud = carryOut(t, b, &protocol.Order{ID: "erase", Erase: &protocol.Erase{}})
			if end, _ := cloud.End("erase"); end.Error != "" {
				t.Fatal(end.Error)
			}
			for i := range b.disks {
				if left, err := b.Blank(t.Context(), i); err != nil || !left.Blank {
					t.Errorf("disk %d after erasing: %+v %v", i, left, err)
				}
			}
		})
	}
}

func TestLayoutRefused(t *testing.T) {
	level := 1
	primary := func(partitions ...protocol.Partition) []protocol.Array {
		return []protocol.Array{{Primary: true, Partitions: partitions}}
	}
	sized := func(label string, mb int64) protocol.Partition {
		return protocol.Partition{Label: label, Bytes: mb << 20}
	}
	for want, l := range map[string]protocol.Layout{
		"ask for more": {
			Arrays: primary(sized("root", 0), sized("x", 4<<10)), Filesystems: []protocol.Filesystem{{Label: "root", Type: layout.Ext4, Mount: "/"}},
		},
		"MB more":       {Arrays: primary(sized("x", 5<<10))},
		"needs 2":       {Arrays: []protocol.Array{{Level: &level}}},
		"no free entry": {Arrays: primary(sized("a", 8), sized("b", 8), sized("c", 8), sized("d", 8))},
	} {
		b, root := withDisks(t, 2)
		end, _ := carryOut(t, b, writeOrder(root), layOrder("lay out", root, l)).End("lay out")
		if !strings.Contains(end.Error, want) {
			t.Errorf("want an error with %q, got %q", want, end.Error)
		}
	}
}
