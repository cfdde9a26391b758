package swarm

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hagane-cloud/hagane/agent/manifest"
	"github.com/hagane-cloud/hagane/fault"
)

const chunks = 24

// lan is a network of pipes: every listener has a port of 127.0.0.1.
type lan struct {
	mu    sync.Mutex
	ports map[string]*socket
	calls map[string]int // how often each address was called
}

func newLAN() *lan { return &lan{ports: map[string]*socket{}, calls: map[string]int{}} }

type socket struct {
	at    *net.TCPAddr
	queue chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (s *socket) Accept() (net.Conn, error) {
	select {
	case c := <-s.queue:
		return c, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}
func (s *socket) Close() error   { s.once.Do(func() { close(s.done) }); return nil }
func (s *socket) Addr() net.Addr { return s.at }

// pipe is one end of a connection.
type pipe struct {
	net.Conn
	remote net.Addr
}

func (p pipe) RemoteAddr() net.Addr { return p.remote }

func (l *lan) Listen() (net.Listener, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &socket{at: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1001 + len(l.ports)}, queue: make(chan net.Conn), done: make(chan struct{})}
	l.ports[s.at.String()] = s
	return s, nil
}

func (l *lan) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	l.mu.Lock()
	s := l.ports[address]
	l.calls[address]++
	l.mu.Unlock()
	if s == nil {
		return nil, errors.New("refused")
	}
	near, far := net.Pipe()
	select {
	case s.queue <- pipe{far, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}}:
		return pipe{near, s.at}, nil
	case <-s.done:
		return nil, errors.New("refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *lan) called(address string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls[address]
}

// depot is a store and a tracker. It sends each chunk once, and more often only to who is alone.
type depot struct {
	raw      []byte
	manifest *manifest.Manifest

	mu    sync.Mutex
	sent  [chunks]int
	at    map[int]bool // ports where agents are
	fail  func(i int) error
	deaf  bool // there is no tracker
	stops int  // after so many chunks there are no more; 0: never
}

func newDepot(t testing.TB) *depot {
	raw := make([]byte, chunks*manifest.Least-100)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(raw)
	m, err := manifest.Make(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return &depot{raw: raw, manifest: m, at: map[int]bool{}}
}

func (d *depot) Meet(_ context.Context, port int) ([]netip.AddrPort, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.deaf {
		return nil, fault.Errorf(fault.Unavailable, "no tracker")
	}
	var others []netip.AddrPort
	for p := range d.at {
		if p != port {
			others = append(others, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(p)))
		}
	}
	if port != 0 {
		d.at[port] = true
	}
	return others, nil
}

func (d *depot) Chunk(_ context.Context, want []byte, alone bool, accept func(i int) []byte) (bool, error) {
	time.Sleep(10 * time.Millisecond) // in the bubble's time: so others have a chance
	d.mu.Lock()
	defer d.mu.Unlock()
	total := 0
	for _, n := range d.sent {
		total += n
	}
	for i := range chunks {
		if !bitset(want).has(i) || d.sent[i] > 0 && !alone || d.stops > 0 && total >= d.stops {
			continue
		}
		if d.fail != nil {
			if err := d.fail(i); err != nil {
				return false, err
			}
		}
		room := accept(i)
		if room == nil {
			return true, nil
		}
		d.sent[i]++
		copy(room, d.raw[i*manifest.Least:])
		return true, nil
	}
	return false, nil
}

// trouble is what the store says while it is in some.
func (d *depot) trouble(is bool) error {
	if is {
		return fault.Errorf(fault.Unavailable, "the store is in trouble")
	}
	return nil
}

// box is a machine.
type box struct {
	*Swarm
	disk    []byte
	buffers atomic.Int32
}

var key = bytes.Repeat([]byte{5}, KeyBytes)

const patience = time.Minute

func join(t testing.TB, l *lan, d *depot, change func(o *Options)) *box {
	t.Helper()
	b := &box{disk: make([]byte, len(d.raw))}
	o := Options{
		Manifest: d.manifest, Key: key, Network: l, Cloud: d, Patience: patience,
		Place:  func(chunk []byte, at int64) error { copy(b.disk[at:], chunk); return nil },
		Read:   func(into []byte, at int64) error { copy(into, b.disk[at:]); return nil },
		Buffer: func(n int) []byte { b.buffers.Add(1); return make([]byte, n) },
	}
	if change != nil {
		change(&o)
	}
	var err error
	if b.Swarm, err = New(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// fetched fetches the image and checks it.
func (b *box) fetched(t testing.TB, d *depot) {
	t.Helper()
	if err := b.Fetch(t.Context()); err != nil {
		t.Error(err)
	} else if !bytes.Equal(b.disk, d.raw) {
		t.Error("the disk holds something else than the image")
	}
}

// TestExchange has agents come by an image of which the store sends each chunk but once, in bounded memory.
func TestExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, d := newLAN(), newDepot(t)
		all := make([]*box, 5)
		for i := range all {
			all[i] = join(t, l, d, nil)
		}
		time.Sleep(time.Second) // they have met
		var g sync.WaitGroup
		for _, b := range all {
			g.Go(func() { b.fetched(t, d) })
		}
		g.Wait()
		var peers int64
		for _, b := range all {
			peers += b.Counts().Peers
			if n := b.buffers.Load(); int(n) > b.flights+b.mostGifts+2 {
				t.Errorf("%d buffers were made; %d chunks are taken, %d given and two drawn at the same time", n, b.flights, b.mostGifts)
			}
		}
		if want := int64(4 * len(d.raw)); peers != want {
			t.Errorf("%d bytes came from peers, want %d: %v", peers, want, d.sent)
		}
	})
}

