package swarm

import (
	"encoding/binary"
	"io"
	"sync"

	"github.com/hagane-cloud/hagane/agent/manifest"
	"github.com/hagane-cloud/hagane/fault"
)

// What agents say to each other: a letter, four bytes (big-endian), and for two of the letters bytes behind them.
const (
	sayHello = 'i' // the port at which the sender listens, 0: none; the first message of both sides
	sayAll   = 'b' // how many bytes follow: the set of chunks that the sender has; the second message
	sayHave  = 'h' // a chunk that the sender has from now on
	sayAsk   = 'r' // a chunk that the sender wants; one at a time
	sayPart  = 'p' // how many bytes of the chunk that was asked for follow, in order
	sayNo    = 'n' // the chunk that was asked for will not come
	sayAlive = '.' // nothing, so that silence means something
)

const (
	headBytes = 5
	partBytes = 64 << 10 // longest part: between two of them other things can be said
)

// heard is what came from a peer.
type heard struct {
	port    int   // at which it listens; -1: it did not say so
	offered []int // chunks that it has
	wanted  int   // the chunk that it asks for; -1: none
	done    bool  // the chunk that was asked for is complete
	refused bool  // the chunk that was asked for will not come
}

// ear reads what a peer says, and holds it to the rules. Anything against them is Invalid.
type ear struct {
	from     io.Reader
	manifest *manifest.Manifest

	greeted, listed bool

	mu    sync.Mutex // guards what follows: chunks are asked for while the peer speaks
	asked int        // the chunk that was asked for; -1: none
	chunk []byte     // its bytes go here
	got   int        // so many are there
}

// ask tells that chunk i was asked for, and where to put it; -1 that none is.
func (e *ear) ask(i int, room []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked, e.chunk, e.got = i, room, 0
}

// waiting returns which chunk was asked for, and what is still free of the room for it.
func (e *ear) waiting() (i int, rest []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.asked < 0 {
		return -1, nil
	}
	return e.asked, e.chunk[e.got:]
}

// next reads a message.
func (e *ear) next() (heard, error) {
	out := heard{port: -1, wanted: -1}
	var head [headBytes]byte
	if _, err := io.ReadFull(e.from, head[:]); err != nil {
		return out, fault.E(fault.Unavailable, "hearing from a peer", err)
	}
	what, value := head[0], binary.BigEndian.Uint32(head[1:])
	if !e.greeted && what != sayHello || e.greeted && !e.listed && what != sayAll {
		return out, broken("it does not say who it is and what it has first")
	}
	switch what {
	case sayHello:
		if e.greeted || value > 0xffff {
			return out, broken("it says who it is twice, or at no port")
		}
		e.greeted = true
		out.port = int(value)
	case sayAll:
		return out, e.all(&out, value)
	case sayHave, sayAsk:
		if int64(value) >= int64(e.manifest.Len()) {
			return out, broken("it names a chunk that the image has not")
		}
		if what == sayAsk {
			out.wanted = int(value)
		} else {
			out.offered = []int{int(value)}
		}
	case sayPart:
		return out, e.part(&out, value)
	case sayNo:
		if i, _ := e.waiting(); i < 0 || int64(value) != int64(i) {
			return out, broken("it refuses what nobody asked for")
		}
		out.refused = true
	case sayAlive:
	default:
		return out, broken("it says what nobody understands")
	}
	return out, nil
}

// all reads the set of chunks that a peer has.
func (e *ear) all(out *heard, length uint32) error {
	n := e.manifest.Len()
	set := newBits(n)
	if e.listed || int64(length) != int64(len(set)) {
		return broken("it lists the chunks that it has twice, or those of another image")
	}
	if _, err := io.ReadFull(e.from, set); err != nil {
		return fault.E(fault.Unavailable, "hearing from a peer", err)
	}
	e.listed = true
	set.each(n, func(i int) { out.offered = append(out.offered, i) })
	return nil
}

// part reads some of the chunk that was asked for.
func (e *ear) part(out *heard, length uint32) error {
	_, rest := e.waiting()
	if length == 0 || length > partBytes || int64(length) > int64(len(rest)) {
		return broken("it sends what nobody asked for")
	}
	if _, err := io.ReadFull(e.from, rest[:length]); err != nil {
		return fault.E(fault.Unavailable, "taking a chunk from a peer", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.got += int(length)
	out.done = e.got == len(e.chunk)
	return nil
}

func broken(how string) error { return fault.Errorf(fault.Invalid, "a peer breaks the rules: %s", how) }

// say writes a message without bytes behind it.
func say(to io.Writer, what byte, value int) error {
	var b [headBytes]byte
	b[0] = what
	binary.BigEndian.PutUint32(b[1:], uint32(value))
	_, err := to.Write(b[:])
	return err
}
