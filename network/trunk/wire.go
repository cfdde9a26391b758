package trunk

import (
	"errors"
	"io"
	"net"
	"sync"

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
	cables map[int]*cable // by VLAN; nil when the wire is lost
}

// cable is one VLAN of a wire: the near end is its holder's.
type cable struct {
	net.Conn // the near end
	far      net.Conn
	in       *ether.Writer // frames from the NIC, on their way to the holder
	unplug   func()
}

// newWire reads from a socket until it is broken, and says so.
func newWire(s *socket, native int, told func(error)) *wire {
	w := &wire{socket: s, native: native, told: told, cables: map[int]*cable{}}
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
		w.mu.RLock()
		c := w.cables[vlan]
		w.mu.RUnlock()
		if c != nil {
			c.in.DeliverNow(frame)
		}
	}
}

// plug makes a cable in a VLAN.
func (w *wire) plug(vlan int) (io.ReadWriteCloser, error) {
	near, far := net.Pipe()
	c := &cable{Conn: near, far: far, in: ether.NewWriter(queueDepth)}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.cables == nil:
		return nil, fault.Errorf(fault.Unavailable, "the trunk was lost just now; it is tried again")
	case w.cables[vlan] != nil:
		return nil, fault.Errorf(fault.Conflict, "there is a cable in VLAN %d of the trunk already", vlan)
	}
	w.cables[vlan] = c
	c.unplug = func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.cables[vlan] == c {
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
			w.socket.send(tag, frame)
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
	for _, c := range cables {
		c.cut()
	}
}
