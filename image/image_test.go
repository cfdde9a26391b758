package image_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
)

func newService(t *testing.T) (*image.Service, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := image.NewService(image.Options{DB: dbtest.SQLite(t), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func create(t *testing.T, s *image.Service, format string) image.Image {
	t.Helper()
	i, err := s.Create(t.Context(), "p", image.Image{Name: "i", Owner: "p", DiskFormat: format, ContainerFormat: "bare", Visibility: image.Private})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// files counts what is kept on disk.
func files(t *testing.T, dir string) int {
	t.Helper()
	n := 0
	for _, sub := range []string{"data", "uploads"} {
		found, err := filepath.Glob(filepath.Join(dir, sub, "*"))
		if err != nil {
			t.Fatal(err)
		}
		n += len(found)
	}
	return n
}

func sample() []byte {
	b := make([]byte, 3<<20)
	copy(b[1<<20:], bytes.Repeat([]byte("hagane"), 1000))
	return b
}

func TestUploadAndDownload(t *testing.T) {
	s, dir := newService(t)
	i, data := create(t, s, "raw"), sample()
	if err := s.Upload(t.Context(), "p", i.ID, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	got, err := s.Get(t.Context(), "p", i.ID)
	if err != nil {
		t.Fatal(err)
	}
	md, sum := md5.Sum(data), sha512.Sum512(data)
	if got.Status != image.Active || got.Checksum != hex.EncodeToString(md[:]) || got.SHA512 != hex.EncodeToString(sum[:]) || got.RawSize != int64(len(data)) {
		t.Errorf("the record is %+v", got)
	}
	f, err := s.Data("p", got)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	back, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(back, data) {
		t.Errorf("the download differs (%v)", err)
	}
	if err := s.Upload(t.Context(), "p", got.ID, bytes.NewReader(data)); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second upload: %v, want a conflict", err)
	}
	if _, err := s.Get(t.Context(), "another project", i.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("another project's look: %v, want not found", err)
	}
	same := create(t, s, "raw")
	if err := s.Upload(t.Context(), "p", same.ID, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if n := files(t, dir); n != 1 {
		t.Errorf("equal data are kept in %d files, want 1", n)
	}
	if err := s.Delete(t.Context(), "p", got.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Raw(t.Context(), same.ID); err != nil {
		t.Errorf("deleting one image took the other's data: %v", err)
	}
	same, err = s.Get(t.Context(), "", same.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "p", same.ID); err != nil {
		t.Fatal(err)
	}
	if n := files(t, dir); n != 0 {
		t.Errorf("%d files are left behind", n)
	}
}

type broken struct{ r io.Reader }

var errCut = errors.New("the connection was cut")

func (b broken) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if errors.Is(err, io.EOF) {
		err = errCut
	}
	return n, err
}

func TestHalfUploadIsNeverVisible(t *testing.T) {
	s, dir := newService(t)
	i := create(t, s, "raw")
	if err := s.Upload(t.Context(), "p", i.ID, broken{bytes.NewReader(sample())}); !errors.Is(err, errCut) {
		t.Fatalf("a cut upload: %v", err)
	}
	got, err := s.Get(t.Context(), "", i.ID)
	if err != nil || got.Status != image.Queued || files(t, dir) != 0 {
		t.Errorf("after a cut upload the image is %s (%v) and %d files are left", got.Status, err, files(t, dir))
	}
	if err := s.Upload(t.Context(), "p", got.ID, bytes.NewReader(sample())); err != nil {
		t.Errorf("the upload can not be repeated: %v", err)
	}
}

// qcow2 makes a header of version 3.
func qcow2(change func(h []byte)) []byte {
	h := make([]byte, 64<<10)
	copy(h, "QFI\xfb")
	binary.BigEndian.PutUint32(h[4:], 3)
	binary.BigEndian.PutUint32(h[20:], 16)
	binary.BigEndian.PutUint64(h[24:], 1<<20)
	binary.BigEndian.PutUint32(h[100:], 104)
	change(h)
	return h
}

func TestDangerousQcow2(t *testing.T) {
	s, dir := newService(t)
	for name, data := range map[string][]byte{
		"backing file":    qcow2(func(h []byte) { binary.BigEndian.PutUint64(h[8:], 512); copy(h[512:], "/etc/passwd") }),
		"external data":   qcow2(func(h []byte) { binary.BigEndian.PutUint64(h[72:], 1<<2) }),
		"unknown feature": qcow2(func(h []byte) { binary.BigEndian.PutUint64(h[72:], 1<<40) }),
		"cut short":       []byte("QFI\xfb\x00\x00\x00\x03"),
		"no qcow2":        sample(),
	} {
		if err := s.Upload(t.Context(), "p", create(t, s, "qcow2").ID, bytes.NewReader(data)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	if err := s.Upload(t.Context(), "p", create(t, s, "raw").ID, bytes.NewReader(qcow2(func([]byte) {}))); !fault.Is(err, fault.Invalid) {
		t.Errorf("qcow2 given as raw: %v, want invalid", err)
	}
	if n := files(t, dir); n != 0 {
		t.Errorf("%d files are left behind", n)
	}
}

// TestQcow2 converts an image that QEMU's own tool made.
func TestQcow2(t *testing.T) {
	tool, err := exec.LookPath("qemu-img")
	if err != nil {
		t.Skip("qemu-img is not installed (Debian: apt-get install qemu-utils)")
	}
	raw := filepath.Join(t.TempDir(), "raw")
	if err := os.WriteFile(raw, sample(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, opts := range [][]string{nil, {"-c"}, {"-o", "compat=0.10"}} {
		q := raw + ".qcow2"
		if out, err := exec.Command(tool, append(append([]string{"convert", "-O", "qcow2"}, opts...), raw, q)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		s, _ := newService(t)
		i := create(t, s, "qcow2")
		f, err := os.Open(q)
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(s.Upload(t.Context(), "p", i.ID, f), f.Close())
		if err != nil {
			t.Fatalf("%v: %v", opts, err)
		}
		r, size, err := s.Raw(t.Context(), i.ID)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil || size != int64(len(got)) || !bytes.Equal(got, sample()) {
			t.Errorf("%v: the raw data differ (%v)", opts, err)
		}
	}
}
