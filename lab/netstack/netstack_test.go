package netstack_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/ether"
	"github.com/hagane-cloud/hagane/lab/netstack"
	"github.com/hagane-cloud/hagane/lab/vswitch"
)

const vlan = 100

// segment is a switch with one VLAN on which hosts can be put in both ways.
func segment(t testing.TB) (stream, direct func(last byte, addr string) *netstack.Host) {
	t.Helper()
	sw := vswitch.New("lab", ether.MAC{2, 0xff})
	config := func(last byte, addr string) netstack.Config {
		c := netstack.Config{MAC: net.HardwareAddr{2, 0, 0, 0, 0, last}}
		if addr != "" {
			c.Addr = netip.MustParsePrefix(addr)
		}
		return c
	}
	closed := func(h *netstack.Host, err error) *netstack.Host {
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		return h
	}
	stream = func(last byte, addr string) *netstack.Host {
		port, err := sw.AddUplink(vlan)
		if err != nil {
			t.Fatal(err)
		}
		near, far := net.Pipe()
		carried := make(chan error, 1)
		cable := port.Connect() // now, so that no broadcast passes the host by
		go func() { carried <- cable.Carry(context.Background(), near) }()
		t.Cleanup(func() {
			if err := <-carried; err != nil {
				t.Errorf("carry: %v", err)
			}
		})
		return closed(netstack.New(far, config(last, addr)))
	}
	direct = func(last byte, addr string) *netstack.Host {
		port, err := sw.AddUplink(vlan)
		if err != nil {
			t.Fatal(err)
		}
		h := closed(netstack.NewOn(port, config(last, addr)))
		port.Plug(h)
		return h
	}
	return stream, direct
}

func TestHTTPBetweenHosts(t *testing.T) {
	stream, direct := segment(t)
	server, client := stream(1, "198.18.0.1/24"), direct(2, "198.18.0.2/24")
	l, err := server.Listen(80)
	if err != nil {
		t.Fatal(err)
	}
	payload := make([]byte, 8<<20)
	_, _ = rand.Read(payload)
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(payload) })}
	served := make(chan struct{})
	go func() { defer close(served); _ = web.Serve(l) }()
	defer func() { _ = web.Close(); <-served }()

	agent := &http.Client{Transport: &http.Transport{DialContext: client.DialContext}, Timeout: time.Minute}
	defer agent.CloseIdleConnections()
	res, err := agent.Get("http://198.18.0.1/")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || !bytes.Equal(got, payload) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestBroadcastWithoutAddress(t *testing.T) {
	stream, direct := segment(t)
	server, client := stream(1, "198.18.0.1/24"), direct(2, "")
	in, err := server.ListenPacket(67)
	if err != nil {
		t.Fatal(err)
	}
	out, err := client.ListenPacket(68)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.PacketConn{in, out} {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		defer c.Close()
	}
	if _, err := out.WriteTo([]byte("discover"), &net.UDPAddr{IP: net.IPv4bcast, Port: 67}); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, from, err := in.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "discover" || from.String() != "0.0.0.0:68" {
		t.Fatalf("%q from %v: %v", buf[:n], from, err)
	}
	if _, err := in.WriteTo([]byte("offer"), &net.UDPAddr{IP: net.IPv4bcast, Port: 68}); err != nil {
		t.Fatal(err)
	}
	n, from, err = out.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "offer" || from.String() != "198.18.0.1:67" {
		t.Fatalf("%q from %v: %v", buf[:n], from, err)
	}
	// The address arrives: unicast works both ways now.
	if err := client.SetAddress(netip.MustParsePrefix("198.18.0.2/24"), netip.MustParseAddr("198.18.0.1")); err != nil {
		t.Fatal(err)
	}
	if _, err := in.WriteTo([]byte("ack"), &net.UDPAddr{IP: net.IPv4(198, 18, 0, 2), Port: 68}); err != nil {
		t.Fatal(err)
	}
	n, _, err = out.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "ack" {
		t.Fatalf("%q: %v", buf[:n], err)
	}
	if err := client.SetAddress(netip.Prefix{}, netip.Addr{}); err != nil {
		t.Errorf("give the address back: %v", err)
	}
}

func TestUnicastToClientWithoutAddress(t *testing.T) {
	stream, direct := segment(t)
	server, client := stream(1, "198.18.0.1/24"), direct(2, "198.18.0.2/24")
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 2}
	if err := server.SetNeighbour(netip.MustParseAddr("198.18.0.2"), mac); err != nil {
		t.Fatal(err)
	}
	in, _ := server.ListenPacket(0)
	out, _ := client.ListenPacket(68)
	_ = out.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := in.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(198, 18, 0, 2), Port: 68}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := out.ReadFrom(make([]byte, 9)); err != nil {
		t.Error(err)
	}
}

func TestLostSegment(t *testing.T) {
	near, far := net.Pipe()
	h, err := netstack.New(far, netstack.Config{MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Addr: netip.MustParsePrefix("10.0.0.1/24")})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	_ = near.Close()
	select {
	case <-h.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the host did not notice")
	}
	if h.Err() == nil {
		t.Error("no reason given")
	}
}

func TestDialFaults(t *testing.T) {
	_, direct := segment(t)
	h := direct(1, "10.0.0.1/24")
	if _, err := h.DialContext(t.Context(), "tcp", "example.org:80"); !fault.Is(err, fault.Invalid) {
		t.Errorf("name: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := h.DialContext(ctx, "tcp", "10.0.0.9:22"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("nobody there: %v", err)
	}
}

func BenchmarkTCP(b *testing.B) {
	stream, _ := segment(b)
	server, client := stream(1, "198.18.0.1/24"), stream(2, "198.18.0.2/24")
	l, err := server.Listen(80)
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, c)
	}()
	c, err := client.DialContext(b.Context(), "tcp", "198.18.0.1:80")
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if _, err := c.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
	_ = c.Close()
	<-done
}
