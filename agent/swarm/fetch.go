package swarm

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

const (
	soon        = 250 * time.Millisecond // the first pause between two questions to the cloud
	meetEvery   = 5 * time.Second        // the longest between two meetings
	storeWait   = 5 * time.Second        // the longest between two tries at a store that is in trouble
	storeDoubts = 5                      // tries after which the pause has reached that
	storeWithin = 45 * time.Second       // a store in trouble is waited for while no chunk comes: longer than its restart takes
)

// Fetch returns when the whole image is on the disk. Its error is that of the disk, or says that neither the store nor
// any peer had something for three times the patience, that the store refuses this agent, or that the store was in trouble for
// storeWithin in which no peer gave a chunk either.
func (s *Swarm) Fetch(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	s.fetching, s.progress = true, time.Now()
	s.stir()
	s.mu.Unlock()
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel()
	workers.Go(func() { s.fill(ctx) })
	workers.Go(func() { s.draw(ctx, true) })
	workers.Go(func() { s.draw(ctx, false) })
	look := time.NewTicker(s.silence())
	defer look.Stop()
	for {
		s.mu.Lock()
		missing, failed, idle, changed := s.missing, s.failed, time.Since(s.progress), s.changed
		s.mu.Unlock()
		switch {
		case failed != nil:
			return failed
		case missing == 0:
			return nil
		case idle > 3*s.Patience:
			return s.fail(fault.Errorf(fault.Unavailable, "nobody had a chunk of the image for %s; %d are missing", idle.Round(time.Second), missing))
		}
		select {
		case <-changed:
		case <-look.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// fail ends the fetching.
func (s *Swarm) fail(why error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = why
	}
	s.stir()
	return s.failed
}

// put writes a chunk. A disk that does not take it ends the fetching.
func (s *Swarm) put(i int, chunk []byte) error {
	s.placing.Lock()
	defer s.placing.Unlock()
	at, _ := s.Manifest.Span(i)
	if err := s.Place(chunk, at); err != nil {
		return s.fail(err)
	}
	return nil
}

// landed notes that a chunk is on the disk. The lock is held.
func (s *Swarm) landed(i int) {
	s.have.set(i)
	s.missing--
	s.progress = time.Now()
	s.stir()
}

// fill writes the holes: nobody needs to send them.
func (s *Swarm) fill(ctx context.Context) {
	var hole []byte
	for i := range s.Manifest.Len() {
		if ctx.Err() != nil {
			return
		}
		if !s.Manifest.Hole(i) {
			continue
		}
		if hole == nil {
			hole = s.Buffer(int(s.Manifest.ChunkBytes))
		}
		_, n := s.Manifest.Span(i)
		if s.put(i, hole[:n]) != nil {
			return
		}
		s.mu.Lock()
		s.landed(i)
		s.mu.Unlock()
	}
}

// choose picks the chunk that a peer is asked for now, -1 for none: of those that only it can give, the one that fewest
// peers have, so that none becomes rare; among equals by chance, so that not all agents ask for the same. The lock is held.
func (p *peer) choose() int {
	if !p.fetching || p.asked >= 0 || p.airborne >= p.flights || p.failed != nil || p.missing == 0 {
		return -1
	}
	best, least, equals := -1, uint16(0), 0
	lacking := newBits(len(p.have) * 8)
	for i := range lacking {
		lacking[i] = p.offers[i] &^ p.have[i] &^ p.flying[i]
	}
	lacking.each(p.Manifest.Len(), func(i int) {
		switch n := p.offered[i]; {
		case best < 0 || n < least:
			best, least, equals = i, n, 1
		case n == least:
			if equals++; rand.IntN(equals) == 0 {
				best = i
			}
		}
	})
	if best < 0 {
		return -1
	}
	_, n := p.Manifest.Span(best)
	p.asked, p.since, p.room = best, time.Now(), p.lend(n)
	p.flying.set(best)
	p.airborne++
	p.ear.ask(best, p.room)
	return best
}

// want returns what the store is asked for: what is lacking and on no way here, of that what no peer has. alone says
// that there are no peers. any is false when there is nothing to ask for.
func (s *Swarm) want() (want bitset, alone, any bool, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.Manifest.Len()
	want = newBits(n)
	for i := range n {
		if !s.have.has(i) && !s.flying.has(i) && s.offered[i] == 0 {
			want.set(i)
			any = true
		}
	}
	return want, len(s.peers) == 0, any, s.changed
}

// draw takes chunks from the store, one after the other. The second of two does so only while there are no peers: it
// covers the time in which the first asks.
func (s *Swarm) draw(ctx context.Context, first bool) {
	tries, owed := 0, false // owed: the store was not told yet that its chunk has come
	var trouble time.Time   // when the first of the tries failed
	for ctx.Err() == nil {
		want, alone, any, changed := s.want()
		if !any || !first && !alone {
			if owed {
				_, _ = s.Cloud.Chunk(ctx, newBits(s.Manifest.Len()), alone, func(int) []byte { return nil }) // otherwise it finds out by itself
				owed = false
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		ok, err := s.drawOne(ctx, want, alone)
		owed = ok
		if tries == 0 {
			trouble = time.Now()
		}
		switch {
		case err != nil && ctx.Err() != nil:
			return
		case err != nil && (!fault.Is(err, fault.Unavailable) || s.barren(trouble) > storeWithin):
			_ = s.fail(err)
			return
		case err != nil:
			s.Log.Warn("the store gave no chunk, trying again", "error", err)
			_ = pause(ctx, min(soon<<min(tries, storeDoubts), storeWait)) // the loop sees that ctx ended
			tries++
		default:
			if tries = 0; !ok {
				_ = pause(ctx, soon)
			}
		}
	}
}

// barren returns for how long no chunk has come, at most since then.
func (s *Swarm) barren(then time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return min(time.Since(then), time.Since(s.progress))
}

// drawOne takes a chunk from the store. ok is false when the store has none for us now.
func (s *Swarm) drawOne(ctx context.Context, want bitset, alone bool) (ok bool, err error) {
	taken, chunk := -1, []byte(nil)
	ok, err = s.Cloud.Chunk(ctx, want, alone, func(i int) []byte {
		s.mu.Lock()
		defer s.mu.Unlock()
		if taken >= 0 || i < 0 || i >= s.Manifest.Len() || s.have.has(i) || s.flying.has(i) {
			return nil
		}
		_, n := s.Manifest.Span(i)
		taken, chunk = i, s.lend(n)
		s.flying.set(i)
		return chunk
	})
	if taken < 0 {
		return ok, err
	}
	if err == nil && !s.Manifest.Holds(taken, chunk) {
		err = fault.Errorf(fault.Invalid, "what the store sent for chunk %d is something else", taken)
	}
	if err == nil {
		err = s.put(taken, chunk)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flying.clear(taken)
	s.release(chunk)
	if err != nil {
		s.stir()
		return false, err
	}
	s.counts.Store += int64(len(chunk))
	s.landed(taken)
	return true, nil
}

// meet tells the cloud where we are, and calls some of those that it names, until ctx ends.
func (s *Swarm) meet(ctx context.Context) {
	for wait := soon; ; wait = min(2*wait, meetEvery) {
		others, err := s.Cloud.Meet(ctx, s.port)
		if err != nil && ctx.Err() == nil {
			s.Log.Debug("the cloud named no peers", "error", err)
		}
		s.callSome(ctx, others)
		if pause(ctx, wait) != nil {
			break
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, _ = s.Cloud.Meet(last, 0) // otherwise it forgets us in a while
}

// callSome calls peers that there is no connection to yet, as long as something is missing and there are not enough.
func (s *Swarm) callSome(ctx context.Context, others []netip.AddrPort) {
	rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	s.mu.Lock()
	defer s.mu.Unlock()
	known := map[netip.AddrPort]bool{}
	for p := range s.peers {
		known[p.at] = true
	}
	for _, at := range others {
		if s.missing == 0 || s.failed != nil || len(s.dialing) >= maxDials || len(s.peers) >= maxPeers {
			return
		}
		if known[at] || s.banned[at] || s.dialing[at] || time.Now().Before(s.shunned[at]) {
			continue
		}
		s.dialing[at] = true
		s.tasks.Go(func() { s.call(ctx, at) })
	}
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
