package image

import (
	"context"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"

	"github.com/lima-vm/go-qcow2reader"

	"github.com/hagane-cloud/hagane/fault"
)

var qcow2Magic = []byte{'Q', 'F', 'I', 0xfb}

// Offsets in the header of qcow2, and its incompatible features.
// Source: QEMU's docs/interop/qcow2.txt.
const (
	offsetVersion    = 4
	offsetBacking    = 8
	offsetFeatures   = 72
	headerLength     = 104
	featureExternal  = 1 << 2 // data lie in another file
	featureKnownBits = 1<<0 | 1<<1 | 1<<3
)

// safe refuses what would make a reader touch anything but the file itself: a backing file or an
// external data file, by which an image could show us our own files.
func safe(f io.ReaderAt) error {
	head := make([]byte, headerLength)
	if _, err := f.ReadAt(head, 0); err != nil {
		return fault.E(fault.Invalid, "the data are too short for a qcow2 image", err)
	}
	version := binary.BigEndian.Uint32(head[offsetVersion:])
	if string(head[:4]) != string(qcow2Magic) || version < 2 || version > 3 {
		return fault.Field("disk_format", "the data are not a qcow2 image of version 2 or 3")
	}
	if binary.BigEndian.Uint64(head[offsetBacking:]) != 0 {
		return fault.Errorf(fault.Invalid, "the qcow2 image has a backing file, which is not allowed; flatten it (qemu-img convert -O qcow2)")
	}
	if version == 3 {
		features := binary.BigEndian.Uint64(head[offsetFeatures:])
		if features&featureExternal != 0 {
			return fault.Errorf(fault.Invalid, "the qcow2 image keeps its data in another file, which is not allowed; flatten it (qemu-img convert -O qcow2)")
		}
		if features&^featureKnownBits != 0 {
			return fault.Errorf(fault.Invalid, "the qcow2 image has features that are not known (%#x); convert it (qemu-img convert -O qcow2)", features)
		}
	}
	return nil
}

// convert makes the raw data of a qcow2 file and returns their SHA-512 and size.
func (s *Service) convert(ctx context.Context, path string) (string, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, fault.E(fault.Internal, "opening the upload", err)
	}
	defer func() { _ = f.Close() }()
	if err := safe(f); err != nil {
		return "", 0, err
	}
	img, err := qcow2reader.Open(f)
	if err != nil {
		return "", 0, fault.E(fault.Invalid, "the qcow2 image can not be read", err)
	}
	defer func() { _ = img.Close() }()
	if img.Size() > maxImage {
		return "", 0, fault.Errorf(fault.TooLarge, "the image holds a disk larger than %d bytes", int64(maxImage))
	}
	sum := sha512.New()
	raw, size, err := s.spool(ctx, io.NewSectionReader(img, 0, img.Size()), sum)
	if err != nil {
		return "", 0, fault.Wrap("converting the qcow2 image", err)
	}
	hexSum := hex.EncodeToString(sum.Sum(nil))
	return hexSum, size, s.keep(raw, hexSum)
}
