package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hagane-cloud/hagane/agent"
	"github.com/hagane-cloud/hagane/fault"
)

const (
	page         = 4096
	bounceBytes  = 1 << 20
	discardBytes = 16 << 30 // of one call, so that a large disk can still be interrupted
	blkDiscard   = 0x1277   // BLKDISCARD, linux/fs.h
)

// disk is a block device, opened for direct access so that what is read back comes from the device
// and what is written has reached it.
type disk struct {
	info agent.DiskInfo
	sys  string // its folder in sysfs
	dev  string // /dev
	file *os.File

	mu     sync.Mutex
	bounce []byte // for what is not aligned as direct access needs it
}

var (
	_ agent.Disk      = (*disk)(nil)
	_ agent.Discarder = (*disk)(nil)
	_ agent.Eraser    = (*disk)(nil)
)

func (m *Machine) open(name string) (*disk, error) {
	f, err := os.OpenFile(filepath.Join(m.dev, name), os.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		return nil, fault.E(fault.Unavailable, "opening the disk", err)
	}
	// An anonymous mapping begins on a page.
	bounce, err := unix.Mmap(-1, 0, bounceBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, errors.Join(fault.E(fault.Internal, "getting memory", err), f.Close())
	}
	d := &disk{info: m.describe(name), sys: filepath.Join(m.sys, "block", name), dev: m.dev, file: f, bounce: bounce}
	if d.info.SectorBytes == 0 {
		d.info.SectorBytes = 512
	}
	return d, nil
}

// Info says what the disk is.
func (d *disk) Info() agent.DiskInfo { return d.info }

// Close gives the device back.
func (d *disk) Close() error { return errors.Join(d.file.Close(), unix.Munmap(d.bounce)) }

// direct tells whether the kernel takes this transfer as it is.
func (d *disk) direct(b []byte, at int64) bool {
	sector := int64(d.info.SectorBytes)
	return len(b) > 0 && uintptr(unsafe.Pointer(unsafe.SliceData(b)))%page == 0 && at%sector == 0 && int64(len(b))%sector == 0
}

// ReadAt reads from the device.
func (d *disk) ReadAt(b []byte, at int64) (int, error) {
	if d.direct(b, at) {
		return d.file.ReadAt(b, at)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	done := 0
	for done < len(b) {
		start, window := d.window(at+int64(done), len(b)-done)
		if _, err := d.file.ReadAt(window, start); err != nil {
			return done, err
		}
		done += copy(b[done:], window[at+int64(done)-start:])
	}
	return done, nil
}

// WriteAt writes to the device. Where a transfer begins or ends within a sector, the rest of the sector
// is read first.
func (d *disk) WriteAt(b []byte, at int64) (int, error) {
	if d.direct(b, at) {
		return d.file.WriteAt(b, at)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	done := 0
	for done < len(b) {
		start, window := d.window(at+int64(done), len(b)-done)
		skip := at + int64(done) - start
		if skip > 0 || int64(len(b)-done)+skip < int64(len(window)) {
			if _, err := d.file.ReadAt(window, start); err != nil {
				return done, err
			}
		}
		n := copy(window[skip:], b[done:])
		if _, err := d.file.WriteAt(window, start); err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// window returns the whole sectors around a transfer, as far as the bounce buffer reaches.
func (d *disk) window(at int64, length int) (start int64, window []byte) {
	sector := int64(d.info.SectorBytes)
	start = at / sector * sector
	end := (at + int64(length) + sector - 1) / sector * sector
	return start, d.bounce[:min(end-start, bounceBytes)]
}

// Sync empties the device's write cache.
func (d *disk) Sync(context.Context) error {
	if err := d.file.Sync(); err != nil {
		return fault.E(fault.Unavailable, "emptying the write cache of "+d.info.Name, err)
	}
	return nil
}

// Reread makes the kernel read the partition table again.
func (d *disk) Reread(ctx context.Context) error {
	for deadline := time.Now().Add(10 * time.Second); ; {
		err := d.ioctl(unix.BLKRRPART, nil)
		if err == nil || errors.Is(err, unix.EINVAL) { // EINVAL: a device that has no partitions
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return fault.E(fault.Unavailable, "reading the partition table of "+d.info.Name+" again", err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Discard makes the device forget a range: first by a discard, which frees what it can, then by a
// punched hole, which by the kernel's contract reads as zeros where the device supports it. It
// fails when the device supports neither.
func (d *disk) Discard(ctx context.Context, offset, length int64) error {
	for length > 0 {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n := min(length, discardBytes)
		discarded := d.discard(offset, n)
		punched := d.punch(offset, n)
		if discarded != nil && punched != nil {
			return fault.E(fault.Unavailable, "the disk can not discard", errors.Join(discarded, punched))
		}
		offset, length = offset+n, length-n
	}
	return d.Sync(ctx)
}

func (d *disk) discard(offset, length int64) error {
	what := [2]uint64{uint64(offset), uint64(length)}
	return d.ioctl(blkDiscard, unsafe.Pointer(&what))
}

func (d *disk) punch(offset, length int64) error {
	var err error
	control := d.control(func(fd uintptr) {
		err = unix.Fallocate(int(fd), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, offset, length)
	})
	return errors.Join(control, err)
}

func (d *disk) ioctl(request uintptr, argument unsafe.Pointer) error {
	var number unix.Errno
	if err := d.control(func(fd uintptr) {
		_, _, number = unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(argument))
	}); err != nil {
		return err
	}
	if number != 0 {
		return number
	}
	return nil
}

func (d *disk) control(use func(fd uintptr)) error {
	raw, err := d.file.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(use)
}

// EraseMethods returns what the kind of disk offers.
func (d *disk) EraseMethods(ctx context.Context) []agent.EraseMethod {
	switch d.info.Bus {
	case "nvme":
		return d.nvmeMethods(ctx)
	case "sata":
		return d.ataMethods()
	}
	return nil
}
