package disc_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/lab/machine/machinetest"
	"github.com/hagane-cloud/hagane/ramdisk/disc"
)

// TestSecureBoot boots the CD on firmware that starts only what is signed, with Microsoft's keys as servers have them.
func TestSecureBoot(t *testing.T) {
	if os.Getenv("HAGANE_LAB_QEMU") == "" {
		t.Skip("boots a real firmware, which takes half a minute: set HAGANE_LAB_QEMU=1 to run")
	}
	const code, vars = "/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"
	for _, need := range []string{code, vars, "/usr/lib/shim/shimx64.efi.signed", "/usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed", "../../.cache/ramdisk-cloud/vmlinuz"} {
		if _, err := os.Stat(need); err != nil {
			t.Skip(err)
		}
	}
	dir := t.TempDir()
	for from, to := range map[string]string{vars: "vars.fd", "../../.cache/ramdisk-cloud/vmlinuz": "vmlinuz", "../../.cache/ramdisk-cloud/initramfs": "initramfs"} {
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	image := read(t, disc.NewShelf(dir, "vmlinuz", "initramfs"), "console=tty0 console=ttyS0,115200 hagane.test=this-one")
	if err := os.WriteFile(filepath.Join(dir, "told.iso"), image, 0o600); err != nil {
		t.Fatal(err)
	}
	qemu := exec.CommandContext(t.Context(), "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "q35,smm=on",
		"-accel", "tcg,thread=multi", "-cpu", "max", "-m", "1024", "-global", "driver=cfi.pflash01,property=secure,value=on",
		"-drive", "if=pflash,format=raw,readonly=on,file="+code, "-drive", "if=pflash,format=raw,file=vars.fd",
		"-drive", "if=none,id=cd,media=cdrom,format=raw,file=told.iso", "-device", "ide-cd,drive=cd,bootindex=1", "-serial", "file:console")
	qemu.Dir = dir
	if err := qemu.Start(); err != nil {
		t.Skip(err)
	}
	defer func() {
		_ = qemu.Process.Kill()
		_ = qemu.Wait()
	}()
	console := func() string {
		text, _ := os.ReadFile(filepath.Join(dir, "console"))
		return string(text)
	}
	machinetest.Until(t, 3*time.Minute, "the agent to start", func() bool { return strings.Contains(console(), "hagane-agent") })
	for _, want := range []string{"Secure boot enabled", "hagane.test=this-one"} {
		if !strings.Contains(console(), want) {
			t.Errorf("the console does not say %q:\n%s", want, console())
		}
	}
}
