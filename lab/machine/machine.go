// Package machine is what a machine of the lab is, whatever makes it run: a power button, a boot
// device, disks, NICs and a serial console. The BMC simulators of lab/bmcsim control machines
// through it. machine/qemu runs real firmware and operating systems, machine/sim plays them.
package machine

import (
	"context"
	"net"
	"time"
)

// Mode is a firmware mode.
type Mode string

// The firmware modes.
const (
	UEFI Mode = "uefi"
	BIOS Mode = "bios"
)

// Device is what a machine boots from.
type Device string

// The boot devices. With None the firmware tries the disks and then the network.
const (
	None    Device = "none"
	Disk    Device = "disk"
	Network Device = "network"
	CDROM   Device = "cdrom" // what the BMC presents as a drive; without a medium the disks are next
	Setup   Device = "setup" // the firmware's own menu: nothing boots
)

// Boot is a boot device override, as a BMC keeps it for the firmware.
type Boot struct {
	Device     Device
	Persistent bool // every boot; otherwise it is used up by the next
	Mode       Mode // firmware mode from the next boot on; "" leaves it
}

// Action is something done to a machine's power.
type Action string

// The actions.
const (
	PowerOn  Action = "on"       // nothing happens when it is on
	PowerOff Action = "off"      // at once; nothing happens when it is off
	SoftOff  Action = "soft off" // presses the power button: the operating system decides
	Reset    Action = "reset"    // at once; powers on a machine that is off
)

// BusKind is how a disk is attached.
type BusKind string

// The kinds of disk.
const (
	Virtio BusKind = "virtio"
	NVMe   BusKind = "nvme"
)

// DiskSpec describes a disk.
type DiskSpec struct {
	Bus    BusKind
	Bytes  int64
	Serial string
}

// NICSpec describes a network interface and where it is plugged in.
type NICSpec struct {
	MAC  net.HardwareAddr
	Port string // of the lab's switch
}

// Spec says what a machine is made of. It does not change.
type Spec struct {
	Name         string
	Manufacturer string
	Product      string
	Serial       string
	UUID         string // lower case
	Mode         Mode   // as delivered; a Boot may change it
	CPUs         int
	MemoryMB     int
	Disks        []DiskSpec
	NICs         []NICSpec
}

// Status is how a machine is doing.
type Status struct {
	On         bool
	Since      time.Time // of the last change of power
	Boots      int       // since the lab started; a reset is one more
	BootedFrom Device    // what the firmware was told to try first at the last boot
	Mode       Mode      // of the last boot; the same as NextMode before the first
	NextMode   Mode      // of the next boot
	Boot       Boot      // the override in force
	Ended      string    // why it was last off, such as "powered off by its operating system"
	Console    string    // file with everything written to the serial console
	Medium     string    // URL of the image in the CD drive; "" when that is empty
}

// Blankness is what reading a whole disk showed.
type Blankness struct {
	Blank     bool  `json:"blank"`           // every byte read as zero
	Bytes     int64 `json:"bytes"`           // size of the disk
	Allocated int64 `json:"allocated_bytes"` // room that it takes in the lab
	FirstData int64 `json:"first_data"`      // offset of the first byte that is not zero; -1 when blank
}

// Machine is a machine of the lab. Its methods may be called by many goroutines and return faults.
type Machine interface {
	// Spec says what the machine is made of.
	Spec() Spec
	// Status says how it is doing.
	Status() Status
	// Power carries out an action and returns when it has taken effect; after SoftOff the operating
	// system takes its time.
	Power(ctx context.Context, a Action) error
	// SetBoot sets the boot device override for later boots.
	SetBoot(ctx context.Context, b Boot) error
	// SetMedium puts the image at a URL (http, https or a file's path) into the CD drive; "" takes out what is in
	// it. A running machine sees the change. The image is read while it is in use.
	SetMedium(ctx context.Context, url string) error
	// Blank reads a disk from end to end, whatever the machine is doing.
	Blank(ctx context.Context, disk int) (Blankness, error)
	// Close powers the machine off and gives up what it holds. Disks and console stay on file.
	Close() error
}

// Order returns the devices that the firmware tries under a boot override, in turn.
func (b Boot) Order() []Device {
	switch b.Device {
	case Network:
		return []Device{Network, Disk}
	case Disk:
		return []Device{Disk}
	case CDROM:
		return []Device{CDROM, Disk}
	case Setup:
		return nil
	case None:
	}
	return []Device{Disk, Network}
}

// Next returns the override that is left after one boot.
func (b Boot) Next() Boot {
	if b.Persistent {
		return Boot{Device: b.Device, Persistent: true}
	}
	return Boot{Device: None}
}
