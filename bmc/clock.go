package bmc

import (
	"fmt"
	"time"
)

// ClockFact remembers how wrong a BMC's clock is, in words; it is not known of clocks that are right.
const ClockFact = "clock"

// clockBears is how wrong a clock may be before anybody is told.
const clockBears = 5 * time.Minute

// NoteClock compares the time that a BMC tells with ours, for whoever reads its log. What it tells is believed for nothing else: clocks
// of BMCs are years late, or stand still after a restart.
func (m *Memory) NoteClock(told, now time.Time) {
	if told.IsZero() {
		return
	}
	m.Set(ClockFact, clockWords(told.Sub(now)))
}

// clockWords says roughly how wrong a clock is, so that it is the same words for a while; "" is right enough.
func clockWords(off time.Duration) string {
	way := "ahead"
	if off < 0 {
		off, way = -off, "behind"
	}
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	for _, u := range []struct {
		size time.Duration
		name string
	}{{year, "years"}, {day, "days"}, {time.Hour, "hours"}} {
		if off >= 2*u.size {
			return fmt.Sprintf("about %d %s %s", off.Round(u.size)/u.size, u.name, way)
		}
	}
	if off < clockBears {
		return ""
	}
	return fmt.Sprintf("about %d minutes %s", off.Round(10*time.Minute)/time.Minute, way)
}
