package ramdisktest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/ramdisk"
)

// Machine is a QEMU machine with user networking, started at once and killed with the test.
type Machine struct {
	t       *testing.T
	console string
	monitor string
	command *exec.Cmd
	ended   chan struct{}
}

// Options say what the machine is.
type Options struct {
	UEFI      bool
	Disk      string // raw file
	NVMe      bool   // the disk's kind; otherwise virtio
	Kernel    string // kernel, initramfs and command line for a direct start; "" starts from disk
	Initramfs string
	Line      string
	Forward   int      // port on 127.0.0.1 that leads to the guest's port 22; 0: none
	Extra     []string // further arguments
}

// Ramdisk returns the ramdisk in the build cache, or skips the test.
func Ramdisk(t *testing.T, flavor ramdisk.Flavor) (dir string, m ramdisk.Manifest) {
	t.Helper()
	QEMU(t)
	dir = filepath.Join(Cache(t), "ramdisk-"+string(flavor))
	m, err := ramdisk.Read(dir)
	if err != nil {
		t.Skip(err)
	}
	return dir, m
}

// Cache is the folder of what the build made: HAGANE_CACHE, or .cache at the top of the source tree.
func Cache(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("HAGANE_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, ".cache")
		}
	}
	t.Skip("there is no build cache outside of the source tree: set HAGANE_CACHE")
	return ""
}

// QEMU skips the test when there is no QEMU, or short tests are asked for.
func QEMU(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("boots a machine: not in short mode")
	}
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("needs qemu-system-x86_64 (package qemu-system-x86)")
	}
}

// Start starts a machine.
func Start(t *testing.T, o Options) *Machine {
	t.Helper()
	dir, err := os.MkdirTemp("", "hagane-qemu-") // the test's name, with a comma in it, would confuse QEMU
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	m := &Machine{t: t, console: filepath.Join(dir, "console"), monitor: filepath.Join(dir, "monitor"), ended: make(chan struct{})}
	arguments := []string{
		"-accel", "tcg,thread=multi", "-cpu", "max", "-m", "1024", "-smp", "2", "-display", "none", "-no-reboot",
		"-serial", "file:" + m.console, "-monitor", "unix:" + m.monitor + ",server=on,wait=off",
		"-device", "virtio-net-pci,netdev=n,mac=52:54:00:00:00:01,romfile=",
		"-smbios", "type=1,manufacturer=Hagane,product=Anvil,serial=SN-42,uuid=11111111-2222-3333-4444-555555555555",
	}
	network := "user,id=n"
	if o.Forward != 0 {
		network += fmt.Sprintf(",hostfwd=tcp:127.0.0.1:%d-:22", o.Forward)
	}
	arguments = append(arguments, "-netdev", network)
	if o.UEFI {
		arguments = append(arguments, firmware(t, dir)...)
	}
	if o.Disk != "" {
		arguments = append(arguments, "-drive", "if=none,id=d,format=raw,discard=unmap,file="+o.Disk, "-device")
		if o.NVMe {
			arguments = append(arguments, "nvme,drive=d,serial=DISK-1,bootindex=1")
		} else {
			arguments = append(arguments, "virtio-blk-pci,drive=d,serial=DISK-1,bootindex=1")
		}
	}
	if o.Kernel != "" {
		arguments = append(arguments, "-kernel", o.Kernel, "-initrd", o.Initramfs, "-append", o.Line)
	}
	m.command = exec.Command("qemu-system-x86_64", append(arguments, o.Extra...)...)
	var complaints bytes.Buffer
	m.command.Stderr = &complaints
	if err := m.command.Start(); err != nil {
		t.Fatal(err)
	}
	var waiting sync.WaitGroup
	waiting.Go(func() {
		_ = m.command.Wait() // how it ended shows on the console
		close(m.ended)
	})
	t.Cleanup(func() {
		_ = m.command.Process.Kill() // it may have ended by itself
		waiting.Wait()
		if t.Failed() || complaints.Len() > 0 {
			t.Logf("QEMU: %s\nconsole:\n%s", complaints.String(), m.Console())
		}
	})
	return m
}

// firmware returns the arguments for OVMF with variables of the machine's own.
func firmware(t *testing.T, dir string) []string {
	t.Helper()
	for _, names := range [][2]string{{"OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"}, {"OVMF_CODE.fd", "OVMF_VARS.fd"}} {
		code := filepath.Join("/usr/share/OVMF", names[0])
		if _, err := os.Stat(code); err != nil {
			continue
		}
		template, err := os.ReadFile(filepath.Join("/usr/share/OVMF", names[1]))
		if err != nil {
			continue
		}
		variables := filepath.Join(dir, "variables")
		if err := os.WriteFile(variables, template, 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{
			"-drive", "if=pflash,unit=0,format=raw,readonly=on,file=" + code,
			"-drive", "if=pflash,unit=1,format=raw,file=" + variables,
		}
	}
	t.Skip("needs OVMF (package ovmf)")
	return nil
}

// Console returns what the machine has written to its serial console.
func (m *Machine) Console() string {
	b, err := os.ReadFile(m.console)
	if err != nil {
		return ""
	}
	return string(b)
}

// WaitFor waits until the console shows a text.
func (m *Machine) WaitFor(ctx context.Context, text string) {
	m.t.Helper()
	for !strings.Contains(m.Console(), text) {
		select {
		case <-ctx.Done():
			m.t.Fatalf("the console did not show %q in time", text)
		case <-m.ended:
			if !strings.Contains(m.Console(), text) {
				m.t.Fatalf("the machine ended before its console showed %q", text)
			}
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// WaitEnd waits until the machine has restarted or powered off; either ends QEMU.
func (m *Machine) WaitEnd(ctx context.Context) {
	m.t.Helper()
	select {
	case <-m.ended:
	case <-ctx.Done():
		m.t.Fatal("the machine did not end in time")
	}
}

// PressPower presses the power button, as a BMC's soft power off does.
func (m *Machine) PressPower() {
	m.t.Helper()
	conn, err := net.Dial("unix", m.monitor)
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }() // the command has been sent
	if _, err := conn.Write([]byte("system_powerdown\n")); err != nil {
		m.t.Fatal(err)
	}
	// QEMU reads commands only while the connection is open: wait for its next prompt.
	var seen []byte
	for buffer := make([]byte, 256); bytes.Count(seen, []byte("(qemu)")) < 2; {
		n, err := conn.Read(buffer)
		if err != nil {
			return // it has ended already
		}
		seen = append(seen, buffer[:n]...)
	}
}
