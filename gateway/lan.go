package gateway

import (
	"context"
	"encoding/binary"
	"io"
	"net/netip"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/fence"
	"github.com/hagane-cloud/hagane/lab/ether"
)

// mostStations bounds where stations were last seen.
const mostStations = 4096

// cableQueue is how many frames wait for a cable.
const cableQueue = 256

var broadcast = ether.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// lan is a network by the cables that lead to it: one at each place from which it is reached.
type lan struct {
	mac    ether.MAC
	cables []io.ReadWriteCloser
	outs   []*ether.Writer

	mu   sync.Mutex
	seen map[ether.MAC]int // by which cable a station was heard last
}

func newLAN(mac ether.MAC, cables []io.ReadWriteCloser) *lan {
	l := &lan{mac: mac, cables: cables, seen: map[ether.MAC]int{}}
	for range cables {
		l.outs = append(l.outs, ether.NewWriter(cableQueue))
	}
	return l
}

// fenced is a cable that nothing is sent by any more when the right to forward is lost.
type fenced struct {
	io.Writer
	ctx context.Context
}

// Write asks at the last moment.
func (f fenced) Write(b []byte) (int, error) {
	if err := fence.Check(f.ctx); err != nil {
		return 0, err
	}
	return f.Writer.Write(b)
}

// run carries frames until ctx ends or a cable is cut.
func (l *lan) run(ctx context.Context, deliver func(frame []byte)) error {
	g, gctx := errgroup.WithContext(ctx)
	for i, cable := range l.cables {
		g.Go(func() error { return l.outs[i].Run(fenced{cable, gctx}) })
		g.Go(func() error {
			frames := ether.NewReader(cable)
			for {
				frame, err := frames.Next()
				if err != nil {
					return fault.E(fault.Unavailable, "a router's cable was cut", err)
				}
				if l.hears(frame, i) {
					deliver(frame)
				}
			}
		})
	}
	g.Go(func() error {
		<-gctx.Done()
		l.close()
		return nil
	})
	if err := g.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

// hears notes where a station is. What is too short, or our own that came round, is not heard.
func (l *lan) hears(frame []byte, cable int) bool {
	if len(frame) < ether.HeaderLen {
		return false
	}
	src := ether.Src(frame)
	if src == l.mac || src.Multicast() {
		return false
	}
	if len(l.cables) > 1 {
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.seen) >= mostStations {
			clear(l.seen)
		}
		l.seen[src] = cable
	}
	return true
}

// send sends a frame to where its receiver was heard last, or everywhere.
func (l *lan) send(frame []byte) {
	l.mu.Lock()
	at, known := l.seen[ether.Dst(frame)]
	l.mu.Unlock()
	if known {
		l.outs[at].Deliver(frame)
		return
	}
	for _, out := range l.outs {
		out.Deliver(frame)
	}
}

func (l *lan) close() {
	for i, cable := range l.cables {
		l.outs[i].Close()
		_ = cable.Close()
	}
}

// ARP for IPv4 on Ethernet (RFC 826): what it begins with, and what it asks for.
const (
	arpLen     = 28
	arpRequest = 1
	arpReply   = 2
)

// arpFrame is a frame by which a station says, or asks, who has an address.
func arpFrame(from ether.MAC, op uint16, to ether.MAC, sender, target netip.Addr) []byte {
	frame := append(append(make([]byte, 0, 60), to[:]...), from[:]...)
	frame = append(frame, 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, byte(op))
	a, b := sender.As4(), target.As4()
	frame = append(append(frame, from[:]...), a[:]...)
	frame = append(append(frame, to[:]...), b[:]...)
	return append(frame, make([]byte, 60-len(frame))...)
}

// parseARP reads such a frame.
func parseARP(frame []byte) (op uint16, sender netip.Addr, station ether.MAC, target netip.Addr, ok bool) {
	b := frame[ether.HeaderLen:]
	if len(b) < arpLen || binary.BigEndian.Uint32(b) != 0x00010800 || b[4] != 6 || b[5] != 4 {
		return op, sender, station, target, false
	}
	return binary.BigEndian.Uint16(b[6:]), netip.AddrFrom4([4]byte(b[14:18])), ether.MAC(b[8:14]), netip.AddrFrom4([4]byte(b[24:28])), true
}
