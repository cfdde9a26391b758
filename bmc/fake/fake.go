// Package fake is a BMC without a server: it keeps power and boot device in memory and obeys at once.
// Nodes with Ironic's driver name "fake" use it, and tests can spoil it.
package fake

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
)

// Rack is a set of fake BMCs, found by address and made at their first use.
type Rack struct {
	mu   sync.Mutex
	bmcs map[string]*state
	// Fail, if set, is asked before each call; an error it returns is the call's result.
	Fail func(address, call string) error
}

type state struct {
	power  bmc.Power
	boot   bmc.Boot
	device device
}

// NewRack makes an empty rack.
func NewRack() *Rack { return &Rack{bmcs: map[string]*state{}} }

// Open returns a driver for the BMC at the access's address. It is a bmc.Opener.
func (r *Rack) Open(_ context.Context, a bmc.Access) (bmc.Driver, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bmcs[a.Address] == nil {
		r.bmcs[a.Address] = &state{power: bmc.Off, boot: bmc.Boot{Device: bmc.None}, device: newDevice()}
	}
	return &driver{rack: r, access: a}, nil
}

type driver struct {
	rack   *Rack
	access bmc.Access
}

// with calls fn with the state of the BMC, unless the call is to fail.
func (d *driver) with(ctx context.Context, call string, fn func(s *state)) error {
	if err := ctx.Err(); err != nil {
		return fault.E(fault.Unavailable, "fake: "+call, err)
	}
	if d.rack.Fail != nil {
		if err := d.rack.Fail(d.access.Address, call); err != nil {
			return err
		}
	}
	d.rack.mu.Lock()
	defer d.rack.mu.Unlock()
	fn(d.rack.bmcs[d.access.Address])
	return nil
}

func (d *driver) Identify(ctx context.Context) (bmc.Identity, error) {
	id := bmc.Identity{Manufacturer: "Hagane", Model: "Fake", Serial: d.access.Address, BMCVendor: "Hagane", BMCModel: "fake", BMCVersion: "1"}
	return id, d.with(ctx, "identify", func(*state) {})
}

func (d *driver) Power(ctx context.Context) (p bmc.Power, err error) {
	p = bmc.Unknown
	err = d.with(ctx, "power", func(s *state) { p = s.power })
	return p, err
}

func (d *driver) SetPower(ctx context.Context, a bmc.Action) error {
	if !slices.Contains([]bmc.Action{bmc.PowerOn, bmc.PowerOff, bmc.SoftOff, bmc.Reset}, a) {
		return fault.Errorf(fault.Invalid, "a fake BMC has no power action %q", a)
	}
	return d.with(ctx, string(a), func(s *state) {
		switch a {
		case bmc.PowerOn, bmc.Reset:
			if s.power == bmc.Off || a == bmc.Reset {
				s.start()
			}
		case bmc.PowerOff, bmc.SoftOff:
			s.power = bmc.Off
		}
	})
}

// start powers on and consumes a boot override that was meant for one boot.
func (s *state) start() {
	s.power = bmc.On
	s.device.applies()
	if !s.boot.Persistent {
		s.boot = bmc.Boot{Device: bmc.None, Mode: s.boot.Mode}
	}
}

func (d *driver) Boot(ctx context.Context) (b bmc.Boot, err error) {
	err = d.with(ctx, "boot", func(s *state) { b = s.boot })
	return b, err
}

// BootOrder reads the boot order.
func (d *driver) BootOrder(ctx context.Context) (order []string, err error) {
	err = d.with(ctx, "boot order", func(s *state) { order = slices.Clone(s.device.order) })
	return order, err
}

// SetBootOrder changes the boot order.
func (d *driver) SetBootOrder(ctx context.Context, order []string) error {
	var refused error
	err := d.with(ctx, "set boot order", func(s *state) {
		var want []string
		if want, refused = bmc.Ordered(s.device.order, order); refused == nil {
			s.device.order = want
		}
	})
	return cmp.Or(err, refused)
}

func (d *driver) SetBoot(ctx context.Context, b bmc.Boot) error {
	if !slices.Contains([]bmc.Device{bmc.Disk, bmc.PXE, bmc.CDROM, bmc.Setup, bmc.None}, b.Device) {
		return fault.Errorf(fault.Invalid, "a fake BMC has no boot device %q", b.Device)
	}
	return d.with(ctx, "set boot", func(s *state) {
		if b.Mode == "" {
			b.Mode = s.boot.Mode
		}
		s.boot = b
	})
}

func (d *driver) Sensors(ctx context.Context) ([]bmc.Sensor, error) {
	celsius := 21.0
	return []bmc.Sensor{{Name: "Inlet", Kind: "temperature", Value: &celsius, Unit: "Cel", Health: "ok"}}, d.with(ctx, "sensors", func(*state) {})
}

func (d *driver) Close(context.Context) error { return nil }
