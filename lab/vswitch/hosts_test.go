package vswitch_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/lab/ether"
	"github.com/hagane-cloud/hagane/lab/netstack"
	"github.com/hagane-cloud/hagane/lab/vswitch"
)

// patience is how long something that happens at once may take.
const patience = 20 * time.Second

// station is a host on a port of the switch, which greets whoever connects to its port 22 and ends with the other side.
func station(t *testing.T, sw *vswitch.Switch, name, mac, address string) (*netstack.Host, *vswitch.Port) {
	t.Helper()
	p, err := sw.AddPort(name)
	if err != nil {
		t.Fatal(err)
	}
	hw, err := net.ParseMAC(mac)
	if err != nil {
		t.Fatal(err)
	}
	h, err := netstack.NewOn(p, netstack.Config{MAC: hw, Addr: netip.MustParsePrefix(address)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Unplug(); _ = h.Close() })
	p.Plug(h)
	l, err := h.Listen(22)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-served })
	go func() {
		defer close(served)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	return h, p
}

func dial(ctx context.Context, h *netstack.Host, address string, within time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return h.DialContext(ctx, "tcp", address)
}

// TestHostsBehindFilters has two hosts talk as filters at both their ports say, while these change.
func TestHostsBehindFilters(t *testing.T) {
	sw := vswitch.New("lab", ether.MAC{2, 0xff})
	one, p1 := station(t, sw, "p1", "02:00:00:00:00:01", "10.0.0.1/24")
	two, p2 := station(t, sw, "p2", "02:00:00:00:00:02", "10.0.0.2/24")
	filter := func(p *vswitch.Port, mac, address string, rules ...vswitch.Rule) {
		t.Helper()
		f := vswitch.Filter{MAC: mac, Addresses: []vswitch.Address{{MAC: mac, Prefix: netip.MustParsePrefix(address)}},
			Rules: append(rules, vswitch.Rule{Version: 4, Low: -1, High: -1})}
		if err := p.SetFilter(10, &f); err != nil {
			t.Fatal(err)
		}
		if err := p.SetConfig(vswitch.Config{Access: 10}); err != nil {
			t.Fatal(err)
		}
	}
	ssh := vswitch.Rule{In: true, Version: 4, Protocol: 6, Low: 22, High: 22, Remotes: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}}
	filter(p1, "02:00:00:00:00:01", "10.0.0.1/32")
	filter(p2, "02:00:00:00:00:02", "10.0.0.2/32", ssh)
	c, err := dial(t.Context(), one, "10.0.0.2:22", patience)
	if err != nil {
		t.Fatalf("what a rule allows: %v", err)
	}
	defer func() {
		if c != nil {
			_ = c.Close()
		}
	}()
	echo := func(limit time.Duration) error {
		_ = c.SetDeadline(time.Now().Add(limit))
		if _, err := c.Write([]byte("hello")); err != nil {
			return err
		}
		_, err := io.ReadFull(c, make([]byte, 5))
		return err
	}
	if err := echo(patience); err != nil {
		t.Fatal(err)
	}
	const refusal = 300 * time.Millisecond
	if c, err := dial(t.Context(), two, "10.0.0.1:22", refusal); err == nil {
		_ = c.Close()
		t.Error("the other way, which no rule allows, a connection was made")
	}
	filter(p2, "02:00:00:00:00:02", "10.0.0.2/32")
	if err := echo(refusal); err == nil {
		t.Error("a connection whose rule is gone goes on")
	}
	if c, err := dial(t.Context(), one, "10.0.0.2:22", refusal); err == nil {
		_ = c.Close()
		t.Error("a connection was made though its rule is gone")
	}
	filter(p2, "02:00:00:00:00:02", "10.0.0.2/32", ssh)
	if c, err = dial(t.Context(), one, "10.0.0.2:22", patience); err != nil {
		t.Fatalf("after the rule came back: %v", err)
	}
	if err := echo(patience); err != nil {
		t.Error(err)
	}
	filter(p1, "02:00:00:00:00:01", "10.0.0.3/32") // its address is not its own any more
	if c, err := dial(t.Context(), one, "10.0.0.2:22", refusal); err == nil {
		_ = c.Close()
		t.Error("a connection was made from an address that is not the port's")
	}
	if p1.Counters().Spoofed == 0 || p2.Counters().Refused == 0 {
		t.Errorf("%+v, %+v", p1.Counters(), p2.Counters())
	}
}
