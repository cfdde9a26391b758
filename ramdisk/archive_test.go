package ramdisk

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/u-root/u-root/pkg/cpio"

	"github.com/hagane-cloud/hagane/fault"
)

func TestPack(t *testing.T) {
	files := Archive{
		"init": {Mode: 0o755, Content: []byte("program")}, "lib/modules/6.1/modules.dep": {Mode: 0o644, Content: []byte("x")},
		"bin/sh": {Link: "busybox"},
	}
	packed, err := files.Pack("zstd")
	if err != nil {
		t.Fatal(err)
	}
	again, err := files.Pack("zstd")
	if err != nil || !bytes.Equal(packed, again) {
		t.Errorf("the same files gave different bytes (%v)", err)
	}
	decoder, err := zstd.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	plain, err := io.ReadAll(decoder)
	if err != nil {
		t.Fatal(err)
	}
	records, err := cpio.ReadAllRecords(cpio.Newc.Reader(bytes.NewReader(plain)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range records {
		names = append(names, r.Name)
	}
	want := []string{
		"bin", "bin/sh", "dev", "dev/console", "dev/null", "init", "lib", "lib/modules", "lib/modules/6.1", "lib/modules/6.1/modules.dep",
		"proc", "run", "sys", "tmp",
	}
	if !slices.Equal(names, want) {
		t.Errorf("holds %v", names)
	}
	if _, err := files.Pack("lzma"); !fault.Is(err, fault.Invalid) {
		t.Errorf("an unknown compression: %v", err)
	}
}

func TestTablesPutDependenciesBehind(t *testing.T) {
	files := tables(map[string]*chosen{
		"virtio_net":   {path: "kernel/virtio_net.ko", needs: []string{"net_failover", "virtio"}, aliases: []string{"virtio:d00000001v*"}},
		"net_failover": {path: "kernel/net_failover.ko", needs: []string{"failover"}},
		"failover":     {path: "kernel/failover.ko"},
		"virtio":       {path: "kernel/virtio.ko", needs: []string{"failover"}},
	})
	want := "failover.ko:|net_failover.ko: failover.ko|virtio.ko: failover.ko|virtio_net.ko: virtio.ko net_failover.ko failover.ko|"
	got := string(bytes.ReplaceAll(bytes.ReplaceAll(files["modules.dep"], []byte("kernel/"), nil), []byte("\n"), []byte("|")))
	if got != want {
		t.Errorf("modules.dep %q, want %q", got, want)
	}
	if string(files["modules.alias"]) != "alias virtio:d00000001v* virtio_net\n" {
		t.Errorf("modules.alias %q", files["modules.alias"])
	}
}

func TestReadRefusesWhatIsNotWhole(t *testing.T) {
	dir := t.TempDir()
	if _, err := Read(dir); !fault.Is(err, fault.NotFound) {
		t.Errorf("an empty folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, ManifestFile), []byte(`{"vmlinuz":"vmlinuz","initramfs":"initramfs"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(dir); !fault.Is(err, fault.NotFound) {
		t.Errorf("a manifest without files: %v", err)
	}
}
