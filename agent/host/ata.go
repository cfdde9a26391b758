package host

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"github.com/hagane-cloud/hagane/agent"
	"github.com/hagane-cloud/hagane/fault"
)

// The commands and words below are those of ACS-3 (ATA command set); they travel in the SCSI command
// ATA PASS-THROUGH (16) of SAT-3 through the kernel's SG_IO.

const (
	sgIO         = 0x2285 // SG_IO, scsi/sg.h
	sgNone       = -1
	sgToDevice   = -2
	sgFromDevice = -3

	ataIdentify        = 0xec
	ataSetPassword     = 0xf1
	ataUnlock          = 0xf2
	ataErasePrepare    = 0xf3
	ataEraseUnit       = 0xf4
	ataDisablePassword = 0xf6

	ataNonData = 3 << 1
	ataIn      = 4 << 1
	ataOut     = 5 << 1

	ataShort = 30 * time.Second
)

// ataPassword locks a disk only between the start of an erase and its end. It is fixed so that a
// disk whose erase was interrupted by a loss of power can be unlocked by the next run.
const ataPassword = "hagane"

// sgHeader is struct sg_io_hdr of scsi/sg.h.
type sgHeader struct {
	interfaceID    int32
	direction      int32
	commandLength  uint8
	senseLength    uint8
	iovecCount     uint16
	length         uint32
	data           unsafe.Pointer
	command        unsafe.Pointer
	sense          unsafe.Pointer
	timeout        uint32 // milliseconds
	flags          uint32
	packID         int32
	_              [4]byte
	user           uintptr
	status         uint8
	maskedStatus   uint8
	messageStatus  uint8
	senseWritten   uint8
	hostStatus     uint16
	driverStatus   uint16
	residual       int32
	duration, info uint32
}

// security is the state of a disk's security feature (IDENTIFY DEVICE, word 128) and the time that an
// erase takes (words 89 and 90, in units of two minutes).
type security struct {
	supported, enabled, locked, frozen, enhanced bool
	within                                       time.Duration
}

func (d *disk) security() (security, error) {
	id := make([]byte, 512)
	if err := d.ata(ataIdentify, ataIn, id, ataShort); err != nil {
		return security{}, fault.Wrap("identifying the disk", err)
	}
	word := func(n int) uint16 { return binary.LittleEndian.Uint16(id[2*n:]) }
	w := word(128)
	s := security{
		supported: w&1 != 0, enabled: w&2 != 0, locked: w&4 != 0, frozen: w&8 != 0, enhanced: w&32 != 0,
		within: 12 * time.Hour, // where the disk does not say
	}
	units := word(89)
	if s.enhanced {
		units = word(90)
	}
	if n := units & 0x7fff; n > 0 {
		s.within = 2*2*time.Minute*time.Duration(n) + 10*time.Minute
	}
	return s, nil
}

// ataMethods offers the secure erase where the disk has one. A frozen disk (most firmware freezes them
// at boot) is still listed, so that the record says why it was not used.
func (d *disk) ataMethods() []agent.EraseMethod {
	s, err := d.security()
	if err != nil || !s.supported {
		return nil
	}
	return []agent.EraseMethod{{Name: "ata-secure-erase", Erase: func(ctx context.Context) error { return d.secureErase(ctx, s) }}}
}

func (d *disk) secureErase(ctx context.Context, s security) error {
	if s.frozen {
		return fault.Errorf(fault.Unavailable, "the firmware has frozen the disk's security settings")
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if s.locked {
		if err := d.ata(ataUnlock, ataOut, secret(0), ataShort); err != nil {
			return fault.Wrap("unlocking the disk: someone else has set its password", err)
		}
	}
	if !s.enabled {
		if err := d.ata(ataSetPassword, ataOut, secret(0), ataShort); err != nil {
			return fault.Wrap("setting the password for the erase", err)
		}
	}
	var how uint16
	if s.enhanced {
		how = 2
	}
	err := d.ata(ataErasePrepare, ataNonData, nil, ataShort)
	if err == nil {
		err = d.ata(ataEraseUnit, ataOut, secret(how), s.within)
	}
	if err != nil {
		// The erase itself would have removed the password.
		return errors.Join(err, fault.Wrap("removing the password", d.ata(ataDisablePassword, ataOut, secret(0), ataShort)))
	}
	return nil
}

// secret is the parameter block of the security commands: what to do, and the user password.
func secret(how uint16) []byte {
	b := make([]byte, 512)
	binary.LittleEndian.PutUint16(b, how)
	copy(b[2:34], ataPassword)
	return b
}

// ata sends a command to the disk and waits for its end.
func (d *disk) ata(command byte, protocol byte, data []byte, within time.Duration) error {
	// T_LENGTH in the sector count and BYT_BLOK; T_DIR when reading.
	var flags byte
	direction := int32(sgNone)
	switch protocol {
	case ataIn:
		flags, direction = 0x0e, sgFromDevice
	case ataOut:
		flags, direction = 0x06, sgToDevice
	}
	cdb := make([]byte, 16)
	cdb[0], cdb[1], cdb[2], cdb[6], cdb[14] = 0x85, protocol, flags, byte(len(data)/512), command
	sense := make([]byte, 32)
	h := sgHeader{
		interfaceID: 'S', direction: direction, commandLength: byte(len(cdb)), senseLength: byte(len(sense)),
		length: uint32(len(data)), command: unsafe.Pointer(&cdb[0]), sense: unsafe.Pointer(&sense[0]),
		timeout: uint32(within.Milliseconds()),
	}
	if len(data) > 0 {
		h.data = unsafe.Pointer(&data[0])
	}
	var pinner runtime.Pinner
	defer pinner.Unpin()
	for _, p := range []unsafe.Pointer{h.data, h.command, h.sense} {
		if p != nil {
			pinner.Pin(p)
		}
	}
	if err := d.ioctl(sgIO, unsafe.Pointer(&h)); err != nil {
		return fault.E(fault.Unavailable, fmt.Sprintf("sending ATA command %#x", command), err)
	}
	if h.status != 0 || h.hostStatus != 0 || h.driverStatus != 0 {
		return fault.Errorf(fault.Unavailable, "the disk refused ATA command %#x (status %#x, host %#x, driver %#x, sense %x)",
			command, h.status, h.hostStatus, h.driverStatus, sense[:h.senseWritten])
	}
	return nil
}
