package netboot_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

// fabric is a network of streams between hosts, each on a port with a rate each way. It knows no packets and loses none; a
// stream holds back its sender when much is on its way. Its time is the test's, so a bubble of synctest measures on it what a
// network would take, whatever the processors can do.
type fabric struct {
	rate float64 // bytes a second, each way, of hosts that have no other

	mu    sync.Mutex
	hosts map[netip.Addr]*station
}

const (
	segment = 4 << 10                // what goes over a line at once
	window  = 64 << 10               // bytes of a stream that may be on their way
	latency = 100 * time.Microsecond // of the way from host to host
)

func newFabric(bits int64) *fabric {
	return &fabric{rate: float64(bits) / 8, hosts: map[netip.Addr]*station{}}
}

// station is a host.
type station struct {
	*fabric
	addr     netip.Addr
	rate     float64 // bytes a second, each way
	up, down wire

	mu        sync.Mutex
	listeners map[uint16]*listener
	next      uint16
}

// wire is one direction of a port.
type wire struct {
	mu   sync.Mutex
	free time.Time
}

// take returns when n bytes are through that begin now.
func (w *wire) take(n int, rate float64) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := time.Now(); w.free.Before(now) {
		w.free = now
	}
	w.free = w.free.Add(time.Duration(float64(n) / rate * float64(time.Second)))
	return w.free
}

func (f *fabric) host(addr string) *station {
	h := &station{fabric: f, addr: netip.MustParseAddr(addr), rate: f.rate, listeners: map[uint16]*listener{}, next: 1024}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hosts[h.addr] = h
	return h
}

func (h *station) ListenPacket(int) (net.PacketConn, error) { return nil, os.ErrInvalid }

func (h *station) Listen(port int) (net.Listener, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if port == 0 {
		h.next++
		port = int(h.next)
	}
	l := &listener{host: h, port: uint16(port), queue: make(chan net.Conn, 64), done: make(chan struct{})}
	h.listeners[l.port] = l
	return l, nil
}

func (h *station) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	h.fabric.mu.Lock()
	far := h.hosts[to.Addr()]
	h.fabric.mu.Unlock()
	refused := fault.Errorf(fault.Unavailable, "nobody listens at %s", address)
	if far == nil {
		return nil, refused
	}
	time.Sleep(latency)
	far.mu.Lock()
	l := far.listeners[to.Port()]
	far.mu.Unlock()
	if l == nil {
		return nil, refused
	}
	h.mu.Lock()
	h.next++
	from := netip.AddrPortFrom(h.addr, h.next)
	h.mu.Unlock()
	there, back := newHalf(h, far), newHalf(far, h)
	near, other := &stream{out: there, in: back, local: from, remote: to}, &stream{out: back, in: there, local: to, remote: from}
	select {
	case l.queue <- other:
		return near, nil
	case <-l.done:
		return nil, refused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type listener struct {
	host  *station
	port  uint16
	queue chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.host.mu.Lock()
		defer l.host.mu.Unlock()
		delete(l.host.listeners, l.port)
	})
	return nil
}

func (l *listener) Addr() net.Addr { return &net.TCPAddr{IP: l.host.addr.AsSlice(), Port: int(l.port)} }

// half is one direction of a stream.
type half struct {
	from, to *station

	mu      sync.Mutex
	changed chan struct{}
	queue   []parcel
	unread  int       // bytes on the way or not read yet
	closed  bool      // by the sender: what is queued can still be read
	gone    bool      // by the reader
	rd, wd  time.Time // deadlines
}

// parcel is a segment, and when it is there.
type parcel struct {
	data []byte
	at   time.Time
}

func newHalf(from, to *station) *half { return &half{from: from, to: to, changed: make(chan struct{})} }

// change does something and wakes who waits.
func (h *half) change(fn func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fn()
	close(h.changed)
	h.changed = make(chan struct{})
}

// await waits for a change, or until a time unless that is zero.
func await(changed <-chan struct{}, until time.Time) {
	if until.IsZero() {
		<-changed
		return
	}
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	}
}

func (h *half) write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		part := b[done:min(len(b), done+segment)]
		h.mu.Lock()
		deadline, changed := h.wd, h.changed
		full, broken := h.unread+len(part) > window, h.closed || h.gone
		if !full && !broken {
			h.unread += len(part)
		}
		h.mu.Unlock()
		switch {
		case broken:
			return done, io.ErrClosedPipe
		case !deadline.IsZero() && !time.Now().Before(deadline):
			return done, os.ErrDeadlineExceeded
		case full:
			await(changed, deadline)
			continue
		}
		time.Sleep(time.Until(h.from.up.take(len(part), h.from.rate)))
		there := h.to.down.take(len(part), h.to.rate).Add(latency)
		data := append([]byte(nil), part...)
		h.change(func() { h.queue = append(h.queue, parcel{data, there}) })
		done += len(part)
	}
	return done, nil
}

func (h *half) read(b []byte) (int, error) {
	for {
		h.mu.Lock()
		deadline, changed := h.rd, h.changed
		now := time.Now()
		switch {
		case h.gone:
			h.mu.Unlock()
			return 0, net.ErrClosed
		case !deadline.IsZero() && !now.Before(deadline):
			h.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case len(h.queue) > 0 && !h.queue[0].at.After(now):
			n := copy(b, h.queue[0].data)
			if h.queue[0].data = h.queue[0].data[n:]; len(h.queue[0].data) == 0 {
				h.queue = h.queue[1:]
			}
			h.unread -= n
			close(h.changed)
			h.changed = make(chan struct{})
			h.mu.Unlock()
			return n, nil
		case len(h.queue) == 0 && h.closed:
			h.mu.Unlock()
			return 0, io.EOF
		case len(h.queue) > 0 && (deadline.IsZero() || h.queue[0].at.Before(deadline)):
			deadline = h.queue[0].at
		}
		h.mu.Unlock()
		await(changed, deadline)
	}
}

// stream is one end of a connection.
type stream struct {
	out, in       *half
	local, remote netip.AddrPort
}

func (c *stream) Read(b []byte) (int, error)  { return c.in.read(b) }
func (c *stream) Write(b []byte) (int, error) { return c.out.write(b) }
func (c *stream) Close() error {
	c.out.change(func() { c.out.closed = true })
	c.in.change(func() { c.in.gone = true })
	return nil
}
func (c *stream) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c *stream) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }
func (c *stream) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}
func (c *stream) SetReadDeadline(t time.Time) error {
	c.in.change(func() { c.in.rd = t })
	return nil
}
func (c *stream) SetWriteDeadline(t time.Time) error {
	c.out.change(func() { c.out.wd = t })
	return nil
}
