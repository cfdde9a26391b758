package trunk

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/ether"
)

// queueDepth is how many frames wait for a stack that can not keep up; more are dropped, as on a real wire.
const queueDepth = 256

// wire is an open socket, and the cables that share it. It lives until the NIC goes down.
type wire struct {
	socket *socket
	native int
	told   func(error) // of its loss
	wait   sync.WaitGroup

	mu     sync.RWMutex
	cables map[int][]*cable // by VLAN; nil when the wire is lost
}

// cable is a way into one VLAN of a wire, of which there may be several, for one station each: the near end is its holder's.
type cable struct {
	net.Conn // the near end
	far      net.Conn
	in       *ether.Writer // frames from the NIC and from other cables, on their way to the holder
	unplug   func()
	station  atomic.Pointer[ether.MAC] // whose address the holder's frames have; nil before the first
}

// wants reports whether a frame may be for the cable's station.
func (c *cable) wants(dst ether.MAC) bool {
	station := c.station.Load()
	return dst.Multicast() || station == nil || *station == dst
}

// newWire reads from a socket until it is broken, and says so.
func newWire(s *socket, native int, told func(error)) *wire {
	w := &wire{socket: s, native: native, told: told, cables: map[int][]*cable{}}
	w.wait.Go(func() { w.end(w.read()) })
	return w
}

// read hands frames on until the socket is broken.
func (w *wire) read() error {
	for {
		vlan, frame, err := w.socket.receive()
		if err != nil {
			return err
		}
		if vlan == 0 {
			vlan = w.native
		}
		if frame == nil || vlan == 0 {
			continue
		}
		if len(frame) >= ether.HeaderLen {
			w.hand(vlan, frame, nil)
		}
	}
}

// hand gives a frame to the cables of a VLAN that may want it, but for the one that it came by, and reports whether one of them is where it
// belongs.
func (w *wire) hand(vlan int, frame []byte, from *cable) (settled bool) {
	dst := ether.Dst(frame)
	w.mu.RLock()
	defer w.mu.RUnlock()
	for _, c := range w.cables[vlan] {
		if c == from || !c.wants(dst) {
			continue
		}
		c.in.DeliverNow(frame)
		if station := c.station.Load(); station != nil && *station == dst {
			return true
		}
	}
	return false
}

// plug makes a cable in a VLAN.
func (w *wire) plug(vlan int) (io.ReadWriteCloser, error) {
	near, far := net.Pipe()
	c := &cable{Conn: near, far: far, in: ether.NewWriter(queueDepth)}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cables == nil {
		return nil, fault.Errorf(fault.Unavailable, "the trunk was lost just now; it is tried again")
	}
	w.cables[vlan] = append(w.cables[vlan], c)
	c.unplug = func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if left := slices.DeleteFunc(w.cables[vlan], func(other *cable) bool { return other == c }); len(left) > 0 {
			w.cables[vlan] = left
		} else if w.cables != nil {
			delete(w.cables, vlan)
		}
	}
	w.wait.Go(func() { _ = c.in.Run(far) }) // it ends with the cable
	w.wait.Go(func() {
		defer c.cut()
		tag := vlan
		if vlan == w.native {
			tag = 0
		}
		frames := ether.NewReader(far)
		for {
			frame, err := frames.Next()
			if err != nil {
				return
			}
			if len(frame) < ether.HeaderLen {
				continue
			}
			if src := ether.Src(frame); c.station.Load() == nil || *c.station.Load() != src {
				c.station.Store(&src)
			}
			if !w.hand(vlan, frame, c) {
				w.socket.send(tag, frame)
			}
		}
	})
	return c, nil
}

// Close unplugs the cable.
func (c *cable) Close() error {
	c.unplug()
	c.cut()
	return c.Conn.Close()
}

// cut ends the far end.
func (c *cable) cut() {
	c.in.Close()
	_ = c.far.Close()
}

// lost reports whether the NIC went down or away.
func (w *wire) lost() bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.cables == nil
}

// end cuts all cables. Whoever ends the wire says why; it is told once, and not at all when we closed it ourselves.
func (w *wire) end(err error) {
	w.mu.Lock()
	cables := w.cables
	w.cables = nil
	w.mu.Unlock()
	if cables == nil {
		return
	}
	if !errors.Is(err, net.ErrClosed) {
		w.told(err)
	}
	_ = w.socket.Close()
	for _, all := range cables {
		for _, c := range all {
			c.cut()
		}
	}
}
