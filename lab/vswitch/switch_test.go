package vswitch

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/lab/ether"
)

// listener is a machine on a port that keeps what it hears.
type listener struct {
	mu     sync.Mutex
	frames [][]byte
}

func (l *listener) Deliver(frame []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ether.Type(frame) != ether.TypeLLDP {
		l.frames = append(l.frames, frame)
	}
	return true
}

func (l *listener) heard() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.frames)
}

func frame(dst, src byte) []byte {
	f := make([]byte, 60)
	for i := range 6 {
		f[i] = dst
	}
	f[6], f[11] = 2, src
	if dst != 0xff {
		copy(f, []byte{2, 0, 0, 0, 0, dst})
	}
	f[12], f[13] = 0x08, 0x00
	return f
}

func rig(t *testing.T, n int) (*Switch, []*Port, []*listener) {
	t.Helper()
	s := New("lab", ether.MAC{2, 0xff})
	var ports []*Port
	var ears []*listener
	for i := range n {
		p, err := s.AddPort("p" + string(rune('1'+i)))
		if err != nil {
			t.Fatal(err)
		}
		l := &listener{}
		p.Plug(l)
		ports, ears = append(ports, p), append(ears, l)
	}
	return s, ports, ears
}

func set(t *testing.T, p *Port, c Config) {
	t.Helper()
	if err := p.SetConfig(c); err != nil {
		t.Fatal(err)
	}
}

func TestIsolatedUntilConfigured(t *testing.T) {
	_, p, ears := rig(t, 3)
	set(t, p[0], Config{Access: 10})
	p[0].Input(frame(0xff, 1))
	p[1].Input(frame(0xff, 2))
	if n := ears[0].heard() + ears[1].heard() + ears[2].heard(); n != 0 {
		t.Errorf("%d frames passed an isolated port", n)
	}
	if p[1].Counters().Blocked != 1 {
		t.Errorf("blocked %d", p[1].Counters().Blocked)
	}
}

func TestForwardsWithinOneVLANAndLearns(t *testing.T) {
	_, p, ears := rig(t, 4)
	for i, vlan := range []int{10, 10, 10, 20} {
		set(t, p[i], Config{Access: vlan})
	}
	p[0].Input(frame(0xff, 1)) // flooded to 1 and 2, teaches where station 1 is
	p[1].Input(frame(1, 2))    // to 0 alone
	if ears[0].heard() != 1 || ears[1].heard() != 1 || ears[2].heard() != 1 || ears[3].heard() != 0 {
		t.Errorf("heard %d %d %d %d", ears[0].heard(), ears[1].heard(), ears[2].heard(), ears[3].heard())
	}
	set(t, p[0], Config{})  // isolated: what was learnt is forgotten
	p[1].Input(frame(1, 2)) // flooded, station 1 is unknown now
	if ears[0].heard() != 1 || ears[2].heard() != 2 {
		t.Errorf("after isolation heard %d %d", ears[0].heard(), ears[2].heard())
	}
}

func TestTaggedPort(t *testing.T) {
	_, p, ears := rig(t, 3)
	set(t, p[0], Config{Access: 10})
	set(t, p[1], Config{Access: 20, Tagged: []int{10}})
	set(t, p[2], Config{Access: 20})
	p[0].Input(frame(0xff, 1))
	if ears[1].heard() != 1 {
		t.Fatal("tagged member heard nothing")
	}
	if vlan, ok := ether.VLAN(ears[1].frames[0]); !ok || vlan != 10 {
		t.Errorf("vlan %d %v", vlan, ok)
	}
	p[1].Input(ether.Tag(frame(1, 2), 10))
	if ears[0].heard() != 1 || len(ears[0].frames[0]) != 60 {
		t.Error("the tag was not taken off on the way to an access port")
	}
	p[2].Input(ether.Tag(frame(0xff, 3), 10))
	if ears[0].heard() != 1 {
		t.Error("a tagged frame hopped into a VLAN that its port does not carry")
	}
}

func TestLinkDownAndLLDP(t *testing.T) {
	s, p, ears := rig(t, 2)
	set(t, p[0], Config{Access: 10})
	set(t, p[1], Config{Access: 10})
	p[1].Unplug()
	p[0].Input(frame(0xff, 1))
	if ears[1].heard() != 0 || p[1].Up() {
		t.Error("a port without link passed a frame")
	}
	heard := make(lldpEar, 4)
	q, _ := s.AddPort("quiet")
	q.Plug(heard)
	want := ether.Neighbour{Chassis: "lab", Port: "quiet", System: "lab"}
	if got := <-heard; got != want {
		t.Errorf("at link up: %+v", got)
	}
	s.Announce()
	if got := <-heard; got != want {
		t.Errorf("later: %+v", got)
	}
	p[0].Input(ether.LLDP(ether.MAC{2}, want))
	if p[0].Counters().Blocked != 1 {
		t.Error("LLDP of a machine was forwarded")
	}
}

