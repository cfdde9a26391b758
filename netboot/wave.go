package netboot

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/agent/manifest"
)

const (
	sending       = 8                // chunks that the store sends at the same time on a network: more share its line and come later
	againAfter    = 8                // sends' time after which a chunk that no peer was found to have is sent once more
	againAtLeast  = time.Second      // the least of that
	memberFor     = 30 * time.Second // an agent that says nothing for so long is nobody's peer any more; each speaks every 5 s
	waveFor       = 2 * time.Minute  // a wave that nobody is heard of is forgotten
	peersTold     = 32               // at a time
	firstEstimate = 100 * time.Millisecond
)

// waves are the images that are being written on one network: who writes them, and which chunks the store has sent. They are
// kept in memory alone. Agents tell all of it again every few seconds; when it is lost, chunks are sent that others have.
type waves struct {
	turns chan struct{} // holds one for each chunk that is being sent

	mu  sync.Mutex
	all map[string]*wave // by the SHA-512 of the raw image
}

// wave is one image.
type wave struct {
	heard   time.Time
	members map[string]member // by fingerprint of the agent's token
	sent    []uint32          // by chunk, how often
	last    []time.Time       // by chunk
	usual   time.Duration     // that a chunk takes to be sent
}

// member is an agent that others reach.
type member struct {
	at    netip.AddrPort
	heard time.Time
}

func newWaves() *waves { return &waves{turns: make(chan struct{}, sending), all: map[string]*wave{}} }

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
		v.last[best] = now
	}
	return best
}

// ended notes how the sending of a chunk ended, which began at a time.
func (w *waves) ended(image string, i int, began, now time.Time, whole bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.of(image, now)
	if i >= len(v.sent) {
		return
	}
	if !whole && v.sent[i] > 0 {
		v.sent[i]--
		v.last[i] = time.Time{}
		return
	}
	v.last[i] = now
	v.usual += (now.Sub(began) - v.usual) / 8
}