// TestLargeChunks has no more of them in memory than small ones.
func TestLargeChunks(t *testing.T) {
	m := &manifest.Manifest{Size: 1 << 40, ChunkBytes: manifest.Most}
	raw, err := manifest.Decode(append(m.Encode(), make([]byte, m.Len()*32)...))
	if err != nil {
		t.Fatal(err)
	}
	d := newDepot(t)
	b := join(t, newLAN(), d, func(o *Options) { o.Manifest = raw })
	if bytes := int64(b.flights+b.mostGifts+2) * raw.ChunkBytes; bytes > 100<<20 {
		t.Errorf("%d MiB of chunks are in memory", bytes>>20)
	}
}

// rogue is a peer of the wave that says it has everything, and then does something with each connection.
func rogue(t testing.TB, l *lan, d *depot, then func(c *tls.Conn)) string {
	t.Helper()
	s, err := l.Listen()
	if err != nil {
		t.Fatal(err)
	}
	var talking sync.WaitGroup
	t.Cleanup(func() {
		_ = s.Close()
		talking.Wait()
	})
	config, err := identity(key)
	if err != nil {
		t.Fatal(err)
	}
	d.at[s.Addr().(*net.TCPAddr).Port] = true
	talking.Go(func() {
		for {
			raw, err := s.Accept()
			if err != nil {
				return
			}
			talking.Go(func() {
				defer func() { _ = raw.Close() }()
				c := tls.Server(raw, config)
				set := newBits(chunks)
				for i := range chunks {
					set.set(i)
				}
				_ = say(c, sayHello, 0)
				_ = say(c, sayAll, len(set))
				_, _ = c.Write(set)
				then(c)
			})
		}
	})
	return s.Addr().String()
}

// hearAsk waits until a connection is asked for a chunk.
func hearAsk(c *tls.Conn) (int, bool) {
	e := &ear{from: c, manifest: &manifest.Manifest{Size: chunks * manifest.Least, ChunkBytes: manifest.Least}, asked: -1}
	for {
		said, err := e.next()
		if err != nil || said.wanted >= 0 {
			return said.wanted, err == nil
		}
	}
}

