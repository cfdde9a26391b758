package bmctest

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
)

// enough is how long a call may take that has to fail soon.
const enough = 15 * time.Second

// soon runs fn, which must end soon.
func soon(t *testing.T, fn func()) {
	t.Helper()
	began := time.Now()
	fn()
	if took := time.Since(began); took > enough {
		t.Errorf("took %s, more than %s", took, enough)
	}
}

func credentials(t *testing.T, g Target) {
	for name, spoil := range map[string]func(a *bmc.Access){
		"password": func(a *bmc.Access) { a.Password = "wrong" },
		"user":     func(a *bmc.Access) { a.Username = "nobody" },
	} {
		t.Run(name, func(t *testing.T) {
			a := g.Access
			spoil(&a)
			d := open(t, g, a)
			for range 2 {
				soon(t, func() {
					_, err := d.Identify(t.Context())
					wantFault(t, err, fault.Denied)
				})
			}
			wantFault(t, d.SetPower(t.Context(), bmc.PowerOn), fault.Denied)
		})
	}
	p, err := open(t, g, g.Access).Power(t.Context())
	if err != nil || p != bmc.Off {
		t.Errorf("with the right password: power %s, %v", p, err)
	}
}

// at returns the target's access with another address.
func (g Target) at(address net.Addr) bmc.Access {
	a := g.Access
	scheme, _, found := strings.Cut(a.Address, "://")
	a.Address = address.String()
	if found {
		a.Address = scheme + "://" + address.String()
	}
	return a
}

// deaf returns the address of a socket that nobody reads.
func (g Target) deaf(t *testing.T) (address net.Addr, shut func()) {
	t.Helper()
	if g.Network == "udp" {
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return c.LocalAddr(), func() { _ = c.Close() }
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l.Addr(), func() { _ = l.Close() }
}

func refusing(t *testing.T, g Target) {
	address, shut := g.deaf(t)
	shut()
	d := open(t, g, g.at(address))
	soon(t, func() {
		p, err := d.Power(t.Context())
		wantFault(t, err, fault.Unavailable)
		if p != bmc.Unknown {
			t.Errorf("the power is %s, want unknown", p)
		}
	})
	wantFault(t, d.SetPower(t.Context(), bmc.PowerOn), fault.Unavailable)
}

func silence(t *testing.T, g Target) {
	address, shut := g.deaf(t)
	defer shut()
	a := g.at(address)
	a.Timeout = 2 * time.Second
	d := open(t, g, a)
	soon(t, func() {
		p, err := d.Power(t.Context())
		wantFault(t, err, fault.Unavailable)
		if p != bmc.Unknown {
			t.Errorf("the power is %s, want unknown", p)
		}
	})
}

func cancelling(t *testing.T, g Target) {
	d := open(t, g, g.Access)
	if _, err := d.Power(t.Context()); err != nil {
		t.Fatal(err)
	}
	over, end := context.WithCancel(t.Context())
	end()
	soon(t, func() {
		_, err := d.Power(over)
		wantFault(t, err, fault.Unavailable)
		wantFault(t, d.SetPower(over, bmc.PowerOn), fault.Unavailable)
	})
	if p, err := d.Power(t.Context()); err != nil || p != bmc.Off {
		t.Errorf("after a call that was cancelled: power %s, %v", p, err)
	}
	if g.Network == "" {
		return
	}
	address, shut := g.deaf(t)
	defer shut()
	far := open(t, g, g.at(address))
	waiting, stop := context.WithCancel(t.Context())
	defer time.AfterFunc(200*time.Millisecond, stop).Stop()
	began := time.Now()
	_, err := far.Power(waiting)
	wantFault(t, err, fault.Unavailable)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("returned %s after its context had ended", took)
	}
}

// sessionsMost is more sessions than any BMC of the lab has room for.
const sessionsMost = 70

func closing(t *testing.T, g Target) {
	d := open(t, g, g.Access)
	for i := range sessionsMost {
		ctx, cancel := context.WithCancel(t.Context()) // the context of a call ends before the session does
		p, err := d.Power(ctx)
		cancel()
		if err != nil || p != bmc.Off {
			t.Fatalf("use %d: power %s, %v", i, p, err)
		}
		for range 2 {
			if err := d.Close(t.Context()); err != nil {
				t.Fatalf("close %d: %v", i, err)
			}
		}
	}
}

func forgetting(t *testing.T, g Target) {
	a := g.Access
	a.Timeout = 2 * time.Second // a BMC may tell only by its silence
	d := open(t, g, a)
	do(t, d, bmc.PowerOn)
	reach(t, d, bmc.On)
	g.Restart(t)
	until(t, "the driver to open another session", func() bool {
		p, err := d.Power(t.Context())
		if err != nil && !fault.Is(err, fault.Unavailable) {
			t.Fatal(err)
		}
		return err == nil && p == bmc.On
	})
	g.Restart(t)
	b := bmc.Boot{Device: bmc.PXE, Mode: bmc.BIOS}
	b.Persistent = g.cannot(b)
	setBoot(t, d, b) // at the first try
	g.Restart(t)
	do(t, d, bmc.PowerOff)
	reach(t, d, bmc.Off)
}

func sessions(t *testing.T, g Target) {
	_, c := capable(t, g, bmc.CanSessions, func(c bmc.SessionControl) error { _, err := c.Sessions(t.Context()); return err })
	all := func() []bmc.Session {
		t.Helper()
		all, err := c.Sessions(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if others := all(); len(others) != 0 {
		t.Fatalf("there are sessions at first, or the driver's own is among them: %+v", others)
	}
	a := g.Access
	a.Memory = &bmc.Memory{}
	other := open(t, g, a)
	if p, err := other.Power(t.Context()); err != nil || p != bmc.Off {
		t.Fatalf("power %s, %v", p, err)
	}
	found := all()
	if len(found) != 1 || found[0].User != g.Access.Username {
		t.Fatalf("%+v, not the one of %s", found, g.Access.Username)
	}
	for range 2 {
		if err := c.EndSession(t.Context(), found[0].ID); err != nil {
			t.Fatal(err)
		}
	}
	if left := all(); len(left) != 0 {
		t.Errorf("%+v is still there", left)
	}
	if p, err := other.Power(t.Context()); err != nil || p != bmc.Off {
		t.Errorf("the driver whose session was ended does not log in anew: power %s, %v", p, err)
	}
}
