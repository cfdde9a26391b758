package host

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/u-root/u-root/pkg/smbios"
	"golang.org/x/sys/unix"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

// Inventory reads what the machine consists of.
func (m *Machine) Inventory(context.Context) (protocol.Inventory, error) {
	dmi := func(name string) string { return text(m.sys, "class/dmi/id", name) }
	inventory := protocol.Inventory{
		Manufacturer: dmi("sys_vendor"), Product: dmi("product_name"), Serial: dmi("product_serial"),
		UUID: strings.ToLower(dmi("product_uuid")), BIOSVendor: dmi("bios_vendor"), BIOSVersion: dmi("bios_version"),
		Architecture: architecture(), BootMode: "bios",
		CPU: processors(), MemoryBytes: memory(), NICs: m.nics(),
	}
	if _, err := os.Stat(filepath.Join(m.sys, "firmware/efi")); err == nil {
		inventory.BootMode = "uefi"
	}
	names, err := m.blocks()
	if err != nil {
		return inventory, err
	}
	for _, name := range names {
		inventory.Disks = append(inventory.Disks, m.describe(name).Disk)
	}
	return inventory, nil
}

// architecture is the machine's as uname tells it (x86_64).
func architecture() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return runtime.GOARCH
	}
	return unix.ByteSliceToString(u.Machine[:])
}

// memory returns the installed memory in bytes: the sum of the modules as the firmware lists them
// (SMBIOS type 17), since the kernel's own figure leaves out what it has reserved.
func memory() int64 {
	var total int64
	if info, err := smbios.FromSysfs(); err == nil {
		modules, err := info.GetMemoryDevices()
		for _, module := range modules {
			if err == nil && module.Size != 0xffff { // 0xffff: unknown
				total += int64(module.GetSizeBytes())
			}
		}
	}
	if total > 0 {
		return total
	}
	var si unix.Sysinfo_t
	if err := unix.Sysinfo(&si); err != nil {
		return 0
	}
	return int64(si.Totalram) * int64(si.Unit)
}

// processors counts sockets, cores and threads from the kernel's list.
func processors() protocol.CPU {
	var cpu protocol.CPU
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return cpu
	}
	defer func() { _ = f.Close() }() // only read
	sockets, cores := map[string]bool{}, map[string]bool{}
	var socket string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "processor":
			cpu.Threads++
		case "model name":
			cpu.Model = value
		case "physical id":
			socket = value
			sockets[socket] = true
		case "core id":
			cores[socket+"/"+value] = true
		}
	}
	cpu.Sockets, cpu.Cores = max(1, len(sockets)), max(1, len(cores))
	return cpu
}

// nics lists the physical network interfaces by name.
func (m *Machine) nics() []protocol.NIC {
	entries, err := os.ReadDir(filepath.Join(m.sys, "class/net"))
	if err != nil {
		return nil
	}
	nics := []protocol.NIC{}
	for _, e := range entries {
		dir := filepath.Join(m.sys, "class/net", e.Name())
		if _, err := os.Stat(filepath.Join(dir, "device")); err != nil {
			continue // lo, bridges, tunnels
		}
		driver, _ := os.Readlink(filepath.Join(dir, "device/driver")) // "" when there is none
		nic := protocol.NIC{
			Name: e.Name(), MAC: strings.ToLower(text(dir, "address")), Driver: filepath.Base(driver),
			Link: text(dir, "carrier") == "1", Product: product(dir),
		}
		if speed := number(dir, "speed"); speed > 0 {
			nic.Mbps = int(speed)
		}
		if driver == "" {
			nic.Driver = ""
		}
		if mac, err := net.ParseMAC(nic.MAC); err == nil && len(mac) == 6 {
			nic.Firmware = firmware(nic.Name)
			nics = append(nics, nic)
		}
	}
	slices.SortFunc(nics, func(a, b protocol.NIC) int { return strings.Compare(a.Name, b.Name) })
	return nics
}

// product names a PCI device by its numbers, vendor:device.
func product(dir string) string {
	vendor, device := text(dir, "device/vendor"), text(dir, "device/device")
	if vendor == "" || device == "" {
		return ""
	}
	return fmt.Sprintf("%s:%s", strings.TrimPrefix(vendor, "0x"), strings.TrimPrefix(device, "0x"))
}

// firmware asks a NIC's driver for its firmware version.
func firmware(name string) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer func() { _ = unix.Close(fd) }() // nothing was sent
	info, err := unix.IoctlGetEthtoolDrvinfo(fd, name)
	if err != nil {
		return ""
	}
	version := strings.TrimSpace(unix.ByteSliceToString(info.Fw_version[:]))
	if version == "N/A" {
		return ""
	}
	return version
}

// kinds of devices in /sys/block that are no disks of the machine.
var noDisks = []string{"loop", "ram", "zram", "fd", "sr", "dm-", "md", "nbd", "drbd", "bcache", "mtdblock", "zd"}

// blocks lists the names of the machine's disks: not virtual, not removable (which virtual media and
// memory sticks are), not write-protected.
func (m *Machine) blocks() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(m.sys, "block"))
	if err != nil {
		return nil, fault.E(fault.Internal, "listing the disks", err)
	}
	var names []string
	for _, e := range entries {
		name, dir := e.Name(), filepath.Join(m.sys, "block", e.Name())
		virtual := slices.ContainsFunc(noDisks, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) ||
			strings.HasPrefix(name, "mmcblk") && strings.Contains(name, "boot")
		if virtual || text(dir, "removable") == "1" || text(dir, "ro") == "1" || text(dir, "hidden") == "1" {
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}
