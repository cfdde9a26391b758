package sim_test

import (
	"crypto/sha512"
	"encoding/hex"
	"log/slog"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/lab/ether"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/machine/machinetest"
	"github.com/hagane-cloud/hagane/lab/machine/sim"
	"github.com/hagane-cloud/hagane/lab/vswitch"
)

func rig(t *testing.T, bus machine.BusKind) (*vswitch.Switch, *vswitch.Port, *sim.Machine) {
	t.Helper()
	sw := vswitch.New("lab", ether.MAC{2, 0xff})
	port, err := sw.AddPort("r1p01")
	if err != nil {
		t.Fatal(err)
	}
	if err := port.SetConfig(vswitch.Config{Access: machinetest.VLAN}); err != nil {
		t.Fatal(err)
	}
	seed := machine.Seed(1)
	m, err := sim.New(machine.Spec{
		Name: "n1", Manufacturer: "Hagane", Product: "Rack 1", Serial: seed.Serial("HG", "n1"), UUID: seed.UUID("n1"),
		Mode: machine.UEFI, CPUs: 2, MemoryMB: 2048,
		Disks: []machine.DiskSpec{{Bus: bus, Bytes: 8 << 30, Serial: "D0"}},
		NICs:  []machine.NICSpec{{MAC: seed.MAC("n1/0"), Port: "r1p01"}},
	}, t.TempDir(), []*vswitch.Port{port}, sim.Options{Log: slog.New(slog.DiscardHandler)})
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
	return sw, port, m
}

func TestWholeLife(t *testing.T) {
	for _, bus := range []machine.BusKind{machine.Virtio, machine.NVMe} {
		t.Run(string(bus), func(t *testing.T) { wholeLife(t, bus) })
	}
}

func wholeLife(t *testing.T, bus machine.BusKind) {
	sw, port, m := rig(t, bus)
	img := machinetest.Image()
	sum := sha512.Sum512(img)
	some := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) }
	machinetest.WholeLife(t, sw, port, m, machinetest.Content{
		Kernel: some, Initramfs: some,
		Image:  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(img) },
		Write:  protocol.Write{SHA512: hex.EncodeToString(sum[:]), Size: int64(len(img))},
		Within: time.Minute,
	})
	if b, err := m.Blank(t.Context(), 0); err != nil || b.Allocated > 80<<20 {
		t.Errorf("%+v %v", b, err)
	}
}

func TestNothingBoots(t *testing.T) {
	_, _, m := rig(t, machine.Virtio)
	if err := m.SetBoot(t.Context(), machine.Boot{Device: machine.Disk, Persistent: true}); err != nil {
		t.Fatal(err)
	}
	for _, a := range []machine.Action{machine.Reset, machine.SoftOff, machine.PowerOn, machine.Reset} {
		if err := m.Power(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	if st := m.Status(); !st.On || st.Boots != 2 || st.Boot.Device != machine.Disk {
		t.Errorf("%+v", st)
	}
	if err := m.Power(t.Context(), machine.PowerOff); err != nil {
		t.Fatal(err)
	}
	if st := m.Status(); st.On || st.Ended != "powered off by its BMC" {
		t.Errorf("%+v", st)
	}
	if b, err := m.Blank(t.Context(), 0); err != nil || !b.Blank || b.Allocated != 0 {
		t.Errorf("%+v %v", b, err)
	}
}

func TestPowerOffWhileAskingForAnAddress(t *testing.T) {
	_, _, m := rig(t, machine.Virtio) // no boot server: nobody answers
	if err := m.SetBoot(t.Context(), machine.Boot{Device: machine.Network}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := m.Power(t.Context(), machine.PowerOn); err != nil {
		t.Fatal(err)
	}
	if err := m.Power(t.Context(), machine.PowerOff); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("pulling the plug took %v", took)
	}
}
