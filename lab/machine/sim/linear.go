package sim

import (
	"context"
	"io"

	"github.com/hagane-cloud/hagane/agent"
	"github.com/hagane-cloud/hagane/agent/protocol"
)

// block is something with bytes at offsets: a disk, a part of one, or what is made of parts.
type block interface {
	io.ReaderAt
	io.WriterAt
}

// piece is a part of a block device.
type piece struct {
	of             block
	offset, length int64
}

// linear is pieces one behind the other.
type linear []piece

func (l linear) length() int64 {
	var total int64
	for _, p := range l {
		total += p.length
	}
	return total
}

// part returns the part of l from an offset on.
func (l linear) part(offset, length int64) linear {
	var out linear
	for _, p := range l {
		if n := min(p.length-offset, length); offset < p.length && n > 0 {
			out = append(out, piece{p.of, p.offset + offset, n})
			offset, length = 0, length-n
		} else {
			offset -= min(offset, p.length)
		}
	}
	return out
}

// each takes a transfer apart.
func (l linear) each(b []byte, at int64, do func(of block, b []byte, at int64) (int, error)) (int, error) {
	done := 0
	for _, p := range l.part(at, int64(len(b))) {
		n, err := do(p.of, b[done:done+int(p.length)], p.offset)
		if done += n; err != nil {
			return done, err
		}
	}
	if done < len(b) {
		return done, io.EOF
	}
	return done, nil
}

// ReadAt reads.
func (l linear) ReadAt(b []byte, at int64) (int, error) { return l.each(b, at, block.ReadAt) }

// WriteAt writes.
func (l linear) WriteAt(b []byte, at int64) (int, error) { return l.each(b, at, block.WriteAt) }

// mirror holds the same on each of its sides.
type mirror []block

// ReadAt reads from the first side.
func (m mirror) ReadAt(b []byte, at int64) (int, error) { return m[0].ReadAt(b, at) }

// WriteAt writes to all sides.
func (m mirror) WriteAt(b []byte, at int64) (n int, err error) {
	for _, side := range m {
		if n, err = side.WriteAt(b, at); err != nil {
			return n, err
		}
	}
	return n, nil
}

// array is a software RAID in use.
type array struct {
	block
	info protocol.Disk
}

var _ agent.Disk = (*array)(nil)

// Info says what the array is.
func (a *array) Info() agent.DiskInfo { return agent.DiskInfo{SectorBytes: sectorBytes, Disk: a.info} }

// Sync does nothing: memory is the medium.
func (a *array) Sync(context.Context) error { return nil }

// Reread does nothing: nobody caches the partition table.
func (a *array) Reread(context.Context) error { return nil }

// Close does nothing: Release gives the array up.
func (a *array) Close() error { return nil }
