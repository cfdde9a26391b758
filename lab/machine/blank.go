package machine

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hagane-cloud/hagane/fault"
)

const blankChunk = 1 << 20

// BlankFile reads a raw image file and tells whether it is zeros throughout. It reads only what the file
// system has stored: holes are zeros by definition.
func BlankFile(ctx context.Context, path string) (Blankness, error) {
	f, err := os.Open(path)
	if err != nil {
		return Blankness{}, fault.E(fault.Internal, "open the disk", err)
	}
	defer func() { _ = f.Close() }()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return Blankness{}, fault.E(fault.Internal, "look at the disk", err)
	}
	b := Blankness{Bytes: st.Size, Allocated: st.Blocks * 512, FirstData: -1}
	for at := int64(0); at < st.Size && b.FirstData < 0; {
		from, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // a hole to the end
			break
		}
		if err != nil {
			return b, fault.E(fault.Internal, "find data on the disk", err)
		}
		to, err := unix.Seek(int(f.Fd()), from, unix.SEEK_HOLE)
		if err != nil {
			return b, fault.E(fault.Internal, "find a hole on the disk", err)
		}
		b.FirstData, err = firstData(ctx, f, from, to)
		if err != nil {
			return b, err
		}
		at = to
	}
	b.Blank = b.FirstData < 0
	return b, nil
}

// firstData returns the offset of the first byte between from and to that is not zero, or -1.
func firstData(ctx context.Context, r io.ReaderAt, from, to int64) (int64, error) {
	buf := make([]byte, blankChunk)
	for at := from; at < to; {
		if err := ctx.Err(); err != nil {
			return -1, fault.E(fault.Unavailable, "read the disk", err)
		}
		n, err := r.ReadAt(buf[:min(int64(len(buf)), to-at)], at)
		for i, c := range buf[:n] {
			if c != 0 {
				return at + int64(i), nil
			}
		}
		at += int64(n)
		if err != nil && !errors.Is(err, io.EOF) {
			return -1, fault.E(fault.Internal, "read the disk", err)
		}
		if n == 0 {
			break
		}
	}
	return -1, nil
}