type lldpEar chan ether.Neighbour

func (e lldpEar) Deliver(frame []byte) bool {
	if n, ok := ether.ParseLLDP(frame); ok {
		e <- n
	}
	return true
}

func TestBadConfig(t *testing.T) {
	s, p, _ := rig(t, 1)
	for _, c := range []Config{{Access: -1}, {Access: 4095}, {Access: 5, Tagged: []int{5}}, {Tagged: []int{7, 7}}, {Tagged: []int{0}}} {
		if p[0].SetConfig(c) == nil {
			t.Errorf("%+v was taken", c)
		}
	}
	if _, err := s.AddPort("p1"); err == nil {
		t.Error("a second port of one name")
	}
	if _, err := s.AddPort("a/b"); err == nil {
		t.Error("a name with a slash")
	}
}

func TestCarryStreams(t *testing.T) {
	s := New("lab", ether.MAC{2, 0xff})
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	var ends []net.Conn
	for _, name := range []string{"a", "b"} {
		p, _ := s.AddPort(name)
		set(t, p, Config{Access: 10})
		near, far := net.Pipe()
		ends = append(ends, far)
		wait.Add(1)
		go func() {
			defer wait.Done()
			if err := p.Carry(ctx, near); err != nil {
				t.Errorf("carry %s: %v", name, err)
			}
		}()
	}
	from, to := ether.NewReader(ends[0]), ether.NewReader(ends[1])
	for _, r := range []*ether.Reader{from, to} { // each hears LLDP first: both are plugged in
		if f, err := r.Next(); err != nil || ether.Type(f) != ether.TypeLLDP {
			t.Fatalf("%v", err)
		}
	}
	out := ether.NewWriter(4)
	go func() { _ = out.Run(ends[0]) }()
	sent := frame(0xff, 1)
	out.Deliver(sent)
	_ = ends[1].SetReadDeadline(time.Now().Add(10 * time.Second))
	if got, err := to.Next(); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%v", err)
	}
	cancel()
	wait.Wait()
	out.Close()
	for _, p := range s.Ports() {
		if p.Up() {
			t.Errorf("%s is still up", p.Name())
		}
	}
}

func BenchmarkForwardStreams(b *testing.B) {
	s := New("lab", ether.MAC{2, 0xff})
	l, err := net.Listen("unix", b.TempDir()+"/s")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(b.Context())
	var wait sync.WaitGroup
	var ends []net.Conn
	for _, name := range []string{"a", "b"} {
		p, _ := s.AddPort(name)
		_ = p.SetConfig(Config{Access: 10})
		far, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		near, _ := l.Accept()
		ends = append(ends, far)
		wait.Add(1)
		go func() { defer wait.Done(); _ = p.Carry(ctx, near) }()
	}
	big := make([]byte, 1514)
	copy(big, frame(0xff, 1))
	out := ether.NewWriter(256)
	go func() { _ = out.Run(ends[0]) }()
	b.SetBytes(int64(len(big)))
	b.ResetTimer()
	go func() {
		for ctx.Err() == nil {
			out.Deliver(big)
		}
	}()
	r := ether.NewReader(ends[1])
	for range b.N {
		if _, err := r.Next(); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	cancel()
	out.Close()
	wait.Wait()
}

// BenchmarkInput forwards a datagram from one port to another: as it is, and through filters at both that know its flow.
func BenchmarkInput(b *testing.B) {
	sent := leaving(protoUDP, 999, 53)
	f := sent.frame(b)
	f = append(f, make([]byte, 1400)...)
	for _, filtered := range []bool{false, true} {
		b.Run(fmt.Sprintf("filtered=%t", filtered), func(b *testing.B) {
			s := New("lab", ether.MAC{2, 0xff})
			var from *Port
			for i, m := range []string{ownMAC, peerMAC} {
				p, err := s.AddPort(m)
				if err != nil {
					b.Fatal(err)
				}
				p.Plug(deaf{})
				if err := p.SetConfig(Config{Access: 10}); err != nil {
					b.Fatal(err)
				}
				a := []Address{{m, netip.MustParsePrefix([]string{ownIP, peerIP}[i] + "/32")}}
				any := Rule{Version: 4, Low: anyPort, High: anyPort}
				in := any
				in.In = true
				if filtered {
					if err := p.SetFilter(10, &Filter{MAC: m, Addresses: a, Rules: []Rule{any, in}}); err != nil {
						b.Fatal(err)
					}
				}
				if i == 0 {
					from = p
				} else {
					p.Input(arriving(protoUDP, 53, 999).frame(b)) // teaches where it is
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				from.Input(f)
			}
			if c := from.Counters(); c.Refused+c.Spoofed+c.Unread > 0 {
				b.Errorf("%+v", c)
			}
		})
	}
}

// deaf takes frames and keeps none.
type deaf struct{}

func (deaf) Deliver([]byte) bool { return true }