// TestRogues has an agent come by its image although a peer that has all of it, as it says, does not keep to that.
func TestRogues(t *testing.T) {
	part := make([]byte, manifest.Least)
	for name, c := range map[string]struct {
		then func(c *tls.Conn)
		most int           // calls
		took time.Duration // at most
	}{
		"lies": {func(c *tls.Conn) {
			_, _ = hearAsk(c)
			_ = say(c, sayPart, len(part))
			_, _ = c.Write(part)
			_, _ = hearAsk(c)
		}, 1, 10 * time.Second},
		"falls silent": {func(c *tls.Conn) { _, _ = hearAsk(c); _, _ = hearAsk(c) }, 3, 3 * patience},
		"only says that it lives": {func(c *tls.Conn) {
			for say(c, sayAlive, 0) == nil {
				time.Sleep(time.Second)
			}
		}, 3, 5 * patience},
		"dies in the middle": {func(c *tls.Conn) {
			_, _ = hearAsk(c)
			_ = say(c, sayPart, 100)
			_, _ = c.Write(part[:100])
		}, 20, 3 * patience},
		"breaks the rules": {func(c *tls.Conn) { _ = say(c, sayHave, chunks) }, 1, 10 * time.Second},
		"refuses": {func(c *tls.Conn) {
			for {
				i, ok := hearAsk(c)
				if !ok {
					return
				}
				_ = say(c, sayNo, i)
			}
		}, 1, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, d := newLAN(), newDepot(t)
				at := rogue(t, l, d, c.then)
				began := time.Now()
				b := join(t, l, d, nil)
				time.Sleep(time.Second) // it has met the rogue
				b.fetched(t, d)
				if n := l.called(at); n == 0 || n > c.most {
					t.Errorf("called %d times, want 1 to %d", n, c.most)
				}
				if took := time.Since(began); took > c.took {
					t.Errorf("took %s, want %s at most", took, c.took)
				}
				if counts := b.Counts(); counts.Peers != 0 {
					t.Errorf("%d bytes are said to have come from it", counts.Peers)
				}
			})
		})
	}
}

// TestStrangers have nothing of the wave: neither with another key nor without one.
func TestStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, d := newLAN(), newDepot(t)
		b := join(t, l, d, nil)
		b.fetched(t, d)
		other, err := identity(bytes.Repeat([]byte{6}, KeyBytes))
		if err != nil {
			t.Fatal(err)
		}
		for name, config := range map[string]*tls.Config{"another key": other, "no key": {InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}} {
			raw, err := l.DialContext(t.Context(), "tcp", b.listen.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			config = config.Clone()
			config.VerifyConnection = nil // the stranger takes anybody
			c := tls.Client(raw, config)
			_, err = c.Read(make([]byte, 1))
			if err == nil {
				t.Errorf("with %s something was told", name)
			}
			_ = c.Close()
		}
	})
}

// TestStoreAlone has the store give everything where nobody is met, and where the tracker is out of order.
func TestStoreAlone(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		t.Run(fmt.Sprint("deaf=", deaf), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, d := newLAN(), newDepot(t)
				d.deaf = deaf
				b := join(t, l, d, nil)
				b.fetched(t, d)
				if c := b.Counts(); c.Store != int64(len(d.raw)) || c.Peers != 0 {
					t.Errorf("%+v", c)
				}
			})
		})
	}
}

// TestResume breaks the store off again and again: no chunk is sent twice.
func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, d := newLAN(), newDepot(t)
		times := 0
		d.fail = func(int) error {
			if times++; times%3 == 0 {
				return fault.Errorf(fault.Unavailable, "the connection broke")
			}
			return nil
		}
		b := join(t, l, d, nil)
		b.fetched(t, d)
		for i, n := range d.sent {
			if n != 1 {
				t.Errorf("chunk %d was sent %d times", i, n)
			}
		}
	})
}

// TestNoMore ends when nobody has what is missing, or at once when the store refuses or the disk fails.
func TestNoMore(t *testing.T) {
	for name, c := range map[string]struct {
		change func(d *depot, o *Options)
		kind   fault.Kind
		least  time.Duration
	}{
		"nobody has it": {func(d *depot, _ *Options) { d.stops = 3 }, fault.Unavailable, 3 * patience},
		"refused": {func(d *depot, _ *Options) {
			d.fail = func(int) error { return fault.Errorf(fault.Denied, "the order was taken back") }
		}, fault.Denied, 0},
		"in trouble": {func(d *depot, _ *Options) {
			d.fail = func(i int) error { return d.trouble(i > 3) }
		}, fault.Unavailable, storeWithin},
		"disk": {func(_ *depot, o *Options) {
			o.Place = func([]byte, int64) error { return fault.Errorf(fault.Internal, "the disk is broken") }
		}, fault.Internal, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, d := newLAN(), newDepot(t)
				b := join(t, l, d, func(o *Options) { c.change(d, o) })
				began := time.Now()
				err := b.Fetch(t.Context())
				if took := time.Since(began); !fault.Is(err, c.kind) || took < c.least || took > c.least+patience {
					t.Errorf("%v after %s", err, took)
				}
			})
		})
	}
}

