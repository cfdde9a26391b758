package bmc_test

import (
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
)

// Fact: clocks of BMCs are hours to decades wrong (iLO 7 of a DL340e: 2001; HGX: 2020 beside a host BMC of 2024): how wrong is told.
func TestClockOfABMC(t *testing.T) {
	now := time.Date(2026, 11, 4, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		told time.Time
		want string
	}{
		{now, ""}, {now.Add(-4 * time.Minute), ""}, {time.Time{}, ""}, {now.Add(28 * time.Minute), "about 30 minutes ahead"}, {now.Add(-12 * time.Hour), "about 12 hours behind"},
		{now.AddDate(0, 0, 9), "about 9 days ahead"}, {now.AddDate(-25, 0, 0), "about 25 years behind"},
	} {
		m := &bmc.Memory{}
		if !c.told.IsZero() {
			m.Set(bmc.ClockFact, "")
		}
		m.NoteClock(c.told, now)
		if got := m.Get(bmc.ClockFact); got != c.want {
			t.Errorf("%s is told as %q, want %q", c.told, got, c.want)
		}
	}
}
