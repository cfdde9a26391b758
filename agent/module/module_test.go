package module

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestMatch(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"modules.dep":   "kernel/drivers/net/virtio_net.ko: kernel/net/net-failover.ko kernel/net/failover.ko\nkernel/net/net-failover.ko:\n",
		"modules.alias": "# comment\nalias virtio:d00000001v* virtio_net\nalias pci:v00008086d0000[1-2]00Esv*sd*bc*sc*i* e1000\nalias usb:v*p*d*dc* usb-storage\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := OpenDir(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for modalias, want := range map[string][]string{
		"virtio:d00000001v00001AF4":                             {"virtio_net"},
		"pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00": {"e1000"},
		"pci:v00008086d0000300Esv00001AF4sd00001100bc02sc00i00": nil,
		"usb:v0781p5567d0100dc00":                               {"usb_storage"},
	} {
		if got := l.Match(modalias); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", modalias, got, want)
		}
	}
	if got := l.needs["virtio_net"]; len(got) != 2 || l.paths["net_failover"] == "" {
		t.Errorf("needs %v, paths %v", got, l.paths)
	}
	if err := l.Load("not-there"); err != nil {
		t.Errorf("a module that is not in the ramdisk: %v", err)
	}
}
