package iso

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/hagane-cloud/hagane/fault"
)

// images are what genisoimage 1.1.11 and xorriso 1.5.4 made of the same folder: with Rock Ridge and Joliet as Ironic's client has
// them do, with one of the two, and with neither.
func images(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.iso.gz")
	if err != nil || len(paths) != 5 {
		t.Fatalf("%v, %v", paths, err)
	}
	out := map[string][]byte{}
	for _, p := range paths {
		raw, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if out[filepath.Base(p)], err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestRead reads what usual programs write.
func TestRead(t *testing.T) {
	for name, image := range images(t) {
		files, err := Read(image, 1<<20)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for path, want := range map[string]string{"openstack/latest/meta_data.json": `{"uuid": "0b", "role": "made by genisoimage"}`, "openstack/content/0000": "contents",
			"openstack/latest/user_data": "#!/bin/sh\necho hello\n", "ec2/latest/A_Long.Name.With.Dots.and-more-than-31-characters.json": "{}\n"} {
			if name == "plain.iso.gz" && path[0] == 'e' {
				continue // its name is cut
			}
			if string(files[path]) != want {
				t.Errorf("%s: %s has %q, want %q", name, path, files[path], want)
			}
		}
		if len(files) != 5 {
			t.Errorf("%s: %d files", name, len(files))
		}
		if _, err := Read(image, 60); !fault.Is(err, fault.TooLarge) {
			t.Errorf("%s: more than is taken: %v", name, err)
		}
	}
	for _, bad := range [][]byte{nil, []byte("x"), make([]byte, 100<<10)} {
		if _, err := Read(bad, 100); !fault.Is(err, fault.Invalid) {
			t.Errorf("%d bytes of nothing: %v", len(bad), err)
		}
	}
}

// FuzzRead spoils images in one place: whatever is read of them has bounds.
func FuzzRead(f *testing.F) {
	all := images(f)
	f.Add("rockridge.iso.gz", 0x8000+156+10, []byte{0xff, 0xff})
	f.Add("joliet.iso.gz", 0x8800, []byte{255})
	f.Add("xorriso.iso.gz", 0x9000, []byte("CD001"))
	f.Fuzz(func(t *testing.T, name string, at int, with []byte) {
		image, ok := all[name]
		if !ok || at < 0 || at > len(image) {
			return
		}
		image = bytes.Clone(image)
		copy(image[at:], with)
		files, err := Read(image, 1000)
		if k := fault.KindOf(err); err != nil && k != fault.Invalid && k != fault.TooLarge {
			t.Errorf("%v", err)
		}
		total := 0
		for _, data := range files {
			total += len(data)
		}
		if total > 1000 || len(files) > mostFiles {
			t.Errorf("%d files with %d bytes", len(files), total)
		}
	})
}
