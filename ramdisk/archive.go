package ramdisk

import (
	"bytes"
	"compress/gzip"
	"io"
	"maps"
	"path"
	"slices"

	"github.com/klauspost/compress/zstd"
	"github.com/u-root/u-root/pkg/cpio"

	"github.com/hagane-cloud/hagane/fault"
)

// File is a file of an Archive.
type File struct {
	Mode    uint64 // permissions
	Content []byte
	Link    string // target, for a symbolic link
}

// Archive is an initramfs being put together: path without leading slash → file. Folders come by
// themselves, and so do /dev/console and /dev/null, without which the first process has no output.
type Archive map[string]File

// Pack returns the archive in the kernel's format (cpio, newc), compressed with zstd or gzip. The same
// files give the same bytes: sorted, all times zero, all owned by root.
func (a Archive) Pack(compression string) ([]byte, error) {
	var out bytes.Buffer
	var to io.WriteCloser
	var err error
	switch compression {
	case "zstd":
		// One goroutine, since the split of the work shows in the bytes.
		to, err = zstd.NewWriter(&out, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1))
	case "gzip":
		to, err = gzip.NewWriterLevel(&out, gzip.BestCompression)
	default:
		err = fault.Errorf(fault.Invalid, "unknown compression %q", compression)
	}
	if err != nil {
		return nil, err
	}
	w := cpio.Newc.Writer(to)
	for _, r := range a.records() {
		if err := w.WriteRecord(cpio.MakeReproducible(r)); err != nil {
			return nil, fault.E(fault.Internal, "packing "+r.Name, err)
		}
	}
	if err := cpio.WriteTrailer(w); err != nil {
		return nil, fault.E(fault.Internal, "packing", err)
	}
	if err := to.Close(); err != nil {
		return nil, fault.E(fault.Internal, "compressing", err)
	}
	return out.Bytes(), nil
}

func (a Archive) records() []cpio.Record {
	all := map[string]cpio.Record{
		"dev/console": cpio.CharDev("dev/console", 0o600, 5, 1),
		"dev/null":    cpio.CharDev("dev/null", 0o666, 1, 3),
	}
	for _, mount := range []string{"proc", "sys", "run", "tmp"} {
		all[mount] = cpio.Directory(mount, 0o755)
	}
	for name, f := range a {
		if f.Link != "" {
			all[name] = cpio.Symlink(name, f.Link)
			continue
		}
		all[name] = cpio.StaticFile(name, string(f.Content), f.Mode)
	}
	for _, name := range slices.Collect(maps.Keys(all)) {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, ok := all[dir]; !ok {
				all[dir] = cpio.Directory(dir, 0o755)
			}
		}
	}
	var records []cpio.Record
	for _, name := range slices.Sorted(maps.Keys(all)) { // a folder sorts before what is in it
		records = append(records, all[name])
	}
	return records
}
