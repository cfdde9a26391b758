package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/demo"
	"github.com/hagane-cloud/hagane/lab"
	"github.com/hagane-cloud/hagane/osimage"
	"github.com/hagane-cloud/hagane/ramdisk"
)

// playDemo plays the demo with this program as hagane, and returns what it printed.
func playDemo(t *testing.T, o demo.Options) string {
	t.Helper()
	var out bytes.Buffer
	var err error
	if o.Program, err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	o.Nodes, o.Seed, o.Out, o.Data = 2, 1, &out, filepath.Join(t.TempDir(), "data")
	if o.Ramdisk == "" {
		o.Ramdisk = filepath.Join(o.Data, "boot")
	}
	if err := demo.Run(t.Context(), o); err != nil {
		for _, name := range []string{"cloud.log", "lab.log"} {
			if raw, readErr := os.ReadFile(filepath.Join(o.Data, name)); readErr == nil {
				t.Logf("%s:\n%s", name, raw)
			}
		}
		t.Fatalf("%v\n%s", err, &out)
	}
	return out.String()
}

// TestDemoSim is make demo MACHINE=sim.
func TestDemoSim(t *testing.T) {
	t.Parallel()
	out := playDemo(t, demo.Options{Machine: lab.Sim, OS: "sim", User: "hagane", Disks: 3})
	for _, want := range []string{"read back a RAID 1 of 2 disks", "disk 2 reads as zeros", "SSH with the tenant's key says: host name web-1", "reads as zeros", "pass the hand-over gate", "Summary"} {
		if !strings.Contains(out, want) {
			t.Errorf("the demo did not say %q:\n%s", want, out)
		}
	}
}

// TestDemoQEMU is make demo: real firmware, the real ramdisk and a real operating system, in UEFI by
// Redfish on one machine and in BIOS by IPMI on the other. Three disks of each become a RAID.
func TestDemoQEMU(t *testing.T) {
	if testing.Short() {
		t.Skip("some minutes long")
	}
	t.Parallel()
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("QEMU is not installed (Debian: apt-get install qemu-system-x86)")
	}
	cache := "../../.cache"
	if _, err := ramdisk.Read(filepath.Join(cache, "ramdisk-cloud")); err != nil {
		t.Skip(err)
	}
	m, err := osimage.Read(filepath.Join(cache, "image-tiny"))
	if err != nil {
		t.Skip(err)
	}
	o := demo.Options{Machine: lab.QEMU, OS: "tiny", Disks: 4, User: m.User, Image: filepath.Join(cache, "image-tiny", m.Raw)}
	if o.Ramdisk, err = filepath.Abs(filepath.Join(cache, "ramdisk-cloud")); err != nil {
		t.Fatal(err)
	}
	out := playDemo(t, o)
	for _, want := range []string{"(uefi, redfish)", "(bios, ipmi)", "host name web-2", "read back a RAID 1 of 3 disks", "web-1: its system finds the RAID on 3 disks", "web-2: its system finds", "disk 3 reads as zeros"} {
		if !strings.Contains(out, want) {
			t.Errorf("the demo did not say %q:\n%s", want, out)
		}
	}
}
