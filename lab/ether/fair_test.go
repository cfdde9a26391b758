package ether

import (
	"fmt"
	"testing"
)

// segment is a frame of the connection with a number.
func segment(connection byte, text string) []byte {
	frame := make([]byte, 38, 64)
	frame[12], frame[14], frame[37] = 0x08, 0x45, connection
	return append(frame, text...)
}

type collector struct {
	got  []string
	done chan struct{}
	want int
}

func (c *collector) Deliver(frame []byte) bool {
	c.got = append(c.got, string(frame[min(38, len(frame)):]))
	if len(c.got) == c.want {
		close(c.done)
	}
	return true
}

// TestFair queues much of one connection and a little of others: turns are taken, each in its order, and who has most loses what is too much.
func TestFair(t *testing.T) {
	f := NewFair(8)
	for i := range 6 {
		if !f.Deliver(segment(1, fmt.Sprint("bulk", i))) {
			t.Errorf("bulk %d was refused while there was room", i)
		}
	}
	for i, frame := range [][]byte{segment(2, "ack"), append(make([]byte, 38), "arp"...), segment(2, "word")} {
		if !f.Deliver(frame) {
			t.Errorf("%d was refused for others' sake", i)
		}
	}
	if f.Deliver(segment(1, "too much")) {
		t.Error("there was room for what was too much")
	}
	c := &collector{done: make(chan struct{}), want: 8}
	ended := make(chan struct{})
	go func() { f.Pump(c); close(ended) }()
	<-c.done
	f.Close()
	<-ended
	if got, want := fmt.Sprint(c.got), "[bulk0 ack arp bulk1 word bulk2 bulk3 bulk4]"; got != want {
		t.Errorf("%s left, and %s was to", got, want)
	}
	if f.queued != 0 || len(f.flows) != 0 {
		t.Errorf("%d frames of %d flows are left", f.queued, len(f.flows))
	}
}
