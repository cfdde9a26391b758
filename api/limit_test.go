package api

import (
	"fmt"
	"testing"
	"time"
)

// TestLimiter sees that a caller gets its burst and then its rate, alone, and that callers of the past are forgotten.
func TestLimiter(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	l := newLimiter(Rate{PerSecond: 2, Burst: 3}, func() time.Time { return now })
	allowed := func(who string) (n int) {
		for range 10 {
			if l.take(who) == 0 {
				n++
			}
		}
		return n
	}
	if n := allowed("a"); n != 3 {
		t.Errorf("%d at once, not the burst of 3", n)
	}
	if n := allowed("b"); n != 3 {
		t.Errorf("another caller got %d, not 3", n)
	}
	if wait := l.take("a"); wait != time.Second/2 {
		t.Errorf("the next is allowed in %s, not 0.5 s", wait)
	}
	now = now.Add(time.Second)
	if n := allowed("a"); n != 2 {
		t.Errorf("%d after a second, not 2", n)
	}
	now = now.Add(sweep + time.Second)
	l.take("c")
	if len(l.buckets) != 1 {
		t.Errorf("%d callers are remembered, not 1", len(l.buckets))
	}
	for i := range most + 10 {
		l.take(fmt.Sprint(i))
	}
	if len(l.buckets) > most {
		t.Errorf("%d callers are remembered", len(l.buckets))
	}
	if (*limiter)(nil).take("a") != 0 || newLimiter(Rate{}, time.Now).take("a") != 0 {
		t.Error("no limit limits")
	}
}
