package host

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hagane-cloud/hagane/agent"
	"github.com/hagane-cloud/hagane/agent/protocol"
)

// onFile returns a disk whose device is a file, opened as a device is.
func onFile(t *testing.T, size int64, sector int) *disk {
	t.Helper()
	dir, err := os.MkdirTemp(".", "disk-") // not t.TempDir: that may be a tmpfs, which has no direct access
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "sdx"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "sdx"), size); err != nil {
		t.Fatal(err)
	}
	m := &Machine{log: slog.New(slog.DiscardHandler), sys: dir, dev: dir}
	d, err := m.open("sdx")
	if err != nil {
		t.Skipf("no direct access to files here: %v", err)
	}
	d.info = agent.DiskInfo{Disk: protocol.Disk{Name: "/dev/sdx", Bytes: size}, SectorBytes: sector}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// TestAnywhere writes and reads pieces of any length at any place and compares with the same done in memory.
func TestAnywhere(t *testing.T) {
	for _, sector := range []int{512, 4096} {
		const size = 8 << 20
		d, want := onFile(t, size, sector), make([]byte, size)
		source := rand.NewChaCha8([32]byte{byte(sector >> 8)})
		r := rand.New(source)
		for range 60 {
			at := r.IntN(size)
			length := r.IntN(min(size-at, 3<<20)) + 1
			if r.IntN(3) == 0 { // aligned, and so direct
				at, length = at/4096*4096, min((length+4095)/4096*4096, size-at/4096*4096)
			}
			b, err := unix.Mmap(-1, 0, (length+4095)/4096*4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
			if err != nil {
				t.Fatal(err)
			}
			piece := b[:length]
			if _, err := source.Read(piece); err != nil {
				t.Fatal(err)
			}
			copy(want[at:], piece)
			if n, err := d.WriteAt(piece, int64(at)); err != nil || n != length {
				t.Fatalf("writing %d at %d: %d, %v", length, at, n, err)
			}
			clear(piece)
			if n, err := d.ReadAt(piece, int64(at)); err != nil || n != length || !bytes.Equal(piece, want[at:at+length]) {
				t.Fatalf("reading %d at %d: %d, %v", length, at, n, err)
			}
			if err := unix.Munmap(b); err != nil {
				t.Fatal(err)
			}
		}
		all := make([]byte, size)
		if _, err := d.ReadAt(all, 0); err != nil || !bytes.Equal(all, want) {
			t.Errorf("sectors of %d bytes: the whole differs (%v)", sector, err)
		}
	}
}

func TestDiscard(t *testing.T) {
	d := onFile(t, 4<<20, 512)
	if _, err := d.WriteAt(bytes.Repeat([]byte{7}, 4<<20), 0); err != nil {
		t.Fatal(err)
	}
	if err := d.Discard(t.Context(), 0, 2<<20); err != nil {
		t.Skipf("no holes in files here: %v", err)
	}
	b := make([]byte, 4<<20)
	if _, err := d.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b[:2<<20], make([]byte, 2<<20)) || b[2<<20] != 7 {
		t.Error("something else than the range was discarded")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Discard(ctx, 0, 2<<20); err == nil {
		t.Error("went on after its context had ended")
	}
}

// TestKernelStructures compares our structures with the sizes that the kernel's have.
func TestKernelStructures(t *testing.T) {
	if n := unsafe.Sizeof(nvmeCommand{}); n != 72 {
		t.Errorf("nvme_admin_cmd has %d bytes", n)
	}
	if n := unsafe.Sizeof(sgHeader{}); n != 88 {
		t.Errorf("sg_io_hdr has %d bytes", n)
	}
}

func TestBlocksAndDescribe(t *testing.T) {
	sys := t.TempDir()
	put := func(name, content string) {
		file := filepath.Join(sys, "block", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"sda", "loop0", "ram0", "sr0", "fd0", "dm-0", "zram0", "nvme0n1", "vda", "sdb", "mmcblk0boot0", "sdc", "nvme0c0n1"} {
		put(name+"/size", "2048\n")
	}
	put("sdb/removable", "1\n")
	put("sdc/ro", "1\n")
	put("nvme0c0n1/hidden", "1\n")
	put("sda/device/model", "ST1000  \n")
	put("sda/device/vpd_pg80", "\x00\x80\x00\x07Z1D0ABC")
	put("sda/device/wwid", "naa.5000c500a1b2c3d4\n")
	put("sda/device/rev", "CC43\n")
	put("sda/queue/logical_block_size", "4096\n")
	put("sda/queue/rotational", "1\n")
	m := &Machine{sys: sys, dev: "/dev"}
	names, err := m.blocks()
	if err != nil || !slices.Equal(names, []string{"nvme0n1", "sda", "vda"}) {
		t.Errorf("%v, %v", names, err)
	}
	got := m.describe("sda")
	want := agent.DiskInfo{
		Disk: protocol.Disk{
			Name: "/dev/sda", Model: "ST1000", Serial: "Z1D0ABC", WWN: "0x5000c500a1b2c3d4", Bytes: 1 << 20, Rotational: true, Firmware: "CC43",
		},
		SectorBytes: 4096,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
