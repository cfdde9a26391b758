package partition

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/fault"
)

const mib = 1 << 20

// made returns a file of size bytes with the GPT that sgdisk makes of arguments.
func made(t *testing.T, size int64, args ...string) *os.File {
	t.Helper()
	if _, err := exec.LookPath("sgdisk"); err != nil {
		t.Skip("needs sgdisk (package gdisk)")
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sgdisk", append(args, f.Name())...).CombinedOutput(); err != nil {
		t.Fatalf("sgdisk: %v\n%s", err, out)
	}
	return f
}

func grow(t *testing.T, f *os.File, size int64) {
	t.Helper()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
}

func TestGPTMovesToTheEndAndGrows(t *testing.T) {
	f := made(t, 64*mib, "-n1:1M:+1M", "-t1:ef02", "-n2:0:+16M", "-t2:ef00", "-n3:0:0", "-c3:root")
	grow(t, f, 300*mib)
	table, err := Read(f, 300*mib, 512)
	if err != nil {
		t.Fatal(err)
	}
	if table.Kind != GPT || len(table.Partitions) != 3 || table.Partitions[2].Name != "root" {
		t.Fatalf("read %+v", table)
	}
	if err := table.Settle(f); err != nil {
		t.Fatal(err)
	}
	place, err := table.Room(3*mib + 5)
	if err != nil {
		t.Fatal(err)
	}
	if place.Offset%mib != 0 || place.Offset+place.Bytes > 300*mib || place.Offset < 290*mib {
		t.Errorf("placed at %d, %d bytes", place.Offset, place.Bytes)
	}
	if err := table.Add(f, place, "config-2", FAT); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("sgdisk", "-v", "-p", f.Name()).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "No problems found") || !strings.Contains(string(out), "config-2") {
		t.Errorf("sgdisk: %v\n%s", err, out)
	}
	again, err := Read(f, 300*mib, 512)
	if err != nil || len(again.Partitions) != 4 || again.Partitions[3].Offset != place.Offset {
		t.Errorf("read back %v, %+v", err, again)
	}
	if err := again.Remove(again.Partitions[3]); err != nil {
		t.Fatal(err)
	}
	if larger, err := again.Room(10 * mib); err != nil || larger.Number != 4 {
		t.Errorf("the entry was not freed: %v %+v", err, larger)
	}
}

func TestGPTTooSmall(t *testing.T) {
	f := made(t, 64*mib, "-n1:1M:0")
	table, err := Read(f, 64*mib, 512)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Room(2 * mib); !fault.Is(err, fault.Invalid) {
		t.Errorf("room on a full disk: %v", err)
	}
}

func TestGPTDamaged(t *testing.T) {
	f := made(t, 64*mib, "-n1:1M:0")
	if _, err := f.WriteAt([]byte{1, 2, 3}, 1024+40); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(f, 64*mib, 512); !fault.Is(err, fault.Invalid) {
		t.Errorf("damaged entries: %v", err)
	}
}

func TestGPTOfOtherSectors(t *testing.T) {
	f := made(t, 64*mib, "-n1:1M:0")
	_, err := Read(f, 64*mib, 4096)
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "512-byte sectors") {
		t.Errorf("a table for other sectors: %v", err)
	}
}

// mbr returns a file with the given primary entries: type, first sector, sectors.
func mbr(t *testing.T, size int64, entries ...[3]uint32) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	grow(t, f, size)
	putMBR(t, f, 0, entries...)
	return f
}

func putMBR(t *testing.T, f *os.File, at int64, entries ...[3]uint32) {
	t.Helper()
	sector := make([]byte, 512)
	for i, e := range entries {
		b := sector[446+16*i:]
		b[4] = byte(e[0])
		binary.LittleEndian.PutUint32(b[8:], e[1])
		binary.LittleEndian.PutUint32(b[12:], e[2])
	}
	sector[510], sector[511] = 0x55, 0xaa
	if _, err := f.WriteAt(sector, at*512); err != nil {
		t.Fatal(err)
	}
}

func TestMBR(t *testing.T) {
	f := mbr(t, 200*mib, [3]uint32{0x83, 2048, 16384}, [3]uint32{0x0f, 20480, 40960})
	putMBR(t, f, 20480, [3]uint32{0x83, 2048, 8192}, [3]uint32{0x05, 12288, 8192})
	putMBR(t, f, 20480+12288, [3]uint32{0x83, 2048, 4096})
	table, err := Read(f, 200*mib, 512)
	if err != nil {
		t.Fatal(err)
	}
	if table.Kind != MBR || len(table.Partitions) != 4 {
		t.Fatalf("read %+v", table)
	}
	if last := table.Partitions[3]; last.Bytes != 2*mib || last.Offset != (20480+12288+2048)*512 {
		t.Errorf("the second logical partition is %+v", last)
	}
	place, err := table.Room(3 * mib)
	if err != nil {
		t.Fatal(err)
	}
	if place.Offset != 197*mib {
		t.Errorf("placed at %d", place.Offset)
	}
	if err := table.Add(f, place, "config-2", FAT); err != nil {
		t.Fatal(err)
	}
	again, err := Read(f, 200*mib, 512)
	if err != nil || len(again.Partitions) != 5 {
		t.Errorf("read back %v, %+v", err, again)
	}
}

