package disc

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

// Shelf is where a ramdisk's image stands: the folder of the ramdisk.
type Shelf struct {
	dir, kernel, initramfs string

	mu      sync.Mutex
	checked stamp // of the ramdisk that the image was last seen to be of
}

// stamp tells two states of the ramdisk's files apart without reading them.
type stamp struct {
	kernelSize, initramfsSize int64
	kernelAt, initramfsAt     time.Time
}

// NewShelf makes a shelf for the ramdisk in dir with files of these names.
func NewShelf(dir, kernel, initramfs string) *Shelf {
	return &Shelf{dir: dir, kernel: kernel, initramfs: initramfs}
}

// Open returns the image with the kernel's command line in it; it is made first when it is missing or of another ramdisk.
// Its faults are Invalid (a command line that has no room, or characters that a boot loader takes for its own) and
// Unavailable (there is no ramdisk, or no boot loader on this machine).
func (s *Shelf) Open(ctx context.Context, line string) (io.ReadSeekCloser, error) {
	if err := checkLine(line); err != nil {
		return nil, err
	}
	if err := s.Ready(ctx); err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(s.dir, FileName))
	if err != nil {
		return nil, fault.E(fault.Unavailable, "opening the agent's CD", err)
	}
	n, err := noteOf(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fault.E(fault.Internal, "opening the agent's CD", err), f.Close())
	}
	told := &told{File: f, line: line, places: n.Places}
	return struct {
		*io.SectionReader
		io.Closer
	}{io.NewSectionReader(told, 0, info.Size()), f}, nil
}

// Ready sees to it that the image is there and that of the ramdisk, with Open's faults. The files are read only when they have changed.
func (s *Shelf) Ready(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var now stamp
	for _, f := range []struct {
		name string
		size *int64
		at   *time.Time
	}{{s.kernel, &now.kernelSize, &now.kernelAt}, {s.initramfs, &now.initramfsSize, &now.initramfsAt}} {
		info, err := os.Stat(filepath.Join(s.dir, f.name))
		if err != nil {
			return fault.E(fault.Unavailable, "there is no ramdisk in "+s.dir+": build one with 'hagane ramdisk build'", err)
		}
		*f.size, *f.at = info.Size(), info.ModTime()
	}
	if _, err := os.Stat(filepath.Join(s.dir, FileName)); err == nil && now == s.checked {
		return nil
	}
	if err := Build(ctx, s.dir, s.kernel, s.initramfs); err != nil {
		return err
	}
	s.checked = now
	return nil
}

// checkLine refuses what would not reach the kernel as it stands.
func checkLine(line string) error {
	if len(line) > room {
		return fault.Errorf(fault.Invalid, "the agent's command line has %d characters; %d are possible", len(line), room)
	}
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 =:/.,_@%+-"
	if i := strings.IndexFunc(line, func(r rune) bool { return !strings.ContainsRune(plain, r) }); i >= 0 {
		return fault.Errorf(fault.Invalid, "the agent's command line has the character %q, which boot loaders would not pass on", line[i:i+1])
	}
	return nil
}

// told is an image in which a node is told something.
type told struct {
	*os.File
	line   string
	places []place
}

// ReadAt reads the image and puts the command line in its places.
func (t *told) ReadAt(b []byte, at int64) (int, error) {
	n, err := t.File.ReadAt(b, at)
	for _, p := range t.places {
		from, to := max(p.At, at), min(p.At+int64(len(t.line)), at+int64(n))
		if from < to {
			copy(b[from-at:to-at], t.line[from-p.At:])
		}
	}
	return n, err
}
