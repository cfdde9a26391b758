package ether

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	chunkSize = 128 << 10             // read at once; frames are handed on as parts of it
	patience  = 50 * time.Millisecond // how long a full queue holds up its sender before it drops
)

// Reader cuts a byte stream into frames.
type Reader struct {
	src        io.Reader
	buf        []byte
	start, end int
}

// NewReader returns a Reader of src.
func NewReader(src io.Reader) *Reader { return &Reader{src: src} }

// Next returns the next frame. The frame stays valid after later calls. It returns io.EOF at the end
// of the stream between two frames and io.ErrUnexpectedEOF within one.
func (r *Reader) Next() ([]byte, error) {
	if err := r.fill(4); err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint32(r.buf[r.start:]))
	if size > MaxFrame {
		return nil, fmt.Errorf("a frame of %d bytes: the other side does not speak this framing", size)
	}
	if err := r.fill(4 + size); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	frame := r.buf[r.start+4 : r.start+4+size : r.start+4+size]
	r.start += 4 + size
	return frame, nil
}

// fill makes sure that n unread bytes are in the buffer. A chunk that has been handed out in parts
// is never written again: the collector frees it with its last frame.
func (r *Reader) fill(n int) error {
	for r.end-r.start < n {
		if len(r.buf)-r.start < n || len(r.buf) == r.end {
			fresh := make([]byte, max(chunkSize, n))
			r.end = copy(fresh, r.buf[r.start:r.end])
			r.buf, r.start = fresh, 0
		}
		got, err := r.src.Read(r.buf[r.end:])
		r.end += got
		if err != nil && r.end-r.start < n {
			if errors.Is(err, io.EOF) && r.end > r.start {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// Writer is a Sink with a queue, from which it feeds a byte stream (Run) or another Sink (Pump).
type Writer struct {
	queue   chan []byte
	stop    chan struct{}
	once    sync.Once
	stalled atomic.Bool
}

// NewWriter returns a Writer that holds back up to depth frames. Run or Pump empties it.
func NewWriter(depth int) *Writer {
	return &Writer{queue: make(chan []byte, depth), stop: make(chan struct{})}
}

// Deliver queues a frame. When the queue is full it waits a moment, which slows a fast sender down
// instead of making it lose frames; a queue that stays full drops at once until it has moved again.
func (w *Writer) Deliver(frame []byte) bool {
	if w.DeliverNow(frame) {
		return true
	}
	if w.stalled.Load() {
		return false
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case w.queue <- frame:
		return true
	case <-w.stop:
		return false
	case <-timer.C:
		w.stalled.Store(true)
		return false
	}
}

// DeliverNow queues a frame if there is room.
func (w *Writer) DeliverNow(frame []byte) bool {
	select {
	case <-w.stop:
		return false
	default:
	}
	select {
	case w.queue <- frame:
		return true
	default:
		return false
	}
}

// Run writes queued frames to dst until Close is called (nil) or a write fails.
func (w *Writer) Run(dst io.Writer) error {
	defer w.Close()
	out := bufio.NewWriterSize(dst, chunkSize/2)
	for {
		var frame []byte
		select {
		case frame = <-w.queue:
		case <-w.stop:
			return nil
		}
		if err := put(out, frame); err != nil {
			return err
		}
		for more := true; more; {
			select {
			case frame = <-w.queue:
				if err := put(out, frame); err != nil {
					return err
				}
			default:
				more = false
			}
		}
		if err := out.Flush(); err != nil {
			return err
		}
		w.stalled.Store(false)
	}
}

// Pump hands queued frames to dst until Close is called. It takes the frames off the sender's
// goroutine, so that an answer to a frame never runs under the locks of its sender.
func (w *Writer) Pump(dst Sink) {
	for {
		select {
		case frame := <-w.queue:
			dst.Deliver(frame)
			w.stalled.Store(false)
		case <-w.stop:
			return
		}
	}
}

// Close ends Run and Pump and refuses further frames. Frames still queued are lost.
func (w *Writer) Close() { w.once.Do(func() { close(w.stop) }) }

func put(out *bufio.Writer, frame []byte) error {
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], uint32(len(frame)))
	if _, err := out.Write(head[:]); err != nil {
		return err
	}
	_, err := out.Write(frame)
	return err
}
