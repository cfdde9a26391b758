package simulation_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/simulation"
)

// TestReplay plays seeds twice: everything happens again, in the same order and at the same time. Another seed has another history.
func TestReplay(t *testing.T) {
	if raceDetector || testing.Short() {
		t.Skip("plays six days")
	}
	from := newTemplate(t)
	known := map[string]uint64{}
	for seed := range uint64(3) {
		first, second := play(t, from, simulation.Options{Seed: seed}), play(t, from, simulation.Options{Seed: seed})
		if first.Fingerprint != second.Fingerprint || first.Passes != second.Passes {
			t.Errorf("seed %d had two histories, of %d and %d passes:\n%s", seed, first.Passes, second.Passes, differ(first.Tail, second.Tail))
		}
		if other, ok := known[first.Fingerprint]; ok {
			t.Errorf("the seeds %d and %d have the same history", seed, other)
		}
		known[first.Fingerprint] = seed
	}
}

// differ shows where two traces part.
func differ(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range x {
		if i >= len(y) || x[i] != y[i] {
			const around = 3
			return strings.Join(slices.Concat(x[max(0, i-around):i+1], []string{"or"}, y[min(i, len(y)):min(i+1, len(y))]), "\n")
		}
	}
	return "the ends are the same"
}
