package disc_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/agent/fat"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/ramdisk/disc"
)

// ramdisk makes a folder with something in the place of a ramdisk.
func ramdisk(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("grub-mkimage"); err != nil {
		t.Skip("GRUB's tools are not installed (Debian: apt-get install grub-common grub-pc-bin grub-efi-amd64-bin)")
	}
	dir := t.TempDir()
	for name, content := range map[string]string{"vmlinuz": strings.Repeat("kernel", 1000), "initramfs": strings.Repeat("initramfs", 3000)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const line = "console=ttyS0,115200 hagane.api=http://198.18.0.1/agent/v1 hagane.ip=198.18.0.10/16 hagane.claim=0123abcd"

func read(t *testing.T, s *disc.Shelf, line string) []byte {
	t.Helper()
	r, err := s.Open(t.Context(), line)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestStructure reads an image as firmware, boot loaders and simulated machines do.
func TestStructure(t *testing.T) {
	dir := ramdisk(t)
	image := read(t, disc.NewShelf(dir, "vmlinuz", "initramfs"), line)
	for name, want := range map[string]string{
		disc.CommandLine: line,
		"kernel.img":     strings.Repeat("kernel", 1000), "initrd.img": strings.Repeat("initramfs", 3000),
	} {
		got, err := machine.ReadISO(bytes.NewReader(image), name, 1<<20)
		if err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s: %v, %.200q", name, err, got)
		}
	}
	if !bytes.Contains(image, []byte("linux /kernel.img "+line+" ")) {
		t.Error("GRUB is not told the command line")
	}
	le := binary.LittleEndian
	catalog := image[le.Uint32(image[17*2048+71:])*2048:]
	var sum uint16
	for i := 0; i < 32; i += 2 {
		sum += le.Uint16(catalog[i:])
	}
	if sum != 0 || catalog[32] != 0x88 || catalog[65] != 0xef || catalog[96] != 0x88 {
		t.Errorf("the boot catalogue: sum %d, % x", sum, catalog[:128])
	}
	bios := image[le.Uint32(catalog[40:])*2048:]
	if at := le.Uint32(bios[12:]); at != le.Uint32(catalog[40:]) {
		t.Errorf("the BIOS's boot image believes to be at %d", at)
	}
	// GRUB reads ahead on BIOS; without room behind the initramfs its end arrives damaged (seen with SeaBIOS 1.16.2).
	if total := int(le.Uint32(image[16*2048+80:])) * 2048; total != len(image) || bytes.ContainsFunc(image[total-300<<10:], func(r rune) bool { return r != 0 }) {
		t.Errorf("the volume says that it has %d bytes; the image has %d", total, len(image))
	}
	volume, err := fat.Read(bytes.NewReader(image[le.Uint32(catalog[104:])*2048:]), "HAGANE", 8<<20)
	if err != nil || !bytes.HasPrefix(volume["EFI/BOOT/BOOTX64.EFI"], []byte("MZ")) {
		t.Errorf("the boot partition: %v, %d files", err, len(volume))
	}
	if _, err := exec.LookPath("isoinfo"); err == nil {
		file := filepath.Join(dir, "told.iso")
		if err := os.WriteFile(file, image, 0o600); err != nil {
			t.Fatal(err)
		}
		for want, show := range map[string]string{"HAGANE_AGENT": "-d", "Eltorito": "-d", "Directory listing of /BOOT/GRUB": "-l", "GRUB.CFG;1": "-l", "HAGANE.CMDLINE;1": "-l", "INITRD.IMG;1": "-l"} {
			out, err := exec.Command("isoinfo", show, "-i", file).CombinedOutput()
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("isoinfo does not show %s: %v\n%s", want, err, out)
			}
		}
	}
}

// TestRanges serves an image by HTTP in pieces of odd sizes, as BMCs fetch it.
func TestRanges(t *testing.T) {
	s := disc.NewShelf(ramdisk(t), "vmlinuz", "initramfs")
	whole := read(t, s, line)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		image, err := s.Open(r.Context(), line)
		if err != nil {
			t.Error(err)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, image)
		_ = image.Close()
	}))
	defer server.Close()
	medium, err := machine.OpenMedium(t.Context(), server.URL+"/agent.iso")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = medium.Close() }()
	from, to := bytes.Index(whole, []byte("console="))-100, bytes.LastIndex(whole, []byte("0123abcd"))+100
	for _, size := range []int{37, 512, 2048, 5000} {
		var got []byte
		for at := from; at < to; at += size {
			b := make([]byte, min(size, to-at))
			if _, err := medium.ReadAt(b, int64(at)); err != nil {
				t.Fatal(err)
			}
			got = append(got, b...)
		}
		if !bytes.Equal(got, whole[from:to]) {
			t.Errorf("in pieces of %d bytes the image is another", size)
		}
	}
}

// TestOneFileForAll keeps one image for a ramdisk, and makes it anew when the ramdisk changes.
func TestOneFileForAll(t *testing.T) {
	dir := ramdisk(t)
	s := disc.NewShelf(dir, "vmlinuz", "initramfs")
	one, other := read(t, s, line), read(t, s, "quiet")
	if len(one) != len(other) || bytes.Contains(other, []byte("0123abcd")) || !bytes.Contains(other, []byte("quiet ")) {
		t.Error("a second node sees what the first was told")
	}
	path := filepath.Join(dir, disc.FileName)
	was, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	read(t, disc.NewShelf(dir, "vmlinuz", "initramfs"), line)
	if is, err := os.Stat(path); err != nil || !os.SameFile(was, is) {
		t.Errorf("the image was made again without need: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "vmlinuz"), []byte("another kernel"), 0o600); err != nil {
		t.Fatal(err)
	}
	if image := read(t, s, line); !bytes.Contains(image, []byte("another kernel")) {
		t.Error("the image still has the old kernel")
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".disc-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestRefused finds command lines that no boot loader would pass on, and a missing ramdisk.
func TestRefused(t *testing.T) {
	s := disc.NewShelf(t.TempDir(), "vmlinuz", "initramfs")
	for _, bad := range []string{"a;b", "$root", "a\nb", strings.Repeat("x", 4000)} {
		if _, err := s.Open(t.Context(), bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
	if _, err := s.Open(t.Context(), line); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "hagane ramdisk build") {
		t.Errorf("without a ramdisk: %v", err)
	}
}
