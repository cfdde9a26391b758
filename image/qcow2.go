package image

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"

	"github.com/lima-vm/go-qcow2reader"
	"github.com/lima-vm/go-qcow2reader/image/qcow2"

	"github.com/hagane-cloud/hagane/fault"
)

var qcow2Magic = []byte{'Q', 'F', 'I', 0xfb}

// Offsets in the header of qcow2, its incompatible features, and bounds.
// Source: QEMU's docs/interop/qcow2.txt; the bound of the L1 table is QEMU's (block/qcow2.h).
const (
	offsetVersion     = 4
	offsetBacking     = 8
	offsetClusterBits = 20
	offsetSize        = 24
	offsetCrypt       = 32
	offsetL1Size      = 36
	offsetL1Table     = 40
	offsetFeatures    = 72
	headerLength      = 104
	featureExternal   = 1 << 2 // data lie in another file
	featureKnownBits  = 1<<0 | 1<<1 | 1<<3
	leastClusterBits  = 9
	mostClusterBits   = 21
	mostL1Bytes       = 32 << 20
)

const flatten = "convert it (qemu-img convert -O qcow2)"

// safe checks the header of a qcow2 file of size bytes, before anything else reads it. It refuses what would make a reader
// touch anything but the file itself: a backing file or an external data file, by which an image could show us our own
// files. And it bounds the tables, so that a small file never makes us take much memory.
func safe(f io.ReaderAt, size int64) error {
	head := make([]byte, headerLength)
	if _, err := f.ReadAt(head, 0); err != nil {
		return fault.E(fault.Invalid, "the data are too short for a qcow2 image", err)
	}
	version := binary.BigEndian.Uint32(head[offsetVersion:])
	if !bytes.HasPrefix(head, qcow2Magic) || version < 2 || version > 3 {
		return fault.Field("disk_format", "the data are not a qcow2 image of version 2 or 3")
	}
	if binary.BigEndian.Uint64(head[offsetBacking:]) != 0 {
		return fault.Errorf(fault.Invalid, "the qcow2 image has a backing file, which is not allowed; %s", flatten)
	}
	if version == 3 {
		features := binary.BigEndian.Uint64(head[offsetFeatures:])
		if features&featureExternal != 0 {
			return fault.Errorf(fault.Invalid, "the qcow2 image keeps its data in another file, which is not allowed; %s", flatten)
		}
		if features&^featureKnownBits != 0 {
			return fault.Errorf(fault.Invalid, "the qcow2 image has features that are not known (%#x); %s", features, flatten)
		}
	}
	if binary.BigEndian.Uint32(head[offsetCrypt:]) != 0 {
		return fault.Errorf(fault.Invalid, "the qcow2 image is encrypted; decrypt it (qemu-img convert -O qcow2)")
	}
	return bounded(head, size)
}

// bounded checks the sizes that a header gives.
func bounded(head []byte, size int64) error {
	bits := binary.BigEndian.Uint32(head[offsetClusterBits:])
	if bits < leastClusterBits || bits > mostClusterBits {
		return fault.Errorf(fault.Invalid, "the qcow2 image has clusters of 2^%d bytes; 2^%d to 2^%d are possible", bits, leastClusterBits, mostClusterBits)
	}
	virtual := binary.BigEndian.Uint64(head[offsetSize:])
	switch {
	case virtual == 0:
		return fault.Errorf(fault.Invalid, "the qcow2 image holds an empty disk")
	case virtual > maxImage:
		return fault.Errorf(fault.TooLarge, "the qcow2 image holds a disk of more than %d bytes", int64(maxImage))
	}
	// An entry of the L1 table stands for a table of 8-byte entries that fills a cluster, an entry of which is a cluster.
	needed := (virtual-1)>>(2*bits-3) + 1
	entries, at := uint64(binary.BigEndian.Uint32(head[offsetL1Size:])), binary.BigEndian.Uint64(head[offsetL1Table:])
	if entries < needed || entries*8 > mostL1Bytes || at < 1<<bits || at > uint64(size) || at+entries*8 > uint64(size) {
		return fault.Errorf(fault.Invalid, "the tables of the qcow2 image do not fit its disk or its file; %s", flatten)
	}
	return nil
}

// Clusters of a qcow2 can share compressed data, so that a small file fills a disk. No real image grows like that.
const (
	mostGrowth  = 100
	leastGrowth = 64 << 20
)

// growing ends the data with a fault when more of them are not zero than real images have. Zeros take no room.
type growing struct {
	io.Reader
	left int64
}

// Read reads on.
func (g *growing) Read(p []byte) (int, error) {
	n, err := g.Reader.Read(p)
	if len(bytes.TrimLeft(p[:n], "\x00")) > 0 {
		g.left -= int64(n)
	}
	if g.left < 0 {
		return n, fault.Errorf(fault.TooLarge, "the qcow2 image holds more than %d times its own size; use raw", mostGrowth)
	}
	return n, err
}

// convert writes the raw data of a qcow2 file to a file of their own, and returns that, their SHA-512 and size.
func (s *Service) convert(ctx context.Context, path string) (raw, sum string, size int64, err error) {
	select { // it takes a processor for as long as the disk is large
	case s.converting <- struct{}{}:
		defer func() { <-s.converting }()
	case <-ctx.Done():
		return "", "", 0, fault.E(fault.Unavailable, "waiting to convert the image", ctx.Err())
	}
	f, err := os.Open(path)
	if err != nil {
		return "", "", 0, fault.E(fault.Internal, "opening the upload", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return "", "", 0, fault.E(fault.Internal, "opening the upload", err)
	}
	data, err := disk(f, info.Size())
	if err != nil {
		return "", "", 0, err
	}
	h := sha512.New()
	raw, size, err = s.spool(ctx, data, maxImage, h)
	return raw, hex.EncodeToString(h.Sum(nil)), size, fault.Wrap("converting the qcow2 image", err)
}

// file is what a disk is read from. It has no name: a name would let the reader look for other files.
type file struct{ io.ReaderAt }

// disk reads the disk that a qcow2 file of size bytes holds.
func disk(f io.ReaderAt, size int64) (io.Reader, error) {
	if err := safe(f, size); err != nil {
		return nil, err
	}
	img, err := qcow2reader.OpenWithType(file{f}, qcow2.Type)
	if err != nil {
		return nil, fault.E(fault.Invalid, "the qcow2 image can not be read", err)
	}
	if err := img.Readable(); err != nil {
		return nil, fault.E(fault.Invalid, "the qcow2 image can not be read", err)
	}
	return &growing{io.NewSectionReader(img, 0, img.Size()), max(size*mostGrowth, leastGrowth)}, nil
}
