package swarm

import (
	"bufio"
	"context"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

// speak tells a peer what there is to tell, until ctx ends: first who we are and what we have, then what comes new,
// which chunk we would like, and the chunk that it asked for. Between two parts of a chunk all else is told.
func (p *peer) speak(ctx context.Context) error {
	to := bufio.NewWriterSize(&timed{p}, 4096)
	told, err := p.greet(to)
	if err != nil {
		return err
	}
	alive := time.NewTicker(p.silence() / 4)
	defer alive.Stop()
	var g gift
	defer func() { p.done(&g) }()
	for {
		if err := p.news(to, told); err != nil {
			return err
		}
		if g.lent {
			if err := p.give(to, &g); err != nil {
				return err
			}
			continue
		}
		if err := to.Flush(); err != nil {
			return err
		}
		wanted, turn := p.turn()
		select {
		case turn <- struct{}{}:
			g = gift{lent: true}
			if g.whole, err = p.load(wanted); err != nil {
				p.Log.Warn("a chunk is not given any more", "chunk", wanted, "why", err)
				p.done(&g)
				err = p.refuse(to, wanted)
			}
			g.rest = g.whole
		case <-p.wake:
			if wanted >= 0 && turn == nil {
				err = p.refuse(to, wanted)
			}
		case <-alive.C:
			err = say(to, sayAlive, 0)
		case <-ctx.Done():
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// gift is a chunk on its way to a peer.
type gift struct {
	lent        bool // it holds a turn to give
	whole, rest []byte
}

// done gives the turn back, if there is one.
func (p *peer) done(g *gift) {
	if g.lent {
		p.mu.Lock()
		p.release(g.whole)
		p.mu.Unlock()
		<-p.giving
	}
	*g = gift{}
}

// give sends the next part of a chunk.
func (p *peer) give(to *bufio.Writer, g *gift) error {
	part := g.rest[:min(partBytes, len(g.rest))]
	g.rest = g.rest[len(part):]
	if len(g.rest) == 0 {
		// Before the last byte leaves: with that the peer may ask again.
		p.mu.Lock()
		p.wanted = -1
		p.mu.Unlock()
		defer p.done(g)
	}
	if err := say(to, sayPart, len(part)); err != nil {
		return err
	}
	_, err := to.Write(part)
	if err == nil && len(g.rest) == 0 {
		err = to.Flush()
	}
	return err
}

// turn returns which chunk the peer wants, and where a turn to give it is to be had; nil when there is none to be had any more.
func (p *peer) turn() (wanted int, turn chan<- struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted < 0 {
		return -1, nil
	}
	if p.leaving || !p.have.has(p.wanted) || p.stale.has(p.wanted) {
		p.poke()
		return p.wanted, nil
	}
	return p.wanted, p.giving
}

// refuse tells that a chunk will not come.
func (p *peer) refuse(to *bufio.Writer, i int) error {
	p.mu.Lock()
	p.wanted = -1
	p.mu.Unlock()
	return say(to, sayNo, i)
}

// load reads a chunk from the disk. What is not there any more, because the order that follows changed the disk, is
// not given from then on.
func (p *peer) load(i int) ([]byte, error) {
	at, n := p.Manifest.Span(i)
	p.mu.Lock()
	b := p.lend(n)
	p.mu.Unlock()
	err := p.Read(b, at)
	if err == nil && !p.Manifest.Holds(i, b) {
		err = fault.Errorf(fault.Conflict, "the disk holds something else by now")
	}
	if err == nil {
		return b, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release(b)
	p.stale.set(i)
	return nil, err
}

// greet tells who we are and what we have, and returns that.
func (p *peer) greet(to *bufio.Writer) (told bitset, err error) {
	if err := say(to, sayHello, p.port); err != nil {
		return nil, err
	}
	p.mu.Lock()
	told = append(told, p.have...)
	p.mu.Unlock()
	if err := say(to, sayAll, len(told)); err != nil {
		return nil, err
	}
	_, err = to.Write(told)
	return told, err
}

// news tells which chunks are here that were not told of, and asks for one where that is due.
func (p *peer) news(to *bufio.Writer, told bitset) error {
	p.mu.Lock()
	ask := p.choose()
	fresh := newBits(len(told) * 8)
	for i := range told {
		fresh[i], told[i] = p.have[i]&^told[i], p.have[i]|told[i]
	}
	p.mu.Unlock()
	var err error
	if ask >= 0 {
		err = say(to, sayAsk, ask)
	}
	fresh.each(p.Manifest.Len(), func(i int) {
		if err == nil {
			err = say(to, sayHave, i)
		}
	})
	return err
}

// timed writes to a peer, which must take it in bounded time.
type timed struct{ *peer }

func (t *timed) Write(b []byte) (int, error) {
	if err := t.conn.SetWriteDeadline(time.Now().Add(t.silence())); err != nil {
		return 0, err
	}
	return t.conn.Write(b)
}
