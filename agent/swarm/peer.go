package swarm

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

// peer is another agent that there is a connection to. Chunks go both ways on it, one at a time each way.
type peer struct {
	*Swarm
	conn   *tls.Conn
	ear    *ear
	wake   chan struct{} // something to say may have come up
	called bool          // by us

	// Guarded by the swarm's lock.
	at      netip.AddrPort // where it listens; the zero value: it does not, or did not say so yet
	offers  bitset
	lacks   int // chunks that it has not
	asked   int // the chunk that it is asked for; -1: none
	since   time.Time
	room    []byte
	wanted  int // the chunk that it asks for; -1: none
	given   int // the chunk that was sent to it in full, and that it has not said to have yet; -1: none
	givenAt time.Time
	taking  bool // it is being given a chunk
	idle    bool // nothing is being said to it
}

func (p *peer) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// ending reports whether the swarm is about to be left.
func (s *Swarm) ending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leaving
}

// errLeaving says that we have told a peer all that we ever will.
var errLeaving = errors.New("this agent leaves the swarm")

// accept takes connections until the listener is closed. What is too much is closed at once: the caller tries others.
func (s *Swarm) accept(ctx context.Context) {
	open := make(chan struct{}, maxPeers)
	for {
		raw, err := s.listen.Accept()
		if ctx.Err() != nil || s.ending() {
			if err == nil {
				_ = raw.Close()
			}
			return
		}
		if err != nil {
			s.Log.Debug("a connection of a peer did not come about", "error", err)
			if pause(ctx, time.Second) != nil {
				return
			}
			continue
		}
		select {
		case open <- struct{}{}:
			s.tasks.Go(func() {
				defer func() { <-open }()
				s.talk(ctx, raw, netip.AddrPort{})
			})
		default:
			_ = raw.Close()
		}
	}
}

// call connects to a peer and talks to it.
func (s *Swarm) call(ctx context.Context, at netip.AddrPort) {
	dial, cancel := context.WithTimeout(ctx, handshakeWithin)
	raw, err := s.Network.DialContext(dial, "tcp", at.String())
	cancel()
	if err == nil {
		s.talk(ctx, raw, at)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.dialing, at)
	if until := time.Now().Add(shunFor); until.After(s.shunned[at]) {
		s.shunned[at] = until
	}
}

// talk proves both sides to each other and speaks until one of them breaks off. at is where the peer was called, zero
// when it called.
func (s *Swarm) talk(ctx context.Context, raw net.Conn, at netip.AddrPort) {
	conn := tls.Server(raw, s.tls)
	if at.IsValid() {
		conn = tls.Client(raw, s.tls)
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	greet, cancel := context.WithTimeout(ctx, handshakeWithin)
	err := conn.HandshakeContext(greet)
	cancel()
	if err != nil {
		s.Log.Debug("a peer did not prove that it is of this wave", "peer", raw.RemoteAddr(), "error", err)
		return
	}
	n := s.Manifest.Len()
	p := &peer{
		Swarm: s, conn: conn, wake: make(chan struct{}, 1), called: at.IsValid(), at: at, offers: newBits(n), lacks: n, asked: -1, wanted: -1, given: -1,
		ear: &ear{from: bufio.NewReaderSize(conn, 4096), manifest: s.Manifest, asked: -1},
	}
	s.mu.Lock()
	s.peers[p] = true
	s.stir()
	s.mu.Unlock()
	ctx, cancel = context.WithCancel(ctx)
	var speaking sync.WaitGroup
	var spoken error
	speaking.Go(func() {
		if spoken = p.speak(ctx); errors.Is(spoken, errLeaving) && conn.CloseWrite() == nil {
			return // the peer closes the connection when it has heard all of it
		}
		_ = raw.Close()
	})
	err = p.listen(ctx)
	cancel()
	_ = raw.Close()
	speaking.Wait()
	s.leave(ctx, p, errors.Join(err, spoken))
}

// leave forgets a peer. What it owes is asked of others. One that lied or broke the rules is not called again.
func (s *Swarm) leave(ctx context.Context, p *peer, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.peers, p)
	p.offers.each(s.Manifest.Len(), func(i int) { s.offered[i]-- })
	if p.asked >= 0 {
		s.ground(p)
	}
	if fault.Is(why, fault.Invalid) {
		s.banned[p.at] = true
		s.Log.Warn("a peer is left for good", "peer", p.conn.RemoteAddr(), "why", why)
	} else {
		s.Log.Debug("a peer is gone", "peer", p.conn.RemoteAddr(), "why", why)
	}
	s.stir()
}

// ground ends the wait for a chunk of a peer. The lock is held.
func (s *Swarm) ground(p *peer) {
	s.flying.clear(p.asked)
	s.airborne--
	s.release(p.room)
	p.asked, p.room = -1, nil
	p.ear.ask(-1, nil)
}

// listen hears a peer until it falls silent, lies, or is gone.
func (p *peer) listen(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := p.conn.SetReadDeadline(time.Now().Add(p.silence())); err != nil {
			return err
		}
		said, err := p.ear.next()
		if err != nil {
			return err
		}
		if err := p.hear(said); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// silence is how long a peer may say nothing; each says a few times in it that it lives.
func (s *Swarm) silence() time.Duration { return s.Patience / 10 }

// hear does what follows from what a peer said.
func (p *peer) hear(said heard) error {
	if said.done {
		return p.land()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if said.port > 0 && !p.called {
		if from, err := netip.ParseAddrPort(p.conn.RemoteAddr().String()); err == nil {
			p.at = netip.AddrPortFrom(from.Addr().Unmap(), uint16(said.port))
		}
		if p.banned[p.at] {
			return fault.Errorf(fault.Denied, "the peer has lied before")
		}
	}
	for _, i := range said.offered {
		if !p.offers.has(i) {
			p.offers.set(i)
			p.offered[i]++
			if p.lacks--; p.lacks == 0 {
				p.stir()
			}
		}
		if i == p.given {
			p.given = -1
		}
	}
	if said.wanted >= 0 {
		if p.wanted >= 0 {
			return broken("it asks for a chunk before it has the last")
		}
		p.wanted = said.wanted
	}
	if said.refused {
		if p.offers.has(p.asked) {
			p.offers.clear(p.asked)
			p.offered[p.asked]--
			p.lacks++
		}
		p.ground(p)
		p.stir()
	}
	if p.asked >= 0 && time.Since(p.since) > p.Patience {
		return fault.Errorf(fault.Unavailable, "the peer owes a chunk for %s", p.Patience)
	}
	if p.given >= 0 && time.Since(p.givenAt) > p.Patience {
		return fault.Errorf(fault.Unavailable, "the peer has not taken a chunk for %s", p.Patience)
	}
	if len(said.offered) > 0 || said.wanted >= 0 {
		p.poke()
	}
	return nil
}

// land takes the chunk that has come in full.
func (p *peer) land() error {
	p.mu.Lock()
	i, chunk := p.asked, p.room
	p.mu.Unlock()
	if !p.Manifest.Holds(i, chunk) {
		return broken("what it sent for a chunk is something else")
	}
	if err := p.put(i, chunk); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ground(p)
	p.counts.Peers += int64(len(chunk))
	p.landed(i)
	return nil
}
