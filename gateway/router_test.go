package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/fence"
	"github.com/hagane-cloud/hagane/lab/ether"
	"github.com/hagane-cloud/hagane/lab/netstack"
	"github.com/hagane-cloud/hagane/lab/vswitch"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/workflow"
)

func TestMain(m *testing.M) {
	code := m.Run()
	dbtest.Stop()
	os.Exit(code)
}

// site is a switch with stations.
type site struct {
	*testing.T
	sw *vswitch.Switch
	n  int
}

func newSite(t *testing.T) *site {
	return &site{T: t, sw: vswitch.New("lab", ether.MAC{2, 0, 0, 0, 0, 1})}
}

// station is a host in a VLAN that says to whoever connects to its port 7 who it is and whom it sees.
func (s *site) station(name string, vlan int, address, gateway string) *netstack.Host {
	s.Helper()
	p, err := s.sw.AddPort(name)
	if err != nil {
		s.Fatal(err)
	}
	if err := p.SetConfig(vswitch.Config{Access: vlan}); err != nil {
		s.Fatal(err)
	}
	s.n++
	c := netstack.Config{MAC: net.HardwareAddr{2, 0, 0, 1, 0, byte(s.n)}, Addr: netip.MustParsePrefix(address)}
	if gateway != "" {
		c.Gateway = netip.MustParseAddr(gateway)
	}
	h, err := netstack.NewOn(p, c)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { p.Unplug(); _ = h.Close() })
	p.Plug(h)
	l, err := h.Listen(7)
	if err != nil {
		s.Fatal(err)
	}
	served := make(chan struct{})
	s.Cleanup(func() { _ = l.Close(); <-served })
	go func() {
		defer close(served)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			from, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			_, _ = fmt.Fprintf(c, "%s sees %s", name, from)
			_ = c.Close()
		}
	}()
	return h
}

// plug plugs a router into the switch.
func (s *site) plug(ctx context.Context, vlan int) ([]io.ReadWriteCloser, error) {
	near, far := net.Pipe()
	port, err := s.sw.AddUplink(vlan)
	if err != nil {
		return nil, err
	}
	cable := port.Connect()
	go func() {
		defer s.sw.RemovePort(port)
		_ = cable.Carry(context.WithoutCancel(ctx), far)
	}()
	return []io.ReadWriteCloser{near}, nil
}

// hears connects from a host to an address and returns what is said there.
func (s *site) hears(h *netstack.Host, address string) string {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 20*time.Second)
	defer cancel()
	c, err := h.DialContext(ctx, "tcp", address+":7")
	if err != nil {
		return err.Error()
	}
	defer func() { _ = c.Close() }()
	said, err := io.ReadAll(c)
	if err != nil {
		return err.Error()
	}
	return string(said)
}

func (s *site) want(h *netstack.Host, address, want string) {
	s.Helper()
	if got := s.hears(h, address); got != want {
		s.Errorf("at %s: %q, want %q", address, got, want)
	}
}

// plan is that of a router with 10.1.0.1 in one VLAN and an address in another.
func plan(vlan int, outside string, floating map[netip.Addr]netip.Addr) network.RouterPlan {
	last := netip.MustParsePrefix(outside).Addr().As4()[3]
	return network.RouterPlan{ID: outside, SNAT: true, Floating: floating, OnLink: []netip.Prefix{netip.MustParsePrefix(outside).Masked()},
		Outside: &network.Leg{VLAN: 200, MTU: 1500, MAC: "02:48:00:00:01:" + strconv.Itoa(int(last)+10), Addresses: []netip.Prefix{netip.MustParsePrefix(outside)}},
		Inside:  []network.Leg{{VLAN: vlan, MTU: 1500, MAC: "02:48:00:00:02:" + strconv.Itoa(int(last)+10), Addresses: []netip.Prefix{netip.MustParsePrefix("10.1.0.1/24")}}}}
}

// forward forwards by a plan until the test ends.
func (s *site) forward(p network.RouterPlan) *nat {
	s.Helper()
	n := newNAT()
	n.configure(&p)
	r, err := newRouter(s.Context(), &p, n, s.plug)
	if err != nil {
		s.Fatal(err)
	}
	done := make(chan error, 1)
	ctx, stop := context.WithCancel(context.WithoutCancel(s.Context()))
	go func() { done <- r.run(ctx) }()
	s.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			s.Error(err)
		}
		r.close()
	})
	return n
}

