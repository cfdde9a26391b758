package netboot

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hagane-cloud/hagane/agent/manifest"
	"github.com/hagane-cloud/hagane/fault"
)

// of10 is a manifest of ten chunks, all of which all wants.
var (
	of10 = &manifest.Manifest{Size: 10 * manifest.Least, ChunkBytes: manifest.Least}
	all  = []byte{0xff, 0x03}
)

// TestChoose sends each chunk once, of those that are wanted; again only to who is alone, when it should have come from others by
// now, or when it did not arrive.
func TestChoose(t *testing.T) {
	w, now := newWaves(), time.Now()
	choose := func(want []byte, alone bool) int { return w.choose("image", of10, want, alone, now) }
	if i := choose([]byte{0x80, 0}, false); i != 7 {
		t.Errorf("chunk %d was chosen where 7 alone was wanted", i)
	}
	sent := []int{7}
	for range 9 {
		sent = append(sent, choose(all, false))
	}
	slices.Sort(sent)
	if !slices.Equal(sent, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) {
		t.Errorf("ten questions were answered with %v", sent)
	}
	if i := choose(all, false); i >= 0 {
		t.Errorf("chunk %d was sent once more", i)
	}
	if i := w.choose("another image", of10, all, false, now); i < 0 {
		t.Error("what was sent of one image is not sent of another")
	}
	if i := choose([]byte{0x08, 0}, true); i != 3 {
		t.Errorf("who is alone was sent chunk %d, want 3", i)
	}
	if i := choose([]byte{0x18, 0}, true); i != 4 {
		t.Errorf("who is alone was sent chunk %d, want 4, which was sent once, and not 3, which was sent twice", i)
	}
	for _, c := range []struct {
		lost  int
		want  []byte
		alone bool
	}{{6, []byte{0x60, 0}, false}, {6, []byte{0x60, 0}, true}, {3, []byte{0x08, 0}, false}} {
		lost := &send{who: "a", image: "image", chunk: c.lost}
		w.sends[lost] = true
		w.written(lost, false, now)
		if i := choose(c.want, c.alone); i != c.lost {
			t.Errorf("chunk %d was sent, want %d, which did not arrive", i, c.lost)
		}
	}
	usual := 3 * time.Second
	w.all["image"].usual = usual
	now = now.Add(againAfter*usual - time.Second)
	if i := choose(all, false); i >= 0 {
		t.Errorf("chunk %d was sent again too soon", i)
	}
	now = now.Add(2 * time.Second)
	if i := choose(all, false); i < 0 {
		t.Error("nothing is sent again although nobody had it from others")
	}
}

// TestMeet tells agents of each other by image, as long as they are heard of.
func TestMeet(t *testing.T) {
	w, now := newWaves(), time.Now()
	at := func(n int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, 0, byte(n)}), 7000)
	}
	meet := func(image, who string, where netip.AddrPort) []netip.AddrPort {
		told := w.meet(image, who, where, now)
		slices.SortFunc(told, netip.AddrPort.Compare)
		return told
	}
	want := func(told []netip.AddrPort, want ...netip.AddrPort) {
		t.Helper()
		if !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
	}
	want(meet("i", "a", at(1)))
	want(meet("i", "b", at(2)), at(1))
	want(meet("j", "c", at(3)))
	want(meet("i", "a", at(4)), at(2))          // it has moved
	want(meet("i", "b", at(2)), at(4))          // and is told of once
	want(meet("", "b", at(2)), at(4))           // who writes nothing any more gives what it wrote
	want(meet("", "d", at(5)))                  // who wrote nothing meets nobody
	want(meet("i", "e", at(0)), at(2), at(4))   // nor is met
	gone := netip.AddrPortFrom(at(2).Addr(), 0) // b leaves
	want(meet("i", "b", gone), at(0), at(4))
	want(meet("i", "a", at(4)), at(0))
	now = now.Add(memberFor / 2)
	want(meet("i", "a", at(4)), at(0))
	now = now.Add(memberFor/2 + time.Second)
	want(meet("i", "f", at(6)), at(4)) // e is silent
	for n := range peersTold + 10 {
		meet("k", fmt.Sprint(n), at(100+n))
	}
	if told := meet("k", "0", at(100)); len(told) != peersTold {
		t.Errorf("told of %d peers, want %d", len(told), peersTold)
	}
	now = now.Add(waveFor + time.Second)
	want(meet("i", "g", at(7)))
	if len(w.all) != 1 {
		t.Errorf("%d waves are remembered, want the one that goes on", len(w.all))
	}
}

// TestTurn lets few chunks be on their way at first and more later, until agents have asked again, or are not heard of for long.
func TestTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWaves()
		turn := func(who string, within time.Duration) *send {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			s, err := w.turn(ctx, who, "image")
			if (s == nil) != fault.Is(err, fault.Unavailable) {
				t.Errorf("%v, %v", s, err)
			}
			return s
		}
		var held []*send
		for n := range leastSending {
			held = append(held, turn(fmt.Sprint(n), 0))
		}
		if slices.Contains(held, nil) {
			t.Fatal("not so many turns as there should be at first")
		}
		if turn("late", time.Second) != nil {
			t.Error("one turn too many")
		}

		// Whoever waits has the turn of the first that asks again, but not before its chunk is through.
		got := make(chan *send, 1)
		go func() { got <- turn("late", time.Minute/2) }()
		synctest.Wait()
		w.came("0", time.Now())
		synctest.Wait()
		if len(got) > 0 {
			t.Error("a turn ended before its chunk was through")
		}
		w.written(held[0], true, time.Now())
		w.came("1", time.Now())
		synctest.Wait()
		if len(got) > 0 {
			t.Error("somebody else ended the turn")
		}
		w.came("0", time.Now())
		late := <-got
		if late == nil {
			t.Fatal("no turn came free")
		}
		w.giveBack(late)

		// One that asks for nothing more is not waited for long, one whose chunk does not get through as long as it may take.
		late = turn("late", 0)
		w.written(late, true, time.Now())
		began := time.Now()
		if turn("later", time.Minute) == nil || time.Since(began) != againAtLeast {
			t.Errorf("a chunk was believed to be on its way for %s, want %s", time.Since(began), againAtLeast)
		}
		began = time.Now()
		if turn("last", 2*sendWithin) == nil || time.Since(began) > sendWithin {
			t.Errorf("waited for a turn for %s", time.Since(began))
		}

		// With what was sent, more may be on their way.
		w = newWaves()
		for range sendingGrows * 100 {
			w.choose("image", of10, all, true, time.Now())
		}
		for n := range mostSending {
			if turn(fmt.Sprint(n), 0) == nil {
				t.Errorf("only %d turns, want %d", n, mostSending)
			}
		}
		if turn("late", time.Second) != nil {
			t.Error("one turn too many")
		}
	})
}
