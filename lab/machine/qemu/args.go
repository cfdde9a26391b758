package qemu

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/machine"
)

// The first inherited descriptor of a child, and the one of its first NIC.
const (
	monitorFD = 3
	nicFD     = 4
)

// args returns QEMU's command line for one start.
func (m *Machine) args(mode machine.Mode, order []machine.Device) ([]string, error) {
	accel := "tcg,thread=multi,tb-size=256"
	if m.options.Accel == "kvm" {
		accel = "kvm"
	}
	cpu := "max"
	if m.options.Accel == "kvm" {
		cpu = "host"
	}
	s := m.spec
	args := []string{
		"-name", escape(s.Name), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-machine", "q35,graphics=off", // without graphics SeaBIOS and iPXE talk to the serial console
		"-accel", accel, "-cpu", cpu, "-smp", strconv.Itoa(max(s.CPUs, 1)), "-m", strconv.Itoa(s.MemoryMB),
		"-uuid", s.UUID,
		"-smbios", fmt.Sprintf("type=1,manufacturer=%s,product=%s,serial=%s,uuid=%s", escape(s.Manufacturer), escape(s.Product), escape(s.Serial), s.UUID),
		"-chardev", fmt.Sprintf("socket,id=qmp,fd=%d", monitorFD), "-mon", "chardev=qmp,mode=control",
		"-chardev", fmt.Sprintf("file,id=console,append=on,path=%s", escape(m.console())), "-serial", "chardev:console",
		"-device", "virtio-rng-pci",
	}
	firmware, err := m.firmware(mode)
	if err != nil {
		return nil, err
	}
	args = append(args, firmware...)
	disk, network, cd := bootIndexes(order, len(s.Disks))
	args = append(args, m.drive(cd)...)
	for i, d := range s.Disks {
		args = append(args, diskArgs(i, d, m.disk(i), disk)...)
	}
	for i, n := range s.NICs {
		device := fmt.Sprintf("virtio-net-pci,netdev=net%d,mac=%s", i, n.MAC)
		if network > 0 {
			device += fmt.Sprintf(",bootindex=%d", network+i)
		}
		if network == 0 || m.options.FirmwarePXE && mode == machine.UEFI {
			device += ",romfile=" // SeaBIOS would try a ROM last, even without an index
		}
		args = append(args, "-netdev", fmt.Sprintf("socket,id=net%d,fd=%d", i, nicFD+i), "-device", device)
	}
	return args, nil
}

// bootIndexes returns the boot index of the first disk, the first NIC and the CD drive; 0 means that the firmware
// does not try them.
func bootIndexes(order []machine.Device, disks int) (disk, network, cd int) {
	next := 1
	for _, d := range order {
		switch d {
		case machine.Disk:
			disk, next = next, next+disks
		case machine.Network:
			network, next = next, next+8
		case machine.CDROM:
			cd, next = next, next+1
		case machine.None, machine.Setup:
		}
	}
	return disk, network, cd
}

func diskArgs(i int, d machine.DiskSpec, path string, first int) []string {
	// Nothing of the lab must survive a crash of the host, so host caches need no flush; discarded and zeroed
	// blocks give their room back.
	drive := fmt.Sprintf("if=none,id=disk%d,file=%s,format=raw,cache=unsafe,discard=unmap,detect-zeroes=unmap", i, escape(path))
	device := fmt.Sprintf("virtio-blk-pci,drive=disk%d,serial=%s", i, escape(d.Serial))
	if d.Bus == machine.NVMe {
		device = fmt.Sprintf("nvme,drive=disk%d,serial=%s", i, escape(d.Serial))
	}
	if first > 0 {
		device += fmt.Sprintf(",bootindex=%d", first+i)
	}
	return []string{"-drive", drive, "-device", device}
}

// firmware returns the arguments for a mode. UEFI gets its variables in a file of its own, which lives as
// long as the machine.
func (m *Machine) firmware(mode machine.Mode) ([]string, error) {
	f := m.options.Firmware
	if !f.Has(mode) {
		return nil, fault.Errorf(fault.Invalid, "the lab has no %s firmware", mode)
	}
	if mode == machine.BIOS {
		return nil, nil
	}
	vars := filepath.Join(m.dir, "uefi-vars.fd")
	if _, err := os.Stat(vars); os.IsNotExist(err) {
		if err := copyFile(vars, f.Vars); err != nil {
			return nil, err
		}
	}
	return []string{
		"-drive", "if=pflash,unit=0,format=raw,readonly=on,file=" + escape(f.Code),
		"-drive", "if=pflash,unit=1,format=raw,file=" + escape(vars),
	}, nil
}

func copyFile(to, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return fault.E(fault.Internal, "open the firmware's variables", err)
	}
	defer func() { _ = src.Close() }()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fault.E(fault.Internal, "make the firmware's variables", err)
	}
	_, err = io.Copy(dst, src)
	if cerr := dst.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fault.E(fault.Internal, "copy the firmware's variables", err)
	}
	return nil
}

// escape makes a value safe within QEMU's option lists, where a comma separates.
func escape(value string) string { return strings.ReplaceAll(value, ",", ",,") }
