package db

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/hagane-cloud/hagane/fault"
)

// TestGuests has guests who ask for much: each gets a few places, all together leave some, and who gives up waiting takes none.
func TestGuests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuests()
		var mu sync.Mutex
		in := map[string]int{}
		done := make(chan struct{})
		stay := func(ctx context.Context, name string) {
			leave, err := g.enter(Guest(ctx, name))
			if err != nil {
				if !fault.Is(err, fault.Unavailable) {
					t.Error(err)
				}
				return
			}
			defer leave()
			mu.Lock()
			in[name]++
			mu.Unlock()
			<-done
		}
		impatient, giveUp := context.WithCancel(t.Context())
		for range 100 {
			go stay(impatient, "greedy")
		}
		synctest.Wait()
		go stay(t.Context(), "modest")
		synctest.Wait()
		if in["greedy"] != guestAbreast || in["modest"] != 1 {
			t.Errorf("%v are in", in)
		}
		giveUp()
		for i := range 9 {
			go stay(t.Context(), fmt.Sprint("guest", i))
		}
		synctest.Wait()
		if len(in) != 2+guestsAbreast-guestAbreast-1 {
			t.Errorf("%v are in", in)
		}
		if leave, err := g.enter(t.Context()); err != nil {
			t.Errorf("the cloud itself had to wait: %v", err)
		} else {
			leave()
		}
		close(done)
		synctest.Wait()
		if len(in) != 11 || in["greedy"] != guestAbreast || len(g.each) != 0 {
			t.Errorf("%v were in, %d are still known", in, len(g.each))
		}
	})
}