func TestForwards(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	out := s.station("out", 200, "203.0.113.9/24", "")
	a := s.station("a", 101, "10.1.0.5/24", "10.1.0.1")
	c := s.station("c", 101, "10.1.0.6/24", "10.1.0.1")
	b := s.station("b", 102, "10.1.0.5/24", "10.1.0.1")
	n := s.forward(plan(101, "203.0.113.2/24", nil))
	s.forward(plan(102, "203.0.113.3/24", nil))

	s.want(a, "203.0.113.9", "out sees 203.0.113.2")
	s.want(b, "203.0.113.9", "out sees 203.0.113.3") // with the same addresses as a
	floats := plan(101, "203.0.113.2/24", map[netip.Addr]netip.Addr{netip.MustParseAddr("203.0.113.10"): netip.MustParseAddr("10.1.0.5")})
	n.configure(&floats)
	s.want(out, "203.0.113.10", "a sees 203.0.113.9")
	s.want(a, "203.0.113.9", "out sees 203.0.113.10")
	s.want(c, "203.0.113.9", "out sees 203.0.113.2")
	s.want(c, "203.0.113.10", "a sees 203.0.113.2") // by way of the outside
	s.want(b, "203.0.113.10", "a sees 203.0.113.3")
}

// deaf are leases that can not be renewed when the process is cut off, nor given back.
type deaf struct {
	*workflow.Engine
	cut chan struct{}
}

func (d *deaf) Renew(ctx context.Context, h workflow.Holder) error {
	select {
	case <-d.cut:
		return fault.Errorf(fault.Unavailable, "cut off")
	default:
		return d.Engine.Renew(ctx, h)
	}
}

func TestTakeOver(t *testing.T) {
	t.Parallel()
	d := dbtest.SQLite(t)
	ctx := t.Context()
	nets := network.NewService(network.Options{DB: d, VLANLo: 100, VLANHi: 199})
	ns, err := nets.CreateNetworks(ctx, []network.Network{{ProjectID: "p", Name: "n", AdminUp: true, VLAN: 101}, {ProjectID: "o", Name: "out", AdminUp: true, VLAN: 200, External: true}})
	if err != nil {
		t.Fatal(err)
	}
	subs, err := nets.CreateSubnets(ctx, "", []network.NewSubnet{{Subnet: network.Subnet{NetworkID: ns[0].ID, CIDR: "10.1.0.0/24"}}, {Subnet: network.Subnet{NetworkID: ns[1].ID, CIDR: "203.0.113.0/24"}}})
	if err != nil {
		t.Fatal(err)
	}
	rs, err := nets.CreateRouters(ctx, "", []network.NewRouter{{Router: network.Router{Record: network.Record{ProjectID: "p"}, AdminUp: true}, Gateway: &network.Gateway{NetworkID: ns[1].ID}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nets.AddInterface(ctx, "", rs[0].ID, "", subs[0].ID); err != nil {
		t.Fatal(err)
	}
	s := newSite(t)
	s.station("out", 200, "203.0.113.9/24", "")
	a := s.station("a", 101, "10.1.0.5/24", "10.1.0.1")

	log := slog.New(slog.DiscardHandler)
	agent := func(cut chan struct{}) *Agent {
		ag := NewAgent(Options{Routers: nets, Leases: &deaf{workflow.NewEngine(d, nil, log), cut}, Plug: s.plug, Log: log})
		done := make(chan error, 1)
		on, stop := context.WithCancel(context.WithoutCancel(ctx))
		go func() { done <- ag.Run(on) }()
		t.Cleanup(func() {
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		return ag
	}
	cut := make(chan struct{})
	first := agent(cut)
	until(t, func() bool { return serving(first) == 1 })
	s.want(a, "203.0.113.9", "out sees 203.0.113.2")
	second := agent(make(chan struct{}))
	close(cut)
	begun := time.Now()
	until(t, func() bool { return serving(second) == 1 })
	t.Logf("taken over after %s", time.Since(begun))
	s.want(a, "203.0.113.9", "out sees 203.0.113.2")
	until(t, func() bool { return serving(first) == 0 })
}

// TestNothingIsSentWithoutTheLease has a lease lost between two frames.
func TestNothingIsSentWithoutTheLease(t *testing.T) {
	t.Parallel()
	var lost error
	ctx := fence.With(t.Context(), func() error { return lost })
	near, far := net.Pipe()
	l := newLAN(ether.MAC{2}, []io.ReadWriteCloser{near})
	done := make(chan error, 1)
	go func() { done <- l.run(ctx, func([]byte) {}) }()
	l.send(make([]byte, 60))
	if _, err := ether.NewReader(far).Next(); err != nil {
		t.Fatal(err)
	}
	lost = workflow.ErrLost
	l.send(make([]byte, 60))
	if err := <-done; !errors.Is(err, workflow.ErrLost) {
		t.Errorf("the network ended with %v", err)
	}
	if _, err := ether.NewReader(far).Next(); err == nil {
		t.Error("a frame was sent without the lease")
	}
}

func serving(a *Agent) int {
	n, _ := a.Figures()
	return n
}

// until waits for something that comes by itself.
func until(t *testing.T, fn func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for !fn() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("it did not come about within a minute")
		}
	}
}
