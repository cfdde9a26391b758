package netboot

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/agent/manifest"
	"github.com/hagane-cloud/hagane/fault"
)

const (
	// Chunks on their way from the store on a network: few at first, so that each is soon somewhere and given on from there;
	// one more for each sendingGrows that were sent, since machines that also take from each other take them more slowly.
	leastSending, mostSending, sendingGrows = 3, 8, 4

	againAfter    = 8                // sends' time after which a chunk that no peer was found to have is sent once more
	againAtLeast  = time.Second      // the least of that
	lostAfter     = 4                // sends' time after which a chunk that nobody said to have is not believed to be on its way any more
	memberFor     = 30 * time.Second // an agent that says nothing for so long is nobody's peer any more; each speaks every 5 s
	waveFor       = 2 * time.Minute  // a wave that nobody is heard of is forgotten
	peersTold     = 32               // at a time
	firstEstimate = 100 * time.Millisecond
)

// waves are the images that are being written on one network: who writes them, and which chunks the store has sent. They are
// kept in memory alone. Agents tell all of it again every few seconds; when it is lost, chunks are sent that others have.
type waves struct {
	mu    sync.Mutex
	all   map[string]*wave // by the SHA-512 of the raw image
	sends map[*send]bool   // what is on its way
	freed chan struct{}    // closed when there is less of it
}

// send is a chunk on its way to an agent: until the agent asks for another one, since what the network has taken may yet wait
// for long.
type send struct {
	who     string // fingerprint of the agent's token
	image   string
	chunk   int
	began   time.Time
	written bool      // the network has taken it
	until   time.Time // then it is believed to be lost, or the agent to be
}

// wave is one image.
type wave struct {
	heard   time.Time
	members map[string]member // by fingerprint of the agent's token
	sent    []uint32          // by chunk, how often
	last    []time.Time       // by chunk
	total   int               // chunks sent
	usual   time.Duration     // that a chunk is on its way
}

// member is an agent that others reach.
type member struct {
	at    netip.AddrPort
	heard time.Time
}

func newWaves() *waves {
	return &waves{all: map[string]*wave{}, sends: map[*send]bool{}, freed: make(chan struct{})}
}

// came notes that an agent asks for a chunk, or for none: it has what was sent to it.
func (w *waves) came(who string, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for s := range w.sends {
		if s.who == who && s.written {
			v := w.of(s.image, now)
			v.usual += (now.Sub(s.began) - v.usual) / 8
			w.drop(s)
		}
	}
}

// drop forgets a send. The lock is held.
func (w *waves) drop(s *send) {
	delete(w.sends, s)
	close(w.freed)
	w.freed = make(chan struct{})
}

// turn waits until not too much is on its way, and then counts something for who.
func (w *waves) turn(ctx context.Context, who, image string) (*send, error) {
	for {
		s, freed, after := w.tryTurn(who, image, time.Now())
		if s != nil {
			return s, nil
		}
		lost := time.NewTimer(after)
		select {
		case <-freed:
		case <-lost.C:
		case <-ctx.Done():
		}
		lost.Stop()
		if ctx.Err() != nil {
			return nil, fault.E(fault.Unavailable, "waiting for a turn to be sent a chunk", ctx.Err())
		}
	}
}

// tryTurn returns a turn, or what to wait for and how long at most.
func (w *waves) tryTurn(who, image string, now time.Time) (s *send, freed <-chan struct{}, after time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	after = sendWithin
	for s := range w.sends {
		left := s.until.Sub(now)
		if left <= 0 {
			w.drop(s)
		} else {
			after = min(after, left)
		}
	}
	if v := w.of(image, now); len(w.sends) >= min(mostSending, leastSending+v.total/sendingGrows) {
		return nil, w.freed, after
	}
	s = &send{who: who, image: image, began: now, until: now.Add(sendWithin)}
	w.sends[s] = true
	return s, nil, 0
}

// written notes that the network has taken a chunk, or, when not whole, that it did not come to that.
func (w *waves) written(s *send, whole bool, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.of(s.image, now)
	if whole {
		s.written, s.until = true, now.Add(max(againAtLeast, lostAfter*v.usual))
		return
	}
	w.drop(s)
	if s.chunk < len(v.sent) && v.sent[s.chunk] > 0 {
		v.sent[s.chunk]--
		v.last[s.chunk] = time.Time{}
	}
}

// giveBack ends a turn in which nothing was sent.
func (w *waves) giveBack(s *send) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(s)
}

// of returns the wave of an image, and forgets those that have ended. The lock is held.
func (w *waves) of(image string, now time.Time) *wave {
	for of, v := range w.all {
		if now.Sub(v.heard) > waveFor {
			delete(w.all, of)
		}
	}
	v := w.all[image]
	if v == nil {
		v = &wave{members: map[string]member{}, usual: firstEstimate}
		w.all[image] = v
	}
	v.heard = now
	return v
}

// meet notes where the agent who is reached at, and returns where some of the others are. An address without a port takes
// the agent out. With image "" it is the one that the agent was noted for; who was for none meets nobody.
func (w *waves) meet(image, who string, at netip.AddrPort, now time.Time) []netip.AddrPort {
	w.mu.Lock()
	defer w.mu.Unlock()
	if image == "" {
		for of, v := range w.all {
			if _, in := v.members[who]; in {
				image = of
			}
		}
		if image == "" {
			return nil
		}
	}
	v := w.of(image, now)
	delete(v.members, who)
	var others []netip.AddrPort
	for token, m := range v.members {
		if now.Sub(m.heard) > memberFor {
			delete(v.members, token)
			continue
		}
		others = append(others, m.at)
	}
	if at.Port() != 0 {
		v.members[who] = member{at, now}
	}
	rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	return others[:min(len(others), peersTold)]
}

// choose picks the chunk that is sent to an agent, of the set that it wants: one that was not sent yet, so that each is sent
// once and the agents give each other the rest. One that was sent is sent again to an agent that has nobody else to ask,
// or when it should have come from others by now. It returns -1 for none.
func (w *waves) choose(image string, m *manifest.Manifest, want []byte, alone bool, now time.Time) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.of(image, now)
	if len(v.sent) != m.Len() {
		v.sent, v.last = make([]uint32, m.Len()), make([]time.Time, m.Len())
	}
	again := max(againAtLeast, againAfter*v.usual)
	best := -1
	for i := range v.sent {
		if want[i/8]>>(i%8)&1 == 0 || v.sent[i] > 0 && !alone && now.Sub(v.last[i]) < again {
			continue
		}
		if best < 0 || v.sent[i] < v.sent[best] {
			best = i
		}
	}
	if best >= 0 {
		v.sent[best]++
		v.total++
		v.last[best] = now
	}
	return best
}
