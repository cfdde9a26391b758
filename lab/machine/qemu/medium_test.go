package qemu_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/machine/machinetest"
)

// TestBootsFromCDOnce starts a program from an image that is fetched by HTTP; the image is changed and taken out while
// the machine runs, and the next boot is from elsewhere.
func TestBootsFromCDOnce(t *testing.T) {
	_, m := rig(t, machine.BIOS, machine.Virtio)
	dir := t.TempDir()
	for _, name := range []string{"one", "two"} {
		image := machinetest.ISO(map[string][]byte{"readme": []byte(name)}, machinetest.BootCode("the CD "+name+" has booted\r\n"))
		if err := os.WriteFile(filepath.Join(dir, name+".iso"), image, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files := httptest.NewServer(http.FileServerFS(os.DirFS(dir)))
	defer files.Close()
	says := func(text string) bool {
		console, _ := os.ReadFile(m.Status().Console)
		return strings.Contains(string(console), text)
	}
	start := func(medium string) {
		t.Helper()
		if err := m.SetMedium(t.Context(), medium); err != nil {
			t.Fatal(err)
		}
		if err := m.SetBoot(t.Context(), machine.Boot{Device: machine.CDROM}); err != nil {
			t.Fatal(err)
		}
		if err := m.Power(t.Context(), machine.Reset); err != nil {
			t.Fatal(err)
		}
	}
	start(files.URL + "/one.iso")
	machinetest.Until(t, 2*time.Minute, "the first CD to boot", func() bool { return says("the CD one has booted") })
	if st := m.Status(); st.Boot.Device != machine.None || st.BootedFrom != machine.CDROM {
		t.Errorf("%+v", st)
	}
	if err := m.SetMedium(t.Context(), ""); err != nil { // while it runs
		t.Errorf("take the CD out: %v", err)
	}
	if err := m.SetMedium(t.Context(), files.URL+"/two.iso"); err != nil {
		t.Errorf("change the CD: %v", err)
	}
	start(files.URL + "/two.iso")
	machinetest.Until(t, 2*time.Minute, "the second CD to boot", func() bool { return says("the CD two has booted") })
}
