package ramdisk_test

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/ramdisk"
	"github.com/hagane-cloud/hagane/ramdisk/ramdisktest"
)

const mib, gib = 1 << 20, 1 << 30

// disks of the machine that is laid out: the first has the image.
var sizes = []int64{3 * gib, gib / 2, gib / 2, gib / 2, gib / 2, gib / 2, gib / 2}

// wanted is a layout with every kind of thing in it.
func wanted() protocol.Layout {
	one, five := 1, 5
	return protocol.Layout{
		Arrays: []protocol.Array{
			{Primary: true, Partitions: []protocol.Partition{{Label: "root", Bytes: gib}, {Label: "swap", Bytes: 256 * mib}, {Label: "pv1", LVM: true}}},
			{Level: &one, Disks: diskIDs(2, 3), Partitions: []protocol.Partition{{Label: "pv2", LVM: true}}},
			{Partitions: []protocol.Partition{{Label: "scratch", Bytes: 200 * mib}, {Label: "raw"}}},
			{Level: &five, Partitions: []protocol.Partition{{Label: "data"}}},
		},
		Groups: []protocol.VolumeGroup{{
			Label: "vg-0", Partitions: []string{"pv1", "pv2"},
			Volumes: []protocol.Volume{{Label: "home"}, {Label: "var", Bytes: gib}},
		}},
		Filesystems: []protocol.Filesystem{
			{Label: "root", Type: "ext4", Mount: "/"},
			{Label: "swap", Type: "swap", UUID: "00000000-0000-4000-8000-000000000001"},
			{Label: "var", Type: "ext4", Mount: "/var", UUID: "00000000-0000-4000-8000-000000000002"},
			{Label: "home", Type: "xfs", Mount: "/home", UUID: "00000000-0000-4000-8000-000000000003"},
			{Label: "data", Type: "xfs", Mount: "/data", UUID: "00000000-0000-4000-8000-000000000004"},
			{Label: "scratch", Type: "ext4", UUID: "00000000-0000-4000-8000-000000000005"},
		},
	}
}

// TestLayout has the ramdisk lay out seven disks with mdadm, LVM and the programs of file systems, twice, looks at the disks
// from outside, and has the next boot erase them. Some 40 seconds under emulation.
func TestLayout(t *testing.T) {
	dir, manifest := ramdisktest.Ramdisk(t, ramdisk.Cloud)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	scratch, err := os.MkdirTemp("", "hagane-disks-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(scratch) })
	image := pictureOfDisk(t, filepath.Join(scratch, "image"))
	var files, extra []string
	for i, size := range sizes {
		files = append(files, filepath.Join(scratch, fmt.Sprintf("disk%d", i)))
		f, err := os.Create(files[i])
		if err == nil {
			err = f.Truncate(size)
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			extra = append(extra, "-drive", fmt.Sprintf("if=none,id=d%d,format=raw,discard=unmap,detect-zeroes=unmap,file=%s", i, files[i]),
				"-device", fmt.Sprintf("virtio-blk-pci,drive=d%d,serial=DISK-%d", i, i+1))
		}
	}
	boot := func(orders ...*protocol.Order) *ramdisktest.Cloud {
		cloud := ramdisktest.NewCloud(t, map[string]string{"i": filepath.Join(scratch, "image")}, append(orders, &protocol.Order{ID: "end", Shutdown: &protocol.Shutdown{Reboot: true}})...)
		if w := orders[0].Write; w != nil {
			cloud.Change(func() { w.URL = fmt.Sprintf("http://10.0.2.2:%d/image/i", cloud.Port) })
		}
		m := ramdisktest.Start(t, ramdisktest.Options{
			Disk: files[0], Kernel: filepath.Join(dir, manifest.Vmlinuz), Initramfs: filepath.Join(dir, manifest.Initramfs), Extra: extra,
			Line: fmt.Sprintf("console=ttyS0,115200 hagane.api=http://10.0.2.2:%d/agent/v1 hagane.claim=S BOOTIF=01-52-54-00-00-00-01", cloud.Port),
		})
		cloud.Wait(ctx, m)
		m.WaitEnd(ctx)
		for _, o := range orders {
			if end, _ := cloud.End(o.ID); end.Error != "" {
				t.Fatalf("%s: %s", o.ID, end.Error)
			}
		}
		return cloud
	}
	root := protocol.RootHint{Serial: "DISK-1"}
	sum := sha512.Sum512(image)
	l := wanted()
	began := time.Now()
	cloud := boot(
		&protocol.Order{ID: "write", Write: &protocol.Write{SHA512: hex.EncodeToString(sum[:]), Size: int64(len(image)), Root: root}},
		&protocol.Order{ID: "lay out", LayOut: &protocol.LayOut{Root: root, ImageBytes: int64(len(image)), Layout: l}},
		&protocol.Order{ID: "once more", LayOut: &protocol.LayOut{Root: root, ImageBytes: int64(len(image)), Layout: l}},
		&protocol.Order{ID: "drive", ConfigDrive: &protocol.ConfigDrive{Root: root, Files: map[string][]byte{"openstack/latest/meta_data.json": []byte("{}")}}},
	)
	_, from := cloud.End("write")
	end, to := cloud.End("lay out")
	t.Logf("laid out in %.1f s, %.1f s after the start", to.Sub(from).Seconds(), to.Sub(began).Seconds())
	told(t, l, end.Result.LaidOut)
	end, _ = cloud.End("once more")
	told(t, l, end.Result.LaidOut)
	lookAt(t, files)

	boot(&protocol.Order{ID: "erase", Erase: &protocol.Erase{}})
	for _, file := range files {
		zeros(t, file)
	}
}
