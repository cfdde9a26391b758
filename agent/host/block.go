package host

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/hagane-cloud/hagane/agent"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

// Disks opens all disks of the machine.
func (m *Machine) Disks(context.Context) ([]agent.Disk, error) {
	names, err := m.blocks()
	if err != nil {
		return nil, err
	}
	var disks []agent.Disk
	for _, name := range names {
		d, err := m.open(name)
		if err != nil {
			for _, opened := range disks {
				_ = opened.Close() // nothing was written
			}
			return nil, fault.Wrap("opening /dev/"+name, err)
		}
		disks = append(disks, d)
	}
	return disks, nil
}

// describe reads what sysfs knows about a disk. The size there is in units of 512 bytes whatever
// the disk's sectors are.
func (m *Machine) describe(name string) agent.DiskInfo {
	dir := filepath.Join(m.sys, "block", name)
	info := agent.DiskInfo{
		Disk: protocol.Disk{
			Name: filepath.Join("/dev", name), Bytes: 512 * number(dir, "size"),
			Rotational: text(dir, "queue/rotational") == "1", Model: text(dir, "device/model"),
			Serial: text(dir, "serial"), Firmware: text(dir, "device/rev"), Bus: bus(dir),
		},
		SectorBytes: int(number(dir, "queue/logical_block_size")),
	}
	if info.Serial == "" {
		info.Serial = text(dir, "device/serial")
	}
	if info.Serial == "" {
		info.Serial = unitSerial(filepath.Join(dir, "device/vpd_pg80"))
	}
	if revision := text(dir, "device/firmware_rev"); revision != "" {
		info.Firmware = revision
	}
	wwn := text(dir, "wwid")
	if wwn == "" {
		wwn = text(dir, "device/wwid")
	}
	if kind, value, ok := strings.Cut(wwn, "."); ok && (kind == "naa" || kind == "eui") {
		info.WWN = "0x" + value
	}
	return info
}

// unitSerial reads SCSI's unit serial number page: a header of four bytes, then the number.
func unitSerial(file string) string {
	page, err := os.ReadFile(file)
	if err != nil || len(page) <= 4 {
		return ""
	}
	return strings.Trim(string(page[4:]), " \x00\n")
}

// bus tells how a disk is attached from the path of its device.
func bus(dir string) string {
	path, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return ""
	}
	for _, b := range []struct{ part, bus string }{
		{"/nvme", "nvme"}, {"/usb", "usb"}, {"/ata", "sata"}, {"/end_device-", "sas"},
		{"/virtio", "virtio"}, {"/mmc", "mmc"}, {"/pmem", "pmem"}, {"/host", "scsi"},
	} {
		if strings.Contains(path, b.part) {
			return b.bus
		}
	}
	return ""
}
