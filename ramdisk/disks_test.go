package ramdisk_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/hagane-cloud/hagane/agent/layout"
	"github.com/hagane-cloud/hagane/agent/partition"
	"github.com/hagane-cloud/hagane/agent/protocol"
)

// diskIDs are those of the disks with these numbers in their serials.
func diskIDs(numbers ...int) []string {
	var ids []string
	for _, n := range numbers {
		ids = append(ids, layout.DiskID(protocol.Disk{Serial: fmt.Sprintf("DISK-%d", n)}))
	}
	return ids
}

// pictureOfDisk makes an image with a GPT of two partitions, the second of them with something in it.
func pictureOfDisk(t *testing.T, file string) []byte {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // read back below
	specs := []partition.Spec{{Type: partition.BIOSBoot, Name: "bios", Bytes: mib}, {Type: partition.Linux, Name: "system", Bytes: 20 * mib}}
	size := partition.SpaceFor(specs...)
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	places, err := partition.Create(f, size, 512, "layout", specs...)
	if err != nil {
		t.Fatal(err)
	}
	content := make([]byte, 20*mib)
	_, _ = rand.NewChaCha8([32]byte{}).Read(content)
	if _, err := f.WriteAt(content, places[1].Offset); err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// told compares what the agent says that it read from the disks with what was asked for.
func told(t *testing.T, want protocol.Layout, got *protocol.Layout) {
	t.Helper()
	if got == nil || len(got.Arrays) != len(want.Arrays) || len(got.Groups) != 1 || len(got.Filesystems) != len(want.Filesystems) {
		t.Fatalf("read back as %+v", got)
	}
	for i, disks := range [][]string{diskIDs(1), diskIDs(2, 3), diskIDs(4), diskIDs(5, 6, 7)} {
		a, asked := got.Arrays[i], want.Arrays[i]
		if fmt.Sprint(a.Disks) != fmt.Sprint(disks) || (a.Level == nil) != (asked.Level == nil) || a.Level != nil && *a.Level != *asked.Level {
			t.Errorf("array %d reads back as %+v", i, a)
		}
		for j, p := range a.Partitions {
			if q := asked.Partitions[j]; p.Label != q.Label || p.LVM != q.LVM || p.Bytes < 1 || p.Bytes < q.Bytes-mib || q.Bytes > 0 && p.Bytes > q.Bytes {
				t.Errorf("partition %+v reads back as %+v", q, p)
			}
		}
	}
	volumes := got.Groups[0].Volumes
	if fmt.Sprint(got.Groups[0].Partitions) != "[pv1 pv2]" || volumes[1].Bytes != gib || volumes[0].Bytes < gib/2 {
		t.Errorf("the group reads back as %+v", got.Groups[0])
	}
	for i, f := range got.Filesystems[1:] {
		if f != want.Filesystems[i+1] {
			t.Errorf("%+v reads back as %+v", want.Filesystems[i+1], f)
		}
	}
}

// lookAt reads the disks from outside of the machine.
func lookAt(t *testing.T, files []string) {
	t.Helper()
	has := func(file string, number int, name string, at int64, magic string) {
		t.Helper()
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }() // only read
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		table, err := partition.Read(f, info.Size(), 512)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, p := range table.Partitions {
			if p.Number != number {
				continue
			}
			b := make([]byte, len(magic))
			if _, err := f.ReadAt(b, p.Offset+at); err != nil || string(b) != magic || p.Name != name {
				t.Errorf("%s: partition %d %q has %q at %d (%v), want %q", file, number, p.Name, b, at, err, magic)
			}
			return
		}
		t.Errorf("%s has no partition %d: %+v", file, number, table.Partitions)
	}
	const md, lvm, ext4 = "\xfc\x4e\x2b\xa9", "LABELONE", "\x53\xef"
	has(files[0], 3, "swap", 4096-10, "SWAPSPACE2")
	has(files[0], 4, "pv1", 512, lvm)
	has(files[0], 5, "config-2", 510, "\x55\xaa")
	for _, member := range []int{1, 2, 4, 5, 6} {
		has(files[member], 1, "raid", 4096, md)
	}
	has(files[3], 1, "scratch", 1024+0x38, ext4)
}

// zeros fails unless a whole file reads as zeros.
func zeros(t *testing.T, file string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // only read
	zero, b := make([]byte, mib), make([]byte, mib)
	for at := int64(0); ; at += mib {
		n, err := f.ReadAt(b, at)
		if !bytes.Equal(b[:n], zero[:n]) {
			t.Fatalf("%s is not blank near byte %d", file, at)
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
