package qemu

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/hagane-cloud/hagane/lab/ether"
)

const probeTimeout = 15 * time.Second // iPXE waits two seconds for a key before it sends

// Accelerator returns "kvm" when a machine really starts with it and "tcg" otherwise: /dev/kvm can exist
// and not work. The finding is kept in the file cache until the host restarts; "" keeps nothing.
func Accelerator(ctx context.Context, qemu, cache string) string {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	id := strings.TrimSpace(string(boot))
	if kept, err := os.ReadFile(cache); err == nil && id != "" {
		if accel, ok := strings.CutPrefix(strings.TrimSpace(string(kept)), id+" "); ok {
			return accel
		}
	}
	accel := "tcg"
	if kvmWorks(ctx, qemu) {
		accel = "kvm"
	}
	if cache != "" && ctx.Err() == nil {
		_ = os.WriteFile(cache, []byte(id+" "+accel+"\n"), 0o600) // only saves time
	}
	return accel
}

// kvmWorks starts a machine without disks under KVM and waits until its iPXE has sent a frame. That takes
// real mode, protected mode and a running timer. Less proves nothing: on one host SeaBIOS printed its
// banner under KVM, and the boot loader after it hung.
func kvmWorks(ctx context.Context, qemu string) bool {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	_ = f.Close()
	near, far, err := pair()
	if err != nil {
		return false
	}
	defer func() { _ = near.Close() }()
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, qemu, "-nodefaults", "-display", "none", "-no-reboot", "-machine", "q35,graphics=off",
		"-accel", "kvm", "-cpu", "host", "-m", "128",
		"-netdev", "socket,id=net0,fd=3", "-device", "virtio-net-pci,netdev=net0,bootindex=1")
	cmd.ExtraFiles = []*os.File{far}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = cmd.Start()
	_ = far.Close()
	if err != nil {
		return false
	}
	stop := context.AfterFunc(ctx, func() { _ = near.Close() })
	defer stop()
	_, err = ether.NewReader(near).Next()
	cancel()
	_ = cmd.Wait()
	return err == nil
}
