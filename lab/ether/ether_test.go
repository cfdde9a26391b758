package ether

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/iotest"
)

func TestStreamCarriesFramesWhole(t *testing.T) {
	a, b := net.Pipe()
	w := NewWriter(8)
	done := make(chan error, 1)
	go func() { done <- w.Run(a) }()
	var want [][]byte
	for size := range []int{0, 1, 2, 3} {
		want = append(want, bytes.Repeat([]byte{byte(size)}, 60+size*5000))
	}
	go func() {
		for _, f := range want {
			w.Deliver(f)
		}
	}()
	r := NewReader(iotest.OneByteReader(b))
	var got [][]byte
	for range want {
		f, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, f)
	}
	for i := range want { // only now: earlier frames must survive later reads
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("frame %d differs", i)
		}
	}
	w.Close()
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestReaderTellsACutFrame(t *testing.T) {
	r := NewReader(bytes.NewReader([]byte{0, 0, 0, 60, 1, 2, 3}))
	if _, err := r.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut frame: %v", err)
	}
	r = NewReader(bytes.NewReader([]byte("HTTP/1.1 404 Not Found\r\n")))
	if _, err := r.Next(); err == nil {
		t.Error("text passed as a frame")
	}
	r = NewReader(bytes.NewReader(nil))
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("empty stream: %v", err)
	}
}

func TestFullQueueDrops(t *testing.T) {
	w := NewWriter(1)
	if !w.Deliver([]byte{1}) {
		t.Fatal("first frame refused")
	}
	if w.DeliverNow([]byte{2}) || w.Deliver([]byte{2}) {
		t.Error("a full queue that nobody empties took a frame")
	}
}

func TestTags(t *testing.T) {
	plain := append(make([]byte, 12), 0x08, 0x00, 1, 2, 3)
	tagged := Tag(plain, 101)
	if v, ok := VLAN(tagged); !ok || v != 101 {
		t.Errorf("vlan %d %v", v, ok)
	}
	if !bytes.Equal(Untag(tagged), plain) {
		t.Error("untag does not undo tag")
	}
	if _, ok := VLAN(plain); ok {
		t.Error("plain frame has a tag")
	}
}

func TestLLDPRoundTrip(t *testing.T) {
	want := Neighbour{Chassis: "lab", Port: "r1p01", System: "lab"}
	got, ok := ParseLLDP(LLDP(MAC{2, 0, 0, 0, 0, 1}, want))
	if !ok || got != want {
		t.Errorf("%+v %v", got, ok)
	}
	if _, ok := ParseLLDP(LLDP(MAC{}, want)[:20]); ok {
		t.Error("cut frame parsed")
	}
}
