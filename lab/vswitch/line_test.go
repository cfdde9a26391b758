package vswitch

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hagane-cloud/hagane/lab/ether"
)

// rated is a switch with n ports of 8 Mbit/s in one VLAN, on which a frame of full has 1 ms; they are unplugged when the test ends.
func rated(t *testing.T, n int) (ports []*Port, ears []*listener) {
	t.Helper()
	s := New("lab", ether.MAC{2, 0xff})
	s.SetRate(8_000_000)
	for i := range n {
		p, err := s.AddPort("p" + string(rune('1'+i)))
		if err != nil {
			t.Fatal(err)
		}
		l := &listener{}
		set(t, p, Config{Access: 10})
		p.Plug(l)
		t.Cleanup(p.Unplug)
		ports, ears = append(ports, p), append(ears, l)
	}
	for i, p := range ports { // so that the switch learns where all are
		p.Input(frame(0xff, byte(i+1)))
	}
	time.Sleep(time.Second)
	return ports, ears
}

// full is a frame that takes a line of 8 Mbit/s a millisecond.
func full(dst, src byte) []byte {
	f := make([]byte, 1000-wireBytes)
	copy(f, frame(dst, src))
	return f
}

// about reports whether something took as long as it should, but for as much as a line may run ahead, each way.
func about(took, want time.Duration) bool { return took <= want && took >= want-2*tolerance }

// TestRate sends from a port to another as fast as it goes: that is the port's rate, again after a pause in which nothing was sent, while
// the other way is free.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, ears := rated(t, 2)
		for range 2 {
			began, before := time.Now(), ears[1].heard()
			for range 500 {
				p[0].Input(full(2, 1))
			}
			if took := time.Since(began); !about(took, 500*time.Millisecond) {
				t.Errorf("500 frames of 1 ms took %s", took)
			}
			back := time.Now()
			p[1].Input(full(1, 2))
			if took := time.Since(back); !about(took, time.Millisecond) {
				t.Errorf("a frame the other way waited %s", took)
			}
			time.Sleep(time.Minute)
			if n := ears[1].heard() - before; n != 500 {
				t.Errorf("%d of 500 frames arrived", n)
			}
		}
	})
}

// TestQueue sends from three ports to one. What they send arrives at the rate of that one port; when its queue is full, frames
// are dropped and counted. When they stop, the queue empties.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, ears := rated(t, 4)
		before, dropped := ears[0].heard(), p[0].Counters().Dropped
		var sending sync.WaitGroup
		for i := range 3 {
			sending.Go(func() {
				for range 1000 {
					p[1+i].Input(full(1, byte(2+i)))
				}
			})
		}
		sending.Wait()
		synctest.Wait()
		room := leastQueue / len(full(1, 2))
		if n := ears[0].heard() - before; n < 1000-room/2 || n > 1000+int(2*tolerance/time.Millisecond) {
			t.Errorf("%d frames of 1 ms arrived in a second", n)
		}
		time.Sleep(time.Second)
		n, lost := ears[0].heard()-before, int(p[0].Counters().Dropped-dropped)
		if n+lost != 3000 || n < 1000+room/2 || n > 1000+room+int(2*tolerance/time.Millisecond) {
			t.Errorf("of 3000 frames %d arrived, %d were dropped; %d have room in the queue", n, lost, room)
		}
	})
}

// TestUnplugRated ends the wait of a sender whose port is unplugged; without a rate nobody waits.
func TestUnplugRated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, ears := rated(t, 2)
		p[0].owner.SetRate(8) // of links that come up from now on: a byte a second
		p[0].Plug(ears[0])
		blocked, before := p[0].Counters().Blocked, ears[1].heard()
		began := time.Now()
		time.AfterFunc(time.Second, p[0].Unplug)
		p[0].Input(full(2, 1))
		if took := time.Since(began); took != time.Second {
			t.Errorf("the sender was let go after %s", took)
		}
		if p[0].Counters().Blocked != blocked+1 || ears[1].heard() > before {
			t.Error("what an unplugged port sent was let through")
		}
		p[0].owner.SetRate(0)
		p[0].Plug(ears[0])
		p[1].Plug(ears[1])
		began = time.Now()
		for range 500 {
			p[0].Input(full(2, 1))
		}
		if ears[1].heard() != before+500 || time.Since(began) > 0 {
			t.Errorf("without a rate %d of 500 frames arrived after %s", ears[1].heard()-before, time.Since(began))
		}
	})
}
