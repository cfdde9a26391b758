package swarm

import (
	"bufio"
	"context"
	"errors"
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
		if len(g.rest) > 0 {
			if err := p.give(to, &g); err != nil {
				return err
			}
			continue
		}
		if g.lent && p.taken() {
			p.done(&g)
		}
		if err := to.Flush(); err != nil {
			return err
		}
		if !g.lent {
			if g, err = p.next(to); err != nil {
				return err
			}
			if g.lent {
				continue
			}
		}
		p.rest(true)
		select {
		case <-p.wake:
		case <-alive.C:
			err = say(to, sayAlive, 0)
		case <-ctx.Done():
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		p.rest(false)
	}
}

// rest notes whether the peer would take its turn at once.
func (p *peer) rest(idle bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = idle
}

// gift is a chunk on its way to a peer. The turn is held until the peer has it: what the network has taken from us may yet
// wait for long, and others would share the line with it.
type gift struct {
	lent        bool // it holds a turn to give
	whole, rest []byte
}

// taken reports whether the peer has said that it has the chunk that was given last.
func (p *peer) taken() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.given < 0
}

// done gives the turn back, if there is one.
func (p *peer) done(g *gift) {
	if g.lent {
		p.mu.Lock()
		p.release(g.whole)
		p.gifts--
		p.taking = false
		p.stir()
		p.mu.Unlock()
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
		p.given, p.givenAt, p.wanted = p.wanted, time.Now(), -1
		p.mu.Unlock()
	}
	if err := say(to, sayPart, len(part)); err != nil {
		return err
	}
	_, err := to.Write(part)
	return err
}

// next begins to give the peer the chunk that it wants, if it is the peer's turn. A chunk that can not be given is refused.
func (p *peer) next(to *bufio.Writer) (gift, error) {
	wanted, turn, err := p.turn()
	if err != nil || wanted < 0 {
		return gift{}, err
	}
	if !turn {
		return gift{}, p.refuse(to, wanted)
	}
	g := gift{lent: true}
	if g.whole, err = p.load(wanted); err != nil {
		p.Log.Warn("a chunk is not given any more", "chunk", wanted, "why", err)
		p.done(&g)
		return gift{}, p.refuse(to, wanted)
	}
	g.rest = g.whole
	return g, nil
}

// turn returns the chunk that the peer is given now, -1 for none, and whether it is to be had. Who lacks most has its turn
// first, so that all are ready at about the same time. Its error is errLeaving when there are no turns any more.
func (p *peer) turn() (wanted int, have bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.leaving:
		return -1, false, errLeaving
	case p.wanted < 0:
		return -1, false, nil
	case !p.have.has(p.wanted) || p.stale.has(p.wanted):
		return p.wanted, false, nil
	case p.gifts >= p.mostGifts:
		return -1, false, nil
	}
	for q := range p.peers {
		if q.idle && q.wanted >= 0 && !q.taking && q.lacks > p.lacks {
			q.poke()
			return -1, false, nil
		}
	}
	p.gifts++
	p.taking = true
	return p.wanted, true, nil
}

// refuse tells that a chunk will not come.
func (p *peer) refuse(to *bufio.Writer, i int) error {
	p.mu.Lock()
	p.wanted = -1
	p.mu.Unlock()
	return errors.Join(say(to, sayNo, i), to.Flush())
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
