package vswitch

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/hagane-cloud/hagane/lab/ether"
)

const (
	wireBytes  = 24                     // of each frame that no frame holds: preamble, checksum and gap (IEEE 802.3)
	tolerance  = 2 * time.Millisecond   // so far ahead a line may run: timers are no finer
	catchUp    = 100 * time.Millisecond // so much that timers were late is made up for
	queueTime  = 4 * time.Millisecond   // of frames that wait to leave a port, as switches have it: what is more is dropped
	leastQueue = 64 << 10               // bytes that may wait at least: slow lines need room for several connections' frames
	leastFrame = 64                     // bytes of the smallest frame on Ethernet
)

// line is one direction of a cable, at a rate.
type line struct {
	rate float64 // bytes a second

	mu   sync.Mutex
	free time.Time // when all that it took is through
	left time.Time // when whoever sent last was let go: later than free by as much as the timer was late
}

func newLine(bits int64) *line { return &line{rate: float64(bits) / 8} }

// take returns how long it is until a frame of n bytes is through, which begins now.
func (l *line) take(n int, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	// A line that is idle loses that time; one whose timer was late makes up for it.
	if late := min(max(0, l.left.Sub(l.free)), catchUp); l.free.Before(now.Add(-late)) {
		l.free = now.Add(-late)
	}
	l.free = l.free.Add(time.Duration(float64(n+wireBytes) / l.rate * float64(time.Second)))
	return l.free.Sub(now)
}

// pass returns when a frame is through, or nearly so. It returns false when stop is closed before.
func (l *line) pass(frame []byte, stop <-chan struct{}) bool {
	wait := l.take(len(frame), time.Now())
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.left = time.Now()
	}()
	if wait <= tolerance {
		return true
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-stop:
		return false
	}
}

// link is what is plugged into a port of a switch whose ports have a rate: a line each way. Who sends into the port waits, as
// a NIC does; what leaves it waits in a queue, and is dropped when that is full.
type link struct {
	in     *line
	sink   ether.Sink
	queue  chan []byte
	room   int64        // bytes that may wait
	queued atomic.Int64 // bytes that do
	stop   chan struct{}
	gone   chan struct{}
}

// newLink starts a link to sink; close ends it.
func newLink(bits int64, sink ether.Sink) *link {
	room := max(leastQueue, int64(float64(bits)/8*queueTime.Seconds()))
	l := &link{in: newLine(bits), sink: sink, room: room, queue: make(chan []byte, room/leastFrame), stop: make(chan struct{}), gone: make(chan struct{})}
	go l.run(newLine(bits))
	return l
}

// Deliver queues a frame that leaves the port.
func (l *link) Deliver(frame []byte) bool {
	if l.queued.Add(int64(len(frame))) > l.room {
		l.queued.Add(-int64(len(frame)))
		return false
	}
	select {
	case l.queue <- frame:
		return true
	default:
		l.queued.Add(-int64(len(frame)))
		return false
	}
}

func (l *link) run(out *line) {
	defer close(l.gone)
	for {
		select {
		case frame := <-l.queue:
			if !out.pass(frame, l.stop) {
				return
			}
			l.queued.Add(-int64(len(frame)))
			l.sink.Deliver(frame)
		case <-l.stop:
			return
		}
	}
}

// close ends the link and waits until nothing is delivered any more.
func (l *link) close() {
	close(l.stop)
	<-l.gone
}
