// Package swarm fetches an image chunk by chunk from the cloud's store and from the other agents that write the same
// image, and gives them what this one has. Each chunk is checked by the image's manifest before it is written; who
// sends something else, or falls silent, is left. Chunks are given from the disk that they were written to. The agent
// runs one swarm for an order to write an image.
//
// Two agents talk over TLS in which both prove that they hold the wave's key (see identity.go). Both sides of a
// connection may ask for chunks and give them (see message.go). The store is told what a machine lacks that none of its
// peers has, and chooses: so it sends each chunk about once for all of them.
package swarm

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/agent/manifest"
	"github.com/hagane-cloud/hagane/fault"
)

const (
	maxDials  = 6  // peers that are called; as many call us, on the average
	maxPeers  = 32 // connections in all
	maxGifts  = 6  // chunks that are given at the same time, and so much at most:
	giftBytes = 32 << 20
	maxTaken  = 8 // chunks that are taken from peers at the same time, and so much at most:
	takeBytes = 32 << 20

	handshakeWithin = 10 * time.Second
	shunFor         = 10 * time.Second // a peer that was lost is not called again for so long
)

// Network is the provisioning network.
type Network interface {
	// Listen accepts connections to the machine's address on it, and nowhere else, at a free TCP port.
	Listen() (net.Listener, error)
	// DialContext connects to an address on it.
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Cloud is what the swarm asks of the cloud.
type Cloud interface {
	// Meet tells at which port others reach this agent, 0 for not any more, and returns where some of them are.
	Meet(ctx context.Context, port int) ([]netip.AddrPort, error)
	// Chunk asks the store for a chunk of those that are wanted; alone says that there is nobody else to ask. The store
	// chooses one, and accept returns the buffer for it, or nil when it is not wanted any more. ok is false when the
	// store sends none for now. Asking also tells that the chunk before has come; who wants none tells no more than that.
	Chunk(ctx context.Context, want []byte, alone bool, accept func(i int) []byte) (ok bool, err error)
}

// Options are what a Swarm works with.
type Options struct {
	Manifest *manifest.Manifest
	Key      []byte // that all agents with this order hold, and nobody else
	Network  Network
	Cloud    Cloud
	// Place writes a chunk, which was found right, to the disk; Read reads from where chunks were written, at an offset
	// in the image. Both are called by several goroutines.
	Place func(chunk []byte, at int64) error
	Read  func(b []byte, at int64) error
	// Buffer makes a buffer as the disk wants it; nil: any.
	Buffer func(n int) []byte
	// Patience is how long a chunk may take, and a tenth of it how long a peer may be silent.
	Patience time.Duration
	Log      *slog.Logger
}

// Counts are the bytes that were taken, by whom they came from.
type Counts struct{ Store, Peers int64 }

// Swarm is one image on its way to this machine's disk, and from it.
type Swarm struct {
	Options
	tls       *tls.Config
	listen    net.Listener
	port      int
	end       context.CancelFunc
	tasks     sync.WaitGroup
	flights   int        // chunks that may be taken from peers at the same time
	mostGifts int        // chunks that may be given at the same time
	placing   sync.Mutex // one chunk is written at a time

	mu       sync.Mutex // guards what follows
	have     bitset     // on the disk, and right
	flying   bitset     // being taken, from whomever
	airborne int        // of them, those from peers
	gifts    int        // chunks that are being given
	missing  int
	offered  []uint16 // by chunk, how many peers have it
	peers    map[*peer]bool
	dialing  map[netip.AddrPort]bool
	shunned  map[netip.AddrPort]time.Time // not called until then
	banned   map[netip.AddrPort]bool      // not talked to any more
	stale    bitset                       // not on the disk any more
	counts   Counts
	progress time.Time     // the last chunk
	changed  chan struct{} // closed at the next chunk, peer or offer
	failed   error         // why the image can not be had by this swarm
	fetching bool          // chunks are asked for
	leaving  bool          // no other chunk is given
	free     [][]byte      // buffers that are not in use
}

// New joins a swarm: from now on others are met, and given what there is, until Close. Fetch asks for what is missing.
func New(ctx context.Context, o Options) (*Swarm, error) {
	s := &Swarm{
		Options: o, have: newBits(o.Manifest.Len()), flying: newBits(o.Manifest.Len()),
		missing: o.Manifest.Len(), offered: make([]uint16, o.Manifest.Len()), peers: map[*peer]bool{}, dialing: map[netip.AddrPort]bool{},
		shunned: map[netip.AddrPort]time.Time{}, banned: map[netip.AddrPort]bool{}, stale: newBits(o.Manifest.Len()), changed: make(chan struct{}), progress: time.Now(),
		mostGifts: int(max(2, min(maxGifts, giftBytes/o.Manifest.ChunkBytes))),
		flights:   int(max(2, min(maxTaken, takeBytes/o.Manifest.ChunkBytes))),
	}
	for i := range o.Manifest.Len() {
		if o.Manifest.Hole(i) {
			s.flying.set(i) // from nobody: see fill
		}
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Buffer == nil {
		s.Buffer = func(n int) []byte { return make([]byte, n) }
	}
	var err error
	if s.tls, err = identity(o.Key); err != nil {
		return nil, err
	}
	if s.listen, err = o.Network.Listen(); err != nil {
		return nil, fault.Wrap("listening for other agents", err)
	}
	at, ok := s.listen.Addr().(*net.TCPAddr)
	if !ok {
		return nil, errors.Join(fault.Errorf(fault.Internal, "peers are listened for at %s, which is no TCP address", s.listen.Addr()), s.listen.Close())
	}
	s.port = at.Port
	ctx, s.end = context.WithCancel(ctx)
	s.tasks.Go(func() { s.accept(ctx) })
	s.tasks.Go(func() { s.meet(ctx) })
	return s, nil
}

// Close leaves the swarm and waits until nothing of it is left.
func (s *Swarm) Close() {
	s.end()
	_ = s.listen.Close()
	s.tasks.Wait()
}

// Finish takes leave of the peers: chunks that are being given are given to their end, no others, and it returns when all
// peers have what was sent to them, or after d.
func (s *Swarm) Finish(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for {
		s.mu.Lock()
		left, changed := len(s.peers), s.changed
		if !s.leaving && !s.needed() {
			s.leaving = true
			s.stir()
		}
		s.mu.Unlock()
		if left == 0 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// needed reports whether a peer lacks chunks. The lock is held.
func (s *Swarm) needed() bool {
	for p := range s.peers {
		if p.lacks > 0 {
			return true
		}
	}
	return false
}

// Counts tells what was taken so far.
func (s *Swarm) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// Wait returns when chunk i is on the disk.
func (s *Swarm) Wait(ctx context.Context, i int) error {
	for {
		s.mu.Lock()
		there, changed := s.have.has(i), s.changed
		s.mu.Unlock()
		if there {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// stir wakes all that wait for something to change. The lock is held.
func (s *Swarm) stir() {
	close(s.changed)
	s.changed = make(chan struct{})
	for p := range s.peers {
		p.poke()
	}
}

// lend lends room for a chunk of n bytes; release takes it back. The lock is held.
func (s *Swarm) lend(n int64) []byte {
	if last := len(s.free) - 1; last >= 0 {
		b := s.free[last]
		s.free = s.free[:last]
		return b[:n]
	}
	return s.Buffer(int(s.Manifest.ChunkBytes))[:n]
}

// release takes a buffer back. The lock is held.
func (s *Swarm) release(b []byte) {
	if b != nil {
		s.free = append(s.free, b)
	}
}
