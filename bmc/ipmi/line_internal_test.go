package ipmi

import (
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/bougou/go-ipmi/pkg/client"
)

// TestLineIsClosedWhileItIsUsed has the library ask by a line that is closed at the same time, as its goroutine does that keeps sessions alive.
func TestLineIsClosedWhileItIsUsed(t *testing.T) {
	far, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var answering sync.WaitGroup
	answering.Go(func() {
		for b := make([]byte, 64); ; {
			n, from, err := far.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = far.WriteTo(b[:n], from)
		}
	})
	defer answering.Wait()
	defer func() { _ = far.Close() }()

	for range 200 {
		way := &dialer{address: far.LocalAddr().String()}
		c := client.NewUDPClient("127.0.0.1", 0).SetProxy(way)
		ask := func() error { _, err := c.Exchange(t.Context(), strings.NewReader("?")); return err }
		if err := ask(); err != nil {
			t.Fatal(err)
		}
		first := way.line
		var asking sync.WaitGroup
		asking.Go(func() {
			for range 100 {
				if ask() != nil {
					return
				}
			}
		})
		if err := c.Close(); !errors.Is(err, errOver) {
			t.Fatal("closing:", err)
		}
		asking.Wait()
		if err := ask(); !errors.Is(err, net.ErrClosed) || way.line != first {
			t.Fatalf("asked after that: %v; another line: %v", err, way.line != first)
		}
	}
}
