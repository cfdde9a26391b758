package sim

import (
	"bytes"
	"context"
	"io"
	"slices"
	"sync"

	"github.com/hagane-cloud/hagane/agent"
	"github.com/hagane-cloud/hagane/agent/partition"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/machine"
)

const (
	chunkBytes  = 64 << 10
	sectorBytes = 512
)

// disk keeps the parts of a disk that are not zero in memory.
type disk struct {
	spec machine.DiskSpec
	name string // as the operating system calls it
	pool *Pool  // where those are kept that were written as a whole

	mu     sync.RWMutex
	chunks map[int64]*extent
}

var (
	_ agent.Disk      = (*disk)(nil)
	_ agent.Discarder = (*disk)(nil)
	_ agent.Eraser    = (*disk)(nil)
)

func newDisk(spec machine.DiskSpec, name string, pool *Pool) *disk {
	return &disk{spec: spec, name: name, pool: pool, chunks: make(map[int64]*extent)}
}

// ReadAt reads; what was never written reads as zeros.
func (d *disk) ReadAt(b []byte, at int64) (int, error) {
	n, err := d.clip(len(b), at)
	if n == 0 {
		return 0, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	for done := 0; done < n; {
		chunk, from := (at+int64(done))/chunkBytes, int((at+int64(done))%chunkBytes)
		part := b[done:min(n, done+chunkBytes-from)]
		if have := d.chunks[chunk]; have != nil {
			copy(part, have.data[from:])
		} else {
			clear(part)
		}
		done += len(part)
	}
	return n, err
}

// WriteAt writes. Zeros over what is zero anyway take no room.
func (d *disk) WriteAt(b []byte, at int64) (int, error) {
	n, err := d.clip(len(b), at)
	if err != nil {
		err = io.ErrShortWrite
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for done := 0; done < n; {
		chunk, from := (at+int64(done))/chunkBytes, int((at+int64(done))%chunkBytes)
		part := b[done:min(n, done+chunkBytes-from)]
		d.write(chunk, from, part)
		done += len(part)
	}
	return n, err
}

func (d *disk) write(chunk int64, from int, part []byte) {
	have := d.chunks[chunk]
	empty := zero(part)
	switch {
	case have == nil && empty:
	case len(part) == chunkBytes:
		delete(d.chunks, chunk)
		if !empty {
			d.chunks[chunk] = d.pool.keep(part)
		}
		if have != nil {
			d.pool.drop(have)
		}
	case have == nil:
		d.chunks[chunk] = new(extent)
		copy(d.chunks[chunk].data[from:], part)
	default:
		have = d.pool.own(have)
		d.chunks[chunk] = have
		copy(have.data[from:], part)
	}
}

// clip returns how many bytes from an offset are on the disk.
func (d *disk) clip(length int, at int64) (int, error) {
	if at < 0 {
		return 0, fault.Errorf(fault.Invalid, "offset %d is before the disk", at)
	}
	rest := max(d.spec.Bytes-at, 0)
	if int64(length) > rest {
		return int(rest), io.EOF
	}
	return length, nil
}

// Discard forgets a range.
func (d *disk) Discard(_ context.Context, offset, length int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	end := min(offset+length, d.spec.Bytes)
	for chunk, have := range d.chunks {
		from, to := max(offset, chunk*chunkBytes), min(end, (chunk+1)*chunkBytes)
		switch {
		case from >= to:
		case to-from == chunkBytes:
			delete(d.chunks, chunk)
			d.pool.drop(have)
		default:
			have = d.pool.own(have)
			d.chunks[chunk] = have
			clear(have.data[from-chunk*chunkBytes : to-chunk*chunkBytes])
		}
	}
	return nil
}

// EraseMethods offers what a real disk of the kind does.
func (d *disk) EraseMethods(context.Context) []agent.EraseMethod {
	if d.spec.Bus != machine.NVMe {
		return nil
	}
	return []agent.EraseMethod{{Name: "nvme-format", Erase: func(ctx context.Context) error {
		return d.Discard(ctx, 0, d.spec.Bytes)
	}}}
}

// Info says what the disk is.
func (d *disk) Info() agent.DiskInfo {
	return agent.DiskInfo{SectorBytes: sectorBytes, Disk: protocol.Disk{
		Name: d.name, Model: "Hagane Lab " + string(d.spec.Bus), Serial: d.spec.Serial, Bytes: d.spec.Bytes,
		Bus: string(d.spec.Bus), Firmware: "1.0",
	}}
}

// Sync does nothing: memory is the medium.
func (d *disk) Sync(context.Context) error { return nil }

// Reread does nothing: nobody caches the partition table.
func (d *disk) Reread(context.Context) error { return nil }

// Close does nothing: the disk stays with its machine.
func (d *disk) Close() error { return nil }

// blank reads all that is kept.
func (d *disk) blank() machine.Blankness {
	d.mu.RLock()
	defer d.mu.RUnlock()
	b := machine.Blankness{Bytes: d.spec.Bytes, Allocated: int64(len(d.chunks)) * chunkBytes, FirstData: -1}
	for chunk, have := range d.chunks {
		for i, c := range have.data {
			if at := chunk*chunkBytes + int64(i); c != 0 && (b.FirstData < 0 || at < b.FirstData) {
				b.FirstData = at
			}
			if c != 0 {
				break
			}
		}
	}
	b.Blank = b.FirstData < 0
	return b
}

// bootable reports whether firmware would find something to start: a boot record's signature in the first sector, and in a
// GPT a partition with a boot loader.
func (d *disk) bootable() bool {
	var sector [sectorBytes]byte
	_, err := d.ReadAt(sector[:], 0)
	if err != nil || sector[510] != 0x55 || sector[511] != 0xaa {
		return false
	}
	table, err := partition.Read(d, d.spec.Bytes, sectorBytes)
	return err != nil || table.Kind != partition.GPT || slices.ContainsFunc(table.Partitions, func(p partition.Partition) bool {
		return p.Type == partition.EFI || p.Type == partition.BIOSBoot
	})
}

func zero(b []byte) bool {
	for ; len(b) >= len(zeros); b = b[len(zeros):] {
		if !bytes.Equal(b[:len(zeros)], zeros[:]) {
			return false
		}
	}
	return bytes.Equal(b, zeros[:len(b)])
}

var zeros [4096]byte
