package bmctest

import (
	"testing"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
)

func power(t *testing.T, g Target) {
	d := open(t, g, g.Access)
	boots := func() int {
		if g.Boots == nil {
			return 0
		}
		return g.Boots()
	}
	began := boots()
	asked := bmc.On
	if g.Obeys {
		asked = bmc.Off
	}
	for _, step := range []struct {
		action bmc.Action
		want   bmc.Power
		starts int // of the server by this step
	}{
		{bmc.PowerOff, bmc.Off, 0}, {bmc.SoftOff, bmc.Off, 0}, // from off: nothing to do
		{bmc.PowerOn, bmc.On, 1}, {bmc.PowerOn, bmc.On, 0},
		{bmc.Reset, bmc.On, 1}, {bmc.Reset, bmc.On, 1},
		{bmc.PowerOff, bmc.Off, 0}, {bmc.PowerOff, bmc.Off, 0},
		{bmc.Reset, bmc.On, 1},                           // from off: a power on
		{bmc.SoftOff, asked, 0}, {bmc.SoftOff, asked, 0}, // never more than asking
		{bmc.PowerOff, bmc.Off, 0}, {bmc.PowerOn, bmc.On, 1}, {bmc.PowerOff, bmc.Off, 0},
	} {
		do(t, d, step.action)
		reach(t, d, step.want)
		began += step.starts
		if g.Boots != nil {
			until(t, string(step.action)+" to start the server as often as it should", func() bool { return g.Boots() == began })
		}
	}
	wantFault(t, d.SetPower(t.Context(), "explode"), fault.Invalid)
}

// overrides are all boot overrides that there are.
func overrides() []bmc.Boot {
	var all []bmc.Boot
	for _, mode := range []bmc.Mode{bmc.UEFI, bmc.BIOS} {
		for _, device := range []bmc.Device{bmc.PXE, bmc.Disk, bmc.CDROM, bmc.Setup} {
			all = append(all, bmc.Boot{Device: device, Mode: mode}, bmc.Boot{Device: device, Mode: mode, Persistent: true})
		}
	}
	return all
}

func bootDevice(t *testing.T, g Target) {
	d := open(t, g, g.Access)
	noOverride(t, d)
	last := bmc.Boot{}
	for _, b := range overrides() {
		if g.cannot(b) {
			was := boot(t, d)
			wantFault(t, d.SetBoot(t.Context(), b), fault.Invalid)
			showsBoot(t, d, was)
			continue
		}
		for range 2 {
			setBoot(t, d, b)
			showsBoot(t, d, b)
		}
		last = b
	}
	other := bmc.Boot{Device: bmc.PXE, Mode: bmc.UEFI}
	if g.cannot(other) {
		other.Mode, other.Persistent = last.Mode, last.Persistent
	}
	setBoot(t, d, other)
	setBoot(t, d, bmc.Boot{Device: bmc.Disk, Persistent: other.Persistent}) // leaves the mode
	showsBoot(t, d, bmc.Boot{Device: bmc.Disk, Mode: other.Mode, Persistent: other.Persistent})
	setBoot(t, d, bmc.Boot{Device: bmc.None})
	noOverride(t, d)
	wantFault(t, d.SetBoot(t.Context(), bmc.Boot{Device: "floppy"}), fault.Invalid)
	noOverride(t, d)
}

func (g Target) cannot(b bmc.Boot) bool { return g.Cannot != nil && g.Cannot(b) }

func bootOnce(t *testing.T, g Target) {
	d := open(t, g, g.Access)
	for _, mode := range []bmc.Mode{bmc.UEFI, bmc.BIOS} {
		b := bmc.Boot{Device: bmc.PXE, Mode: mode}
		if g.cannot(b) {
			continue
		}
		setBoot(t, d, b)
		do(t, d, bmc.PowerOn)
		reach(t, d, bmc.On)
		until(t, "the boot to use the override up", func() bool { return boot(t, d).Device == bmc.None })
		setBoot(t, d, b) // of a server that is on, for its next start
		showsBoot(t, d, b)
		do(t, d, bmc.Reset)
		until(t, "the reset to use the override up", func() bool { return boot(t, d).Device == bmc.None })
		do(t, d, bmc.PowerOff)
		reach(t, d, bmc.Off)
	}
}

func bootAlways(t *testing.T, g Target) {
	d := open(t, g, g.Access)
	b := bmc.Boot{Device: bmc.PXE, Mode: bmc.BIOS, Persistent: true}
	setBoot(t, d, b)
	do(t, d, bmc.PowerOn)
	reach(t, d, bmc.On)
	do(t, d, bmc.Reset)
	reach(t, d, bmc.On)
	showsBoot(t, d, b)
	do(t, d, bmc.PowerOff)
	reach(t, d, bmc.Off)
	showsBoot(t, d, b)
}

func boot(t *testing.T, d bmc.Driver) bmc.Boot {
	t.Helper()
	b, err := d.Boot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func setBoot(t *testing.T, d bmc.Driver, b bmc.Boot) {
	t.Helper()
	if err := d.SetBoot(t.Context(), b); err != nil {
		t.Fatalf("set %+v: %v", b, err)
	}
}

func showsBoot(t *testing.T, d bmc.Driver, want bmc.Boot) {
	t.Helper()
	got := boot(t, d)
	if got.Mode == "" {
		got.Mode = want.Mode // some BMCs take the mode and never tell it
	}
	if got != want {
		t.Fatalf("the override is %+v, want %+v", got, want)
	}
}

func noOverride(t *testing.T, d bmc.Driver) {
	t.Helper()
	if got := boot(t, d); got.Device != bmc.None {
		t.Fatalf("the override is %+v, want none", got)
	}
}