func TestMBRFull(t *testing.T) {
	f := mbr(t, 64*mib, [3]uint32{0x83, 2048, 8}, [3]uint32{0x83, 4096, 8}, [3]uint32{0x83, 6144, 8}, [3]uint32{0x83, 8192, 8})
	table, err := Read(f, 64*mib, 512)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Room(mib); !fault.Is(err, fault.Invalid) {
		t.Errorf("room in a full table: %v", err)
	}
}

func TestNoTable(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	grow(t, f, 8*mib)
	boot := make([]byte, 512)
	copy(boot, "\xeb\x3c\x90mkfs.fat")
	copy(boot[54:], "FAT16   ")
	binary.LittleEndian.PutUint16(boot[510:], 0xaa55)
	for _, first := range [][]byte{make([]byte, 512), boot} {
		if _, err := f.WriteAt(first, 0); err != nil {
			t.Fatal(err)
		}
		table, err := Read(f, 8*mib, 0)
		if err != nil || table.Kind != None {
			t.Errorf("%v %+v", err, table)
			continue
		}
		if _, err := table.Room(mib); !fault.Is(err, fault.Invalid) {
			t.Errorf("room without a table: %v", err)
		}
	}
}

func TestCreate(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	specs := []Spec{{BIOSBoot, "bios", mib}, {EFI, "efi", 5*mib + 512}, {Linux, "root", 10 * mib}}
	size := SpaceFor(specs...)
	grow(t, f, size)
	made, err := Create(f, size, 512, "seed", specs...)
	if err != nil {
		t.Fatal(err)
	}
	table, err := Read(f, size, 512)
	if err != nil || len(table.Partitions) != 3 || table.Partitions[1] != made[1] || made[2].Offset != 8*mib {
		t.Fatalf("%v, %+v", err, table)
	}
	if _, err := exec.LookPath("sgdisk"); err != nil {
		t.Skip("needs sgdisk (package gdisk)")
	}
	out, err := exec.Command("sgdisk", "-v", "-p", f.Name()).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "No problems found") || !strings.Contains(string(out), "EF02") || !strings.Contains(string(out), "EF00") {
		t.Errorf("sgdisk: %v\n%s", err, out)
	}
}

// TestBehind adds partitions of each kind of table behind those that are there, and makes the last one longer.
func TestBehind(t *testing.T) {
	for _, kind := range []Kind{GPT, MBR} {
		f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
		if err != nil {
			t.Fatal(err)
		}
		const size = 64 * mib
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		if kind == GPT {
			_, err = Create(f, size, 512, "x", Spec{Type: Linux, Name: "root", Bytes: 8 * mib})
		} else {
			table := []byte{0x80, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0x40, 0, 0} // 8 MiB at 1 MiB
			_, err = f.WriteAt(append(table, make([]byte, 48)...), 446)
			if err == nil {
				_, err = f.WriteAt([]byte{0x55, 0xaa}, 510)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		table, err := Read(f, size, 512)
		if err != nil || table.Kind != kind {
			t.Fatalf("%+v: %v", kind, err)
		}
		free := table.Free()
		last, begin, end := table.Behind()
		if last.Number != 1 || begin != 9*mib || end < 63*mib || end > size {
			t.Errorf("%s: behind %+v from %d to %d", kind, last, begin, end)
		}
		if err := table.Grow(last, 20*mib); err != nil {
			t.Fatal(err)
		}
		_, begin, _ = table.Behind()
		place, err := table.At(begin, 4*mib)
		if err == nil {
			err = table.Add(f, place, "pv", LVM)
		}
		if err != nil {
			t.Fatal(err)
		}
		again, err := Read(f, size, 512)
		if err != nil || len(again.Partitions) != 2 || again.Free() != free-1 {
			t.Fatalf("%s: reads back with %d partitions, %v", kind, len(again.Partitions), err)
		}
		if root, pv := again.Partitions[0], again.Partitions[1]; root.Bytes != 20*mib || pv.Offset != 21*mib || pv.Bytes != 4*mib || kind == GPT && pv.Type != LVM {
			t.Errorf("%s: reads back as %+v", kind, again.Partitions)
		}
	}
}
