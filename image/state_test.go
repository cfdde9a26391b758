package image_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
)

// TestStates goes through what may be done to an image in which state.
func TestStates(t *testing.T) {
	s := serviceOn(t, dbtest.SQLite(t), nil)
	i := made(t, s, func(i *image.Image) { i.DiskFormat = "" })
	refused(t, "data without a format", s.Upload(t.Context(), "p", i.ID, bytes.NewReader(sample())), fault.Invalid)
	set := func(what string, kind fault.Kind, fn func(*image.Image)) {
		t.Helper()
		_, err := s.Update(t.Context(), "p", i.ID, func(i *image.Image) error { fn(i); return nil })
		if kind == 0 && err != nil {
			t.Errorf("%s: %v", what, err)
		} else if kind != 0 {
			refused(t, what, err, kind)
		}
	}
	set("a format", 0, func(i *image.Image) { i.DiskFormat = "raw" })
	set("an unknown format", fault.Invalid, func(i *image.Image) { i.DiskFormat = "floppy" })
	set("a property of ours", fault.Denied, func(i *image.Image) { i.Properties["os_glance_failed_import"] = "x" })
	set("a name with a zero byte", fault.Invalid, func(i *image.Image) { i.Name = "a\x00b" })
	refused(t, "deactivating what has no data", s.Activate(t.Context(), "p", i.ID, false), fault.Denied)
	if err := s.Upload(t.Context(), "p", i.ID, bytes.NewReader(sample())); err != nil {
		t.Fatal(err)
	}
	empty, err := s.Create(t.Context(), "p", image.Image{Owner: "p", Name: "empty", Visibility: image.Private, DiskFormat: "raw", ContainerFormat: "bare"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Upload(t.Context(), "p", empty.ID, bytes.NewReader(nil)); err != nil {
		t.Fatalf("data of no bytes: %v", err)
	}
	if empty, err = s.Get(t.Context(), "p", empty.ID); err != nil || empty.Status != image.Active || empty.Size != 0 {
		t.Errorf("an image of no bytes is %s with %d, %v", empty.Status, empty.Size, err)
	}
	refused(t, "deploying no bytes", s.Usable(empty), fault.Conflict)
	set("another format of data that are there", fault.Denied, func(i *image.Image) { i.DiskFormat = "iso" })
	for range 2 { // twice is as good as once
		if err := s.Activate(t.Context(), "p", i.ID, false); err != nil {
			t.Fatal(err)
		}
	}
	off, err := s.Get(t.Context(), "p", i.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Data("p", off)
	refused(t, "the data of a deactivated image", err, fault.Denied)
	f, err := s.Data("", off)
	if err != nil {
		t.Fatalf("an operator's look at a deactivated image: %v", err)
	}
	_ = f.Close()
	refused(t, "deploying a deactivated image", s.Usable(off), fault.Conflict)
	_, _, err = s.Raw(t.Context(), i.ID)
	refused(t, "writing a deactivated image", err, fault.Conflict)
	if err := s.Activate(t.Context(), "p", i.ID, true); err != nil {
		t.Fatal(err)
	}
	set("protection", 0, func(i *image.Image) { i.Protected = true })
	refused(t, "deleting a protected image", s.Delete(t.Context(), "p", i.ID), fault.Denied)
}

// TestKeptOnly keeps formats that no disk is written from, and says so.
func TestKeptOnly(t *testing.T) {
	s := serviceOn(t, dbtest.SQLite(t), nil)
	for format, data := range map[string][]byte{"vmdk": append([]byte("KDMV"), sample()...), "vhdx": append([]byte("vhdxfile"), sample()...), "iso": sample()} {
		i := made(t, s, func(i *image.Image) { i.DiskFormat = format })
		if err := s.Upload(t.Context(), "p", i.ID, bytes.NewReader(data)); err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		got, err := s.Get(t.Context(), "p", i.ID)
		if err != nil {
			t.Fatal(err)
		}
		refused(t, "deploying "+format, s.Usable(got), fault.Invalid)
		if format != "iso" {
			raw := made(t, s, nil)
			refused(t, format+" given as raw", s.Upload(t.Context(), "p", raw.ID, bytes.NewReader(data)), fault.Invalid)
		}
		if err := s.Delete(t.Context(), "p", i.ID); err != nil {
			t.Error(err)
		}
	}
	ova := made(t, s, func(i *image.Image) { i.ContainerFormat = "ova" })
	if err := s.Upload(t.Context(), "p", ova.ID, bytes.NewReader(sample())); err != nil {
		t.Fatal(err)
	}
	got, err := s.Get(t.Context(), "p", ova.ID)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, "deploying what is in a container", s.Usable(got), fault.Invalid)
}

// hung is a body whose connection was cut, as HTTP tells it.
type hung struct{ io.Reader }

func (h hung) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// TestCutConnection loses the client in the middle of its data, as HTTP tells that.
func TestCutConnection(t *testing.T) {
	s := serviceOn(t, dbtest.SQLite(t), nil)
	i := made(t, s, nil)
	refused(t, "half of the data", s.Upload(t.Context(), "p", i.ID, hung{bytes.NewReader(sample()[:1000])}), fault.Invalid)
	if got, err := s.Get(t.Context(), "p", i.ID); err != nil || got.Status != image.Queued {
		t.Errorf("the image is %s (%v)", got.Status, err)
	}
}

// TestTablesOfQcow2 uploads headers that would make a careless reader take memory or time.
func TestTablesOfQcow2(t *testing.T) {
	s, dir := newService(t)
	for name, change := range map[string]func(h []byte){
		"a huge L1 table":   func(h []byte) { binary.BigEndian.PutUint32(h[36:], 1<<31) },
		"a table outside":   func(h []byte) { binary.BigEndian.PutUint64(h[40:], 1<<40) },
		"a table too small": func(h []byte) { binary.BigEndian.PutUint64(h[24:], 1<<39) },
		"tiny clusters":     func(h []byte) { binary.BigEndian.PutUint32(h[20:], 3) },
		"huge clusters":     func(h []byte) { binary.BigEndian.PutUint32(h[20:], 63) },
		"no disk":           func(h []byte) { binary.BigEndian.PutUint64(h[24:], 0) },
		"encryption":        func(h []byte) { binary.BigEndian.PutUint32(h[32:], 1) },
	} {
		data := append(qcow2(change), make([]byte, 128<<10)...)
		refused(t, name, s.Upload(t.Context(), "p", create(t, s, "qcow2").ID, bytes.NewReader(data)), fault.Invalid)
	}
	over := append(qcow2(func(h []byte) { binary.BigEndian.PutUint64(h[24:], 1<<50) }), make([]byte, 128<<10)...)
	refused(t, "a disk of a petabyte", s.Upload(t.Context(), "p", create(t, s, "qcow2").ID, bytes.NewReader(over)), fault.TooLarge)
	refused(t, "clusters that share their data", s.Upload(t.Context(), "p", create(t, s, "qcow2").ID, bytes.NewReader(bomb())), fault.TooLarge)
	if n := files(t, dir); n != 0 {
		t.Errorf("%d files are left behind", n)
	}
}

// bomb is a qcow2 of some 200 KiB whose 8192 clusters, half a GiB, are all the same one.
func bomb() []byte {
	const cluster = 64 << 10
	b := make([]byte, 4*cluster)
	copy(b, qcow2(func(h []byte) {
		binary.BigEndian.PutUint64(h[24:], 8192*cluster)
		binary.BigEndian.PutUint32(h[36:], 1)
		binary.BigEndian.PutUint64(h[40:], cluster)
	}))
	binary.BigEndian.PutUint64(b[cluster:], 2*cluster)
	for i := range cluster / 8 {
		binary.BigEndian.PutUint64(b[2*cluster+8*i:], 3*cluster)
	}
	copy(b[3*cluster:], bytes.Repeat([]byte("x"), cluster))
	return b
}
