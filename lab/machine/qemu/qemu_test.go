package qemu_test

import (
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/lab/ether"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/machine/machinetest"
	"github.com/hagane-cloud/hagane/lab/machine/qemu"
	"github.com/hagane-cloud/hagane/lab/vswitch"
	"github.com/hagane-cloud/hagane/osimage"
	"github.com/hagane-cloud/hagane/ramdisk"
)

func rig(t *testing.T, mode machine.Mode, bus machine.BusKind, change ...func(*qemu.Options)) (*vswitch.Switch, *qemu.Machine) {
	t.Helper()
	firmware, err := qemu.FindFirmware()
	if err != nil {
		t.Skip(err)
	}
	if !firmware.Has(mode) {
		t.Skipf("no %s firmware on this host; apt-get install ovmf", mode)
	}
	if os.Getenv("HAGANE_LAB_QEMU") == "" {
		t.Skip("boots a real firmware, which takes half a minute: set HAGANE_LAB_QEMU=1 to run")
	}
	sw := vswitch.New("lab", ether.MAC{2, 0xff})
	port, err := sw.AddPort("r1p01")
	if err != nil {
		t.Fatal(err)
	}
	if err := port.SetConfig(vswitch.Config{Access: machinetest.VLAN}); err != nil {
		t.Fatal(err)
	}
	seed := machine.Seed(1)
	options := qemu.Options{
		Firmware: firmware, Log: slog.New(slog.NewTextHandler(testWriter{t}, nil)),
		Accel: qemu.Accelerator(t.Context(), firmware.QEMU, filepath.Join(os.TempDir(), "hagane-test-accelerator")),
	}
	for _, f := range change {
		f(&options)
	}
	m, err := qemu.New(machine.Spec{
		Name: "n1", Manufacturer: "Hagane, Lab", Product: "Rack 1", Serial: seed.Serial("HG", "n1"), UUID: seed.UUID("n1"),
		Mode: mode, CPUs: 1, MemoryMB: 512,
		Disks: []machine.DiskSpec{{Bus: bus, Bytes: 1 << 30, Serial: "D0"}},
		NICs:  []machine.NICSpec{{MAC: seed.MAC("n1/0"), Port: "r1p01"}},
	}, t.TempDir(), []*vswitch.Port{port}, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			text, _ := os.ReadFile(m.Status().Console)
			t.Logf("console:\n%s", text)
		}
	})
	return sw, m
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

const script = `#!ipxe
imgfetch http://198.18.0.1/alive/${platform}
imgfree
imgfetch http://198.18.0.1/big
imgfree
imgfetch http://198.18.0.1/got
imgfree
reboot
`

func files(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/script":
		_, _ = io.WriteString(w, script)
	case "/big":
		_, _ = w.Write(make([]byte, 32<<20))
	default:
		_, _ = io.WriteString(w, "#!ipxe\n")
	}
}

func TestNetworkBootOnceThenReset(t *testing.T) {
	for _, kind := range []struct {
		mode machine.Mode
		bus  machine.BusKind
		says string
	}{{machine.BIOS, machine.NVMe, "pcbios"}, {machine.UEFI, machine.Virtio, "efi"}} {
		t.Run(string(kind.mode), func(t *testing.T) {
			sw, m := rig(t, kind.mode, kind.bus)
			s := machinetest.StartBootServer(t, sw, m.Spec().NICs[0].MAC, http.HandlerFunc(files))
			if err := m.SetBoot(t.Context(), machine.Boot{Device: machine.Network}); err != nil {
				t.Fatal(err)
			}
			if err := m.Power(t.Context(), machine.PowerOn); err != nil {
				t.Fatal(err)
			}
			s.Wait(t, "/alive/"+kind.says, 2*time.Minute)
			s.Wait(t, "/got", time.Minute)
			machinetest.Until(t, 30*time.Second, "the reset to start the machine anew", func() bool { return m.Status().Boots == 2 })
			if st := m.Status(); st.BootedFrom != machine.None || st.Boot.Device != machine.None || st.Mode != kind.mode {
				t.Errorf("the override was not used up: %+v", st)
			}
			if err := m.Power(t.Context(), machine.PowerOff); err != nil {
				t.Fatal(err)
			}
			if st := m.Status(); st.On || st.Ended != "powered off by its BMC" {
				t.Errorf("%+v", st)
			}
			if b, err := m.Blank(t.Context(), 0); err != nil || !b.Blank || b.Bytes != 1<<30 {
				t.Errorf("%+v %v", b, err)
			}
		})
	}
}

func TestFirmwarePXE(t *testing.T) {
	sw, m := rig(t, machine.UEFI, machine.NVMe, func(o *qemu.Options) { o.FirmwarePXE = true })
	s := machinetest.StartBootServer(t, sw, m.Spec().NICs[0].MAC, http.HandlerFunc(files))
	if err := m.SetBoot(t.Context(), machine.Boot{Device: machine.Network, Persistent: true}); err != nil {
		t.Fatal(err)
	}
	if err := m.Power(t.Context(), machine.PowerOn); err != nil {
		t.Fatal(err)
	}
	s.Wait(t, "tftp snponly.efi", 2*time.Minute)
	s.Wait(t, "/got", time.Minute)
}

// TestWholeLife deploys the tiny test system with the real ramdisk.
func TestWholeLife(t *testing.T) {
	cache := filepath.Join("..", "..", "..", ".cache")
	ram, err := ramdisk.Read(filepath.Join(cache, "ramdisk-cloud"))
	if err != nil {
		t.Skip(err)
	}
	system, err := osimage.Read(filepath.Join(cache, "image-tiny"))
	if err != nil {
		t.Skip(err)
	}
	file := func(name ...string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, filepath.Join(append([]string{cache}, name...)...))
		}
	}
	for _, kind := range []struct {
		mode machine.Mode
		bus  machine.BusKind
	}{{machine.BIOS, machine.NVMe}, {machine.UEFI, machine.Virtio}} {
		t.Run(string(kind.mode), func(t *testing.T) {
			sw, m := rig(t, kind.mode, kind.bus)
			port, err := sw.Port("r1p01")
			if err != nil {
				t.Fatal(err)
			}
			machinetest.WholeLife(t, sw, port, m, machinetest.Content{
				Kernel: file("ramdisk-cloud", ram.Vmlinuz), Initramfs: file("ramdisk-cloud", ram.Initramfs), Image: file("image-tiny", system.Zstd),
				Write:  protocol.Write{Encoding: "zstd", SHA512: system.RawSHA512, Size: system.Bytes},
				Within: 3 * time.Minute,
			})
		})
	}
}

func TestResetWithoutSystem(t *testing.T) {
	_, m := rig(t, machine.BIOS, machine.Virtio)
	if err := m.Power(t.Context(), machine.Reset); err != nil { // of a machine that is off: a power on
		t.Fatal(err)
	}
	if err := m.Power(t.Context(), machine.PowerOn); err != nil {
		t.Fatal(err)
	}
	if st := m.Status(); !st.On || st.Boots != 1 {
		t.Errorf("%+v", st)
	}
	if err := m.Power(t.Context(), machine.SoftOff); err != nil { // no operating system: nothing happens
		t.Error(err)
	}
	if err := m.Power(t.Context(), machine.Reset); err != nil {
		t.Fatal(err)
	}
	if st := m.Status(); !st.On || st.Boots != 2 {
		t.Errorf("%+v", st)
	}
}
