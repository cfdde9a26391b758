package ether

import (
	"encoding/binary"
	"sync"
)

// Fair is a Sink with a queue for each flow, whose frames leave in turns (Pump), as they leave hosts with Linux's fq_codel: what is sent in bulk
// on one connection does not hold up the acknowledgements and short words of others.
type Fair struct {
	depth int
	stop  chan struct{}
	once  sync.Once
	more  chan struct{} // full while there may be frames

	mu     sync.Mutex
	flows  map[flow]*line
	turns  []*line // those with frames, in the order of their turns
	queued int
}

// flow tells connections apart: the addresses and ports of what is IPv4 without options, nothing of other frames.
type flow [12]byte

// line is the frames of a flow that wait.
type line struct {
	of     flow
	frames [][]byte
}

// NewFair returns a Fair that holds back up to depth frames.
func NewFair(depth int) *Fair {
	return &Fair{depth: depth, stop: make(chan struct{}), more: make(chan struct{}, 1), flows: map[flow]*line{}}
}

// Deliver queues a frame. When there are too many, the flow with the most of them loses its last one.
func (f *Fair) Deliver(frame []byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	of := flowOf(frame)
	l := f.flows[of]
	if l == nil {
		l = &line{of: of}
		f.flows[of] = l
		f.turns = append(f.turns, l)
	}
	l.frames = append(l.frames, frame)
	f.queued++
	select {
	case f.more <- struct{}{}:
	default:
	}
	if f.queued <= f.depth {
		return true
	}
	most := l
	for _, other := range f.turns {
		if len(other.frames) > len(most.frames) {
			most = other
		}
	}
	most.frames = most.frames[:len(most.frames)-1]
	f.queued--
	return most != l
}

// next takes the frame whose turn it is; nil when there is none.
func (f *Fair) next() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.turns) == 0 {
		return nil
	}
	l := f.turns[0]
	f.turns = f.turns[1:]
	frame := l.frames[0]
	l.frames = l.frames[1:]
	f.queued--
	if len(l.frames) > 0 {
		f.turns = append(f.turns, l)
	} else {
		delete(f.flows, l.of)
	}
	return frame
}

// Pump hands queued frames to dst until Close is called.
func (f *Fair) Pump(dst Sink) {
	for {
		if frame := f.next(); frame != nil {
			dst.Deliver(frame)
			continue
		}
		select {
		case <-f.more:
		case <-f.stop:
			return
		}
	}
}

// Close ends Pump. Frames still queued are lost.
func (f *Fair) Close() { f.once.Do(func() { close(f.stop) }) }

// flowOf tells whose a frame is.
func flowOf(frame []byte) (of flow) {
	const (
		kind, version, addresses = 12, 14, 26 // in an untagged frame
		ipv4, plain              = 0x0800, 0x45
	)
	if len(frame) >= addresses+len(of) && binary.BigEndian.Uint16(frame[kind:]) == ipv4 && frame[version] == plain {
		copy(of[:], frame[addresses:])
	}
	return of
}
