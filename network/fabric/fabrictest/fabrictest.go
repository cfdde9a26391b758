// Package fabrictest is the conformance suite of switch drivers: what every implementation of
// fabric.Driver promises. A driver's own test calls Run in a few lines.
package fabrictest

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/netip"
	"testing"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network/fabric"
)

// Run tests a driver. open returns a driver of a switch that has at least the named ports, all isolated.
func Run(t *testing.T, open func(t *testing.T, ports ...string) fabric.Driver) {
	t.Run("starts isolated", func(t *testing.T) { startsIsolated(t, open(t, "p1", "p2")) })
	t.Run("sets and reads back", func(t *testing.T) { setsAndReadsBack(t, open(t, "p1", "p2")) })
	t.Run("refuses what can not be", func(t *testing.T) { refuses(t, open(t, "p1")) })
	t.Run("does not know the port", func(t *testing.T) { unknownPort(t, open(t, "p1")) })
	t.Run("obeys its context", func(t *testing.T) { obeysContext(t, open(t, "p1")) })
	t.Run("keeps filters", func(t *testing.T) { keepsFilters(t, open(t, "p1", "p2")) })
	t.Run("plugs uplinks in", func(t *testing.T) { plugsUplinks(t, open(t, "p1")) })
}

func startsIsolated(t *testing.T, d fabric.Driver) {
	defer shut(t, d)
	ports, err := d.Ports(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, p := range ports {
		if p.Name == "p1" || p.Name == "p2" {
			found++
			if !p.Isolated() {
				t.Errorf("%+v is not isolated", p)
			}
		}
	}
	if found != 2 {
		t.Errorf("found %d of 2 ports in %+v", found, ports)
	}
}

func setsAndReadsBack(t *testing.T, d fabric.Driver) {
	defer shut(t, d)
	for _, c := range []fabric.Config{
		{Access: 101}, {Access: 101}, {Access: 7, Tagged: []int{300, 200}}, {Tagged: []int{4094, 1}}, {}, {},
	} {
		if err := d.SetPort(t.Context(), "p1", c); err != nil {
			t.Fatalf("set %+v: %v", c, err)
		}
		got, err := d.Port(t.Context(), "p1")
		if err != nil {
			t.Fatal(err)
		}
		if !got.Equal(c) || got.Name != "p1" {
			t.Errorf("set %+v, read %+v", c, got)
		}
		if other, err := d.Port(t.Context(), "p2"); err != nil || !other.Isolated() {
			t.Errorf("the port beside it changed too: %+v %v", other, err)
		}
	}
}

func refuses(t *testing.T, d fabric.Driver) {
	defer shut(t, d)
	if err := d.SetPort(t.Context(), "p1", fabric.Config{Access: 9}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []fabric.Config{
		{Access: -1}, {Access: 4095}, {Access: 5, Tagged: []int{5}}, {Tagged: []int{6, 6}}, {Tagged: []int{0}},
	} {
		if err := d.SetPort(t.Context(), "p1", c); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if got, err := d.Port(t.Context(), "p1"); err != nil || got.Access != 9 {
		t.Errorf("a refused change had an effect: %+v %v", got, err)
	}
}

func unknownPort(t *testing.T, d fabric.Driver) {
	defer shut(t, d)
	if _, err := d.Port(t.Context(), "no-such-port"); !fault.Is(err, fault.NotFound) {
		t.Errorf("read: %v", err)
	}
	if err := d.SetPort(t.Context(), "no-such-port", fabric.Config{Access: 5}); !fault.Is(err, fault.NotFound) {
		t.Errorf("set: %v", err)
	}
}

func obeysContext(t *testing.T, d fabric.Driver) {
	defer shut(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.SetPort(ctx, "p1", fabric.Config{Access: 5}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("set under an ended context: %v", err)
	}
}

func plugsUplinks(t *testing.T, d fabric.Driver) {
	defer shut(t, d)
	u, ok := d.(fabric.Uplinker)
	if !ok {
		t.Skip("the driver offers no uplinks")
	}
	if _, err := u.Uplink(t.Context(), 4095); !fault.Is(err, fault.Invalid) {
		t.Errorf("VLAN 4095: %v", err)
	}
	a, err := u.Uplink(t.Context(), 55)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := u.Uplink(t.Context(), 55)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	framed := append([]byte{0, 0, 0, 60}, make([]byte, 60)...)
	for i := range 6 {
		framed[4+i] = 0xff
	}
	framed[10], framed[15], framed[16] = 2, 1, 0x88
	if _, err := a.Write(framed); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(framed))
	if _, err := io.ReadFull(b, got); err != nil || string(got) != string(framed) {
		t.Errorf("%x: %v", got, err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if _, err := a.Read(got); err == nil || errors.Is(err, io.ErrNoProgress) {
		t.Error("a closed uplink still reads")
	}
}

// guarding is a filter with something of everything.
func guarding() fabric.Filter {
	own := netip.MustParsePrefix("10.0.0.5/32")
	return fabric.Filter{MAC: "02:00:00:00:00:05", Addresses: []fabric.Pair{{MAC: "02:00:00:00:00:05", Prefix: own}, {MAC: "00:00:5e:00:01:01", Prefix: netip.MustParsePrefix("fd00::/64")}},
		Rules: []fabric.Rule{
			{Version: 4, Low: fabric.Any, High: fabric.Any},
			{In: true, Version: 4, Protocol: 6, Low: 22, High: 23, Remotes: []netip.Prefix{own, netip.MustParsePrefix("192.0.2.0/24")}},
			{In: true, Version: 6, Protocol: 58, Low: 128, High: 0, Stateless: true},
		}}
}

func keepsFilters(t *testing.T, d fabric.Driver) {
	defer shut(t, d)
	f, ok := d.(fabric.Filterer)
	if !ok {
		t.Skip("the driver has no filters")
	}
	one, other := guarding(), fabric.Filter{MAC: "02:00:00:00:00:06"}
	want := map[int]string{}
	for _, step := range []struct {
		vlan int
		f    *fabric.Filter
	}{{7, &one}, {7, &one}, {9, &other}, {7, &other}, {7, nil}, {7, nil}, {9, &one}, {9, nil}} {
		if err := f.SetFilter(t.Context(), "p1", step.vlan, step.f); err != nil {
			t.Fatalf("set %+v: %v", step, err)
		}
		delete(want, step.vlan)
		if step.f != nil {
			want[step.vlan] = step.f.Sum()
		}
		if got, err := d.Port(t.Context(), "p1"); err != nil || !maps.Equal(got.Filters, want) || !got.Isolated() {
			t.Errorf("after %+v, which leaves %v, read %+v: %v", step, want, got, err)
		}
		if got, err := d.Port(t.Context(), "p2"); err != nil || len(got.Filters) > 0 {
			t.Errorf("the port beside it has filters too: %+v %v", got, err)
		}
	}
	if err := f.SetFilter(t.Context(), "p1", 7, &one); err != nil {
		t.Fatal(err)
	}
	if err := d.SetPort(t.Context(), "p1", fabric.Config{Access: 7}); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Port(t.Context(), "p1"); err != nil || got.Filters[7] != one.Sum() {
		t.Errorf("the filter went with the change of VLANs: %+v %v", got, err)
	}
	worse := guarding()
	worse.Rules[1].Remotes = append(worse.Rules[1].Remotes, netip.MustParsePrefix("fd00::/8"))
	for _, bad := range []error{f.SetFilter(t.Context(), "p1", 4095, &one), f.SetFilter(t.Context(), "p1", 0, nil),
		f.SetFilter(t.Context(), "p1", 7, &fabric.Filter{MAC: "none"}), f.SetFilter(t.Context(), "p1", 7, &worse)} {
		if !fault.Is(bad, fault.Invalid) {
			t.Errorf("what can not be: %v", bad)
		}
	}
	if got, err := d.Port(t.Context(), "p1"); err != nil || got.Filters[7] != one.Sum() {
		t.Errorf("a refused change had an effect: %+v %v", got, err)
	}
	if err := f.SetFilter(t.Context(), "no-such-port", 7, nil); !fault.Is(err, fault.NotFound) {
		t.Errorf("a port that is not there: %v", err)
	}
}

func shut(t *testing.T, d fabric.Driver) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}
