package sim

import (
	"bytes"
	"hash/maphash"
	"sync"
)

// Pool keeps parts of disks that are alike once: so many machines can have the same image. A disk's part is in it when
// it was written as a whole.
type Pool struct {
	seed maphash.Seed

	mu    sync.Mutex
	bySum map[uint64]*extent
}

// extent is a part of a disk that is not zero.
type extent struct {
	data [chunkBytes]byte
	sum  uint64
	uses int // 0: it is one disk's own, which may change it; otherwise guarded by the lock of Pool
}

// NewPool makes a place for the parts of many machines' disks.
func NewPool() *Pool { return &Pool{seed: maphash.MakeSeed(), bySum: map[uint64]*extent{}} }

// keep returns an extent with what data holds. It must not be changed.
func (p *Pool) keep(data []byte) *extent {
	sum := maphash.Bytes(p.seed, data)
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.bySum[sum]
	if at != nil && bytes.Equal(at.data[:], data) {
		at.uses++
		return at
	}
	fresh := &extent{sum: sum}
	copy(fresh.data[:], data)
	if at == nil { // otherwise two different ones have the same sum, and this one is not shared
		fresh.uses = 1
		p.bySum[sum] = fresh
	}
	return fresh
}

// drop tells that a disk does not use an extent any more.
func (p *Pool) drop(old *extent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old.uses == 0 {
		return
	}
	if old.uses--; old.uses == 0 {
		delete(p.bySum, old.sum)
	}
}

// own returns an extent with the same content that may be changed, in place of one that a disk uses.
func (p *Pool) own(old *extent) *extent {
	p.mu.Lock()
	shared := old.uses > 0
	p.mu.Unlock()
	if !shared {
		return old
	}
	fresh := &extent{data: old.data}
	p.drop(old)
	return fresh
}
