package host

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hagane-cloud/hagane/agent"
	"github.com/hagane-cloud/hagane/fault"
)

// The commands and offsets below are those of the NVM Express base specification 1.4, chapter 5.

const (
	nvmeAdminIoctl = 0xc0484e41 // NVME_IOCTL_ADMIN_CMD, linux/nvme_ioctl.h

	nvmeGetLog   = 0x02
	nvmeIdentify = 0x06
	nvmeFormat   = 0x80
	nvmeSanitize = 0x84

	sanitizeLog = 0x81

	sanitizeExitFailure = 1
	sanitizeBlock       = 2
	sanitizeCrypto      = 4
	sanitizeUnlock      = 1 << 3 // allow unrestricted exit, so that a failed sanitize does not lock the drive for good

	formatUserData = 1
	formatCrypto   = 2

	nvmeShort = 30 * time.Second
	nvmeLong  = 4 * time.Hour
)

// nvmeCommand is struct nvme_admin_cmd of linux/nvme_ioctl.h.
type nvmeCommand struct {
	opcode, flags       uint8
	_                   uint16
	namespace           uint32
	cdw2, cdw3          uint32
	metadata, address   uint64
	metadataLength      uint32
	length              uint32
	cdw10, cdw11, cdw12 uint32
	cdw13, cdw14, cdw15 uint32
	timeout             uint32 // milliseconds
	result              uint32
}

// nvmeMethods asks the controller what it offers. Sanitize works on everything behind the controller,
// so it is offered only where the disk is its one namespace.
func (d *disk) nvmeMethods(context.Context) []agent.EraseMethod {
	controller, err := d.nvmeIdentify(0, 1)
	if err != nil {
		return []agent.EraseMethod{{Name: "nvme-sanitize", Erase: func(context.Context) error { return err }}}
	}
	var methods []agent.EraseMethod
	capable := binary.LittleEndian.Uint32(controller[328:]) // SANICAP
	if d.alone() {
		for _, s := range []struct {
			bit    uint32
			action uint32
			name   string
		}{{1, sanitizeCrypto, "crypto"}, {2, sanitizeBlock, "block"}} {
			if capable&s.bit != 0 {
				methods = append(methods, agent.EraseMethod{Name: "nvme-sanitize", Erase: func(ctx context.Context) error {
					return fault.Wrap(s.name+" erase", d.sanitize(ctx, s.action))
				}})
			}
		}
	}
	if binary.LittleEndian.Uint16(controller[256:])&2 != 0 { // OACS: Format NVM
		if controller[524]&4 != 0 { // FNA: cryptographic erase
			methods = append(methods, d.formatMethod("cryptographic erase", formatCrypto))
		}
		methods = append(methods, d.formatMethod("user data erase", formatUserData))
	}
	return methods
}

func (d *disk) formatMethod(name string, kind uint32) agent.EraseMethod {
	return agent.EraseMethod{Name: "nvme-format", Erase: func(context.Context) error {
		return fault.Wrap(name, d.format(kind))
	}}
}

// alone tells whether the disk is the only namespace of its controller.
func (d *disk) alone() bool {
	name := filepath.Base(d.info.Name)
	controller, _, ok := strings.Cut(strings.TrimPrefix(name, "nvme"), "n")
	if !ok {
		return false
	}
	siblings, err := filepath.Glob(filepath.Join(filepath.Dir(d.sys), "nvme"+controller+"n*"))
	return err == nil && len(siblings) == 1
}

// sanitize starts a sanitize operation and follows its log until it has ended.
func (d *disk) sanitize(ctx context.Context, action uint32) error {
	if err := d.nvme(&nvmeCommand{opcode: nvmeSanitize, cdw10: action | sanitizeUnlock}, nil, nvmeShort); err != nil {
		return err
	}
	deadline := time.Now().Add(nvmeLong)
	for {
		// A sanitize goes on by itself and can not be stopped: ctx ends the waiting only.
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
		}
		log := make([]byte, 512)
		read := nvmeCommand{opcode: nvmeGetLog, namespace: 0xffffffff, cdw10: sanitizeLog | (512/4-1)<<16}
		if err := d.nvme(&read, log, nvmeShort); err != nil {
			return err
		}
		switch state := log[2] & 7; state {
		case 1, 4:
			return nil
		case 3:
			leave := d.nvme(&nvmeCommand{opcode: nvmeSanitize, cdw10: sanitizeExitFailure}, nil, nvmeShort)
			return errors.Join(fault.Errorf(fault.Unavailable, "the drive says that its sanitize failed"), leave)
		case 2:
		default:
			return fault.Errorf(fault.Unavailable, "the drive says that it was never sanitized (state %d)", state)
		}
		if time.Now().After(deadline) {
			return fault.Errorf(fault.Unavailable, "the drive's sanitize did not end within %s", nvmeLong)
		}
	}
}

// format formats the namespace as it is formatted now, erasing its data.
func (d *disk) format(erase uint32) error {
	id := uint32(number(d.sys, "nsid"))
	if id == 0 {
		return fault.Errorf(fault.Unavailable, "the namespace has no number")
	}
	space, err := d.nvmeIdentify(id, 0)
	if err != nil {
		return err
	}
	sizes, protection := uint32(space[26]), uint32(space[29]) // FLBAS and DPS
	how := sizes&0xf | sizes>>4&1<<4 | protection&7<<5 | protection>>3&1<<8 | erase<<9 | sizes>>5&3<<12
	return d.nvme(&nvmeCommand{opcode: nvmeFormat, namespace: id, cdw10: how}, nil, nvmeLong)
}

func (d *disk) nvmeIdentify(namespace, structure uint32) ([]byte, error) {
	answer := make([]byte, 4096)
	err := d.nvme(&nvmeCommand{opcode: nvmeIdentify, namespace: namespace, cdw10: structure}, answer, nvmeShort)
	return answer, fault.Wrap("identifying the drive", err)
}

// nvme sends a command to the controller and waits for its end.
func (d *disk) nvme(c *nvmeCommand, data []byte, within time.Duration) error {
	name := filepath.Base(d.info.Name)
	controller, _, _ := strings.Cut(strings.TrimPrefix(name, "nvme"), "n")
	f, err := os.OpenFile(filepath.Join(d.dev, "nvme"+controller), os.O_RDWR, 0)
	if err != nil {
		return fault.E(fault.Unavailable, "opening the NVMe controller", err)
	}
	defer func() { _ = f.Close() }() // the command has ended
	c.timeout = uint32(within.Milliseconds())
	var pinner runtime.Pinner // the kernel is given the address as a number
	defer pinner.Unpin()
	if len(data) > 0 {
		pinner.Pin(unsafe.SliceData(data))
		c.address, c.length = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(data)))), uint32(len(data))
	}
	status, _, number := unix.Syscall(unix.SYS_IOCTL, f.Fd(), nvmeAdminIoctl, uintptr(unsafe.Pointer(c)))
	if number != 0 {
		return fault.E(fault.Unavailable, fmt.Sprintf("sending NVMe command %#x", c.opcode), number)
	}
	if status != 0 {
		return fault.Errorf(fault.Unavailable, "the drive refused NVMe command %#x with status %#x", c.opcode, status&0x7ff)
	}
	return nil
}