// TestStoreDown has a store that is down for minutes while a peer gives, slowly, what it has: the agent waits for the store,
// and is given the rest by it.
func TestStoreDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most, slowly = chunks - 4, 5 * time.Second
		l, d := newLAN(), newDepot(t)
		d.stops = most
		var first *box
		first = join(t, l, d, func(o *Options) {
			o.Read = func(into []byte, at int64) error {
				time.Sleep(slowly)
				copy(into, first.disk[at:])
				return nil
			}
		})
		brief, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := first.Fetch(brief); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		d.stops = 0
		began := time.Now()
		up := began.Add((most + 2) * slowly)
		d.fail = func(int) error { return d.trouble(time.Now().Before(up)) }
		second := join(t, l, d, nil)
		second.fetched(t, d)
		if c := second.Counts(); c.Peers != int64(most*manifest.Least) {
			t.Errorf("%+v", c)
		}
		if took := time.Since(began); took < up.Sub(began) || took > up.Sub(began)+2*storeWait {
			t.Errorf("took %s, and the store was down for %s", took, up.Sub(began))
		}
	})
}

// TestStale does not give what the disk does not hold any more: the other one has it from the store.
func TestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, d := newLAN(), newDepot(t)
		first := join(t, l, d, nil)
		first.fetched(t, d)
		clear(first.disk[:3*manifest.Least]) // an order that follows changed it
		d.sent = [chunks]int{}
		second := join(t, l, d, nil)
		time.Sleep(time.Second) // they have met
		second.fetched(t, d)
		if want := int64(3 * manifest.Least); second.Counts().Store != want {
			t.Errorf("%d bytes came from the store, want %d", second.Counts().Store, want)
		}
	})
}

// TestFinish gives on until the others have the image, and not longer than it may.
func TestFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, d := newLAN(), newDepot(t)
		first := join(t, l, d, nil)
		first.fetched(t, d)
		second := join(t, l, d, nil)
		time.Sleep(time.Second) // they have met
		began := time.Now()
		var g sync.WaitGroup
		g.Go(func() { second.fetched(t, d) })
		first.Finish(t.Context(), time.Minute)
		g.Wait()
		if second.Counts().Peers != int64(len(d.raw)) || time.Since(began) > 10*time.Second {
			t.Errorf("%+v after %s", second.Counts(), time.Since(began))
		}
		third := join(t, l, d, nil)
		time.Sleep(time.Second) // they have met, and the third takes nothing
		began = time.Now()
		second.Finish(t.Context(), 5*time.Second)
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("it went after %s", took)
		}
		_ = third
	})
}

// FuzzEar hears what a peer may say: nothing it says reaches beyond the chunk that it was asked for.
func FuzzEar(f *testing.F) {
	m := &manifest.Manifest{Size: chunks * manifest.Least, ChunkBytes: manifest.Least}
	set := newBits(chunks)
	var b bytes.Buffer
	_ = say(&b, sayHello, 80)
	_ = say(&b, sayAll, len(set))
	b.Write(set)
	start := bytes.Clone(b.Bytes())
	_ = say(&b, sayHave, 3)
	_ = say(&b, sayAsk, 4)
	_ = say(&b, sayPart, 10)
	b.WriteString("0123456789")
	_ = say(&b, sayNo, 7)
	f.Add(b.Bytes())
	f.Add(start)
	f.Add(append(start, sayPart, 0xff, 0xff, 0xff, 0xff))
	f.Fuzz(func(t *testing.T, data []byte) {
		e := &ear{from: bytes.NewReader(data), manifest: m, asked: -1}
		whole := make([]byte, 200)
		e.ask(7, whole[:100])
		for {
			said, err := e.next()
			if err != nil {
				if k := fault.KindOf(err); k != fault.Invalid && k != fault.Unavailable {
					t.Fatal(err)
				}
				break
			}
			for _, i := range append(said.offered, max(said.wanted, 0)) {
				if i < 0 || i >= chunks {
					t.Fatalf("chunk %d of %d", i, chunks)
				}
			}
			if said.done || said.refused {
				e.ask(-1, nil)
			}
		}
		if !bytes.Equal(whole[100:], make([]byte, 100)) {
			t.Fatal("bytes were written behind the chunk")
		}
	})
}
