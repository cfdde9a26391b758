package configdrive

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/fault"
)

func sample() Drive {
	return Drive{
		"openstack/latest/meta_data.json":    []byte(`{"uuid":"7c1f0e5e","hostname":"kaji"}`),
		"openstack/latest/network_data.json": []byte(`{"links":[]}`),
		"openstack/latest/user_data":         bytes.Repeat([]byte("#!/bin/sh\n"), 5000),
		"openstack/latest/vendor_data2.json": nil,
		"openstack/2018-08-27/meta_data.json": []byte(`{"uuid":"7c1f0e5e","hostname":"kaji","a-rather-long":
			"content"}`),
		"ec2/latest/メタ-data with a long name.json": []byte("x"),
	}
}

func same(t *testing.T, got, want Drive) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d files %v, want %d", len(got), got.Paths(), len(want))
	}
	for p, content := range want {
		if !bytes.Equal(got[p], content) {
			t.Errorf("%s holds %d bytes, want %d", p, len(got[p]), len(content))
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for _, sector := range []int{0, 512, 4096} {
		image, err := Build(sample(), sector)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := Build(sample(), sector)
		if !bytes.Equal(image, again) {
			t.Error("the same content gave different bytes")
		}
		got, err := Read(bytes.NewReader(image))
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, sample())
	}
}

func TestManyAndLarge(t *testing.T) {
	d := Drive{"large": bytes.Repeat([]byte{7}, 40<<20)}
	for i := range 300 {
		d["folder/"+strings.Repeat("n", i%40)+string(rune('a'+i%26))+"-"+strings.Repeat("z", i/26)] = []byte{byte(i)}
	}
	image, err := Build(d, 512)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Read(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, d)
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		drive Drive
		kind  fault.Kind
	}{
		"absolute":     {Drive{"/etc/passwd": nil}, fault.Invalid},
		"above":        {Drive{"../x": nil}, fault.Invalid},
		"file is dir":  {Drive{"a": nil, "a/b": nil}, fault.Invalid},
		"odd name":     {Drive{"a/b?c": nil}, fault.Invalid},
		"far too much": {Drive{"a": make([]byte, MaxBytes+1)}, fault.TooLarge},
		"just too big": {Drive{"a": make([]byte, MaxBytes)}, fault.TooLarge},
	} {
		if _, err := Build(c.drive, 512); !fault.Is(err, c.kind) {
			t.Errorf("%s: %v, want %v", name, err, c.kind)
		}
	}
}

func TestReadForeign(t *testing.T) {
	if _, err := Read(bytes.NewReader(make([]byte, 1<<20))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("zeros: %v", err)
	}
	image, _ := Build(sample(), 512)
	copy(image[43:], "SOMETHING  ")
	if _, err := Read(bytes.NewReader(image)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another label: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	image, _ := Build(Drive{"a/b": []byte("c")}, 512)
	f.Add(image[:64<<10])
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = Read(bytes.NewReader(b)) })
}

// TestForeignTools has mtools and dosfstools, where there are any, read what we wrote.
func TestForeignTools(t *testing.T) {
	for _, tool := range []string{"mcopy", "mlabel", "fsck.vfat"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s (packages mtools and dosfstools)", tool)
		}
	}
	for _, sector := range []int{512, 4096} {
		dir := t.TempDir()
		file := filepath.Join(dir, "drive.img")
		image, err := Build(sample(), sector)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, image, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("fsck.vfat", "-n", file).CombinedOutput(); err != nil {
			t.Errorf("fsck.vfat with %d-byte sectors: %v\n%s", sector, err, out)
		}
		out, err := exec.Command("mlabel", "-s", "-i", file, "::").CombinedOutput()
		if err != nil || !strings.Contains(string(out), Label) {
			t.Errorf("mlabel: %v, %s", err, out)
		}
		got := filepath.Join(dir, "got")
		if out, err := exec.Command("mcopy", "-i", file, "::openstack/latest/user_data", got).CombinedOutput(); err != nil {
			t.Fatalf("mcopy: %v\n%s", err, out)
		}
		b, _ := os.ReadFile(got)
		if !bytes.Equal(b, sample()["openstack/latest/user_data"]) {
			t.Error("mcopy read something else than what was written")
		}
	}
}
