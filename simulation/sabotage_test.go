package simulation_test

import (
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/simulation"
)

// TestSabotage breaks something on purpose, at the edges of the program, and looks whether the simulation finds it within the hundred
// seeds that are always played.
func TestSabotage(t *testing.T) {
	if raceDetector || testing.Short() {
		t.Skip("plays up to a hundred seeds for each")
	}
	from := newTemplate(t)
	for _, one := range []struct{ broken, found string }{
		{simulation.NoErasing, "is available with"},
		{simulation.NoFence, "under the lease of"},
		{simulation.NoGivingBack, "has ended, and has a slot"},
		{"adopt runs", "nobody has been at work on the run"},
		{"hand runs on", "nobody has been at work on the run"},
		{"renew the leases", "nobody has been at work on the run"},
	} {
		t.Run(one.broken, func(t *testing.T) {
			const most = 100
			for seed := range uint64(most) {
				out := play(t, from, simulation.Options{Seed: seed + 1, Sabotage: one.broken})
				for _, w := range out.Wrong {
					if strings.Contains(w, one.found) {
						t.Logf("found with seed %d: %s", seed+1, w)
						return
					}
				}
			}
			t.Errorf("%s: nothing was found in %d seeds", one.broken, most)
		})
	}
}
