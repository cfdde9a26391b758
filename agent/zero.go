package agent

import (
	"bytes"
	"context"
	"math/rand/v2"
	"unsafe"

	"github.com/hagane-cloud/hagane/fault"
)

const (
	blockBytes  = 4 << 20   // one transfer
	grainBytes  = 64 << 10  // the smallest hole that is worth leaving out
	wholeBelow  = 256 << 20 // disks up to this size are verified as a whole
	sampleCount = 256
	endBytes    = 1 << 20 // the first and last part of a disk, where partition tables live
	markBytes   = 4096
)

// aligned returns a buffer of n bytes that begins on a page, as direct access to a disk wants it.
func aligned(n int) []byte {
	const page = 4096
	b := make([]byte, n+page)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & (page - 1))
	return b[skip : skip+n : skip+n]
}

// zeros tells whether b holds zeros only.
func zeros(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	// A slice that equals itself moved by one holds one value throughout; the comparison runs at memory speed.
	return b[0] == 0 && bytes.Equal(b[1:], b[:len(b)-1])
}

// span is a part of a disk.
type span struct{ offset, length int64 }

// samples returns the parts of a disk that stand for the whole: everything on a small one,
// otherwise both ends and one place at random in each of 256 equal strata.
func samples(size int64) []span {
	if size <= wholeBelow {
		return []span{{0, size}}
	}
	parts := []span{{0, endBytes}}
	stratum := (size - 2*endBytes) / sampleCount
	for i := range int64(sampleCount) {
		at := endBytes + i*stratum + rand.Int64N(stratum-grainBytes)
		parts = append(parts, span{at &^ (markBytes - 1), grainBytes})
	}
	return append(parts, span{size - endBytes, endBytes})
}

// mark writes a pattern into each sample, so that an erase which does nothing is found out even on
// a disk that mostly held zeros before.
func mark(ctx context.Context, d Disk, parts []span) error {
	pattern := aligned(markBytes)
	for i := range pattern {
		pattern[i] = 0xa5
	}
	for _, p := range parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := d.WriteAt(pattern[:min(markBytes, p.length)], p.offset); err != nil {
			return fault.E(fault.Unavailable, "marking the disk", err)
		}
	}
	return d.Sync(ctx)
}

// readsZero returns an error when a sample holds anything but zeros.
func readsZero(ctx context.Context, d Disk, parts []span) error {
	buffer := aligned(blockBytes)
	for _, p := range parts {
		for done := int64(0); done < p.length; {
			if err := ctx.Err(); err != nil {
				return err
			}
			b := buffer[:min(int64(len(buffer)), p.length-done)]
			if _, err := d.ReadAt(b, p.offset+done); err != nil {
				return fault.E(fault.Unavailable, "reading the disk back", err)
			}
			if !zeros(b) {
				return fault.Errorf(fault.Unavailable, "the disk does not read as zeros near byte %d", p.offset+done)
			}
			done += int64(len(b))
		}
	}
	return nil
}

// overwrite writes zeros to a part of a disk; each is told how many bytes were written at a time.
func overwrite(ctx context.Context, d Disk, p span, each func(int64)) error {
	buffer := aligned(blockBytes)
	for done := int64(0); done < p.length; {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		b := buffer[:min(int64(len(buffer)), p.length-done)]
		if _, err := d.WriteAt(b, p.offset+done); err != nil {
			return fault.E(fault.Unavailable, "writing zeros", err)
		}
		done += int64(len(b))
		each(int64(len(b)))
	}
	return d.Sync(ctx)
}

// wipeEnds clears both ends of a disk, so that nothing boots from it and no tool finds a table.
func wipeEnds(ctx context.Context, d Disk) error {
	size := d.Info().Bytes
	n := min(int64(endBytes), size)
	for _, p := range []span{{0, n}, {size - n, n}} {
		if err := overwrite(ctx, d, p, func(int64) {}); err != nil {
			return fault.Wrap("wiping both ends of the disk", err)
		}
	}
	return nil
}
