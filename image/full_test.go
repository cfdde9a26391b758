package image_test

import (
	"crypto/rand"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
)

// TestFullDisk uploads to a file system that has no room: the upload fails with words about it, nothing is
// left, and it can be repeated.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a small file system can not be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	s, err := image.NewService(image.Options{DB: dbtest.SQLite(t), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	i := create(t, s, "raw")
	err = s.Upload(t.Context(), "", i.ID, io.LimitReader(rand.Reader, 3<<20))
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(fault.Message(err), "full") {
		t.Errorf("an upload to a full disk: %v", err)
	}
	got, err := s.Get(t.Context(), "", i.ID)
	if err != nil || got.Status != image.Queued || files(t, dir) != 0 {
		t.Errorf("the image is %s (%v), %d files are left", got.Status, err, files(t, dir))
	}
	if err := s.Upload(t.Context(), "", got.ID, io.LimitReader(rand.Reader, 100<<10)); err != nil {
		t.Errorf("a smaller upload: %v", err)
	}
}
