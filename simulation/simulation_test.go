package simulation_test

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/hagane-cloud/hagane/simulation"
)

// envSeed names the seed of one simulation that is to be played again.
const envSeed = "HAGANE_SIM_SEED"

// template makes the cloud that every simulation begins with, once.
var template = sync.OnceValues(func() (*simulation.Template, error) {
	return nil, nil
})

func newTemplate(t *testing.T) *simulation.Template {
	t.Helper()
	var made *simulation.Template
	dir := folder(t)
	t.Run("template", func(t *testing.T) {
		cryptotest.SetGlobalRandom(t, 0)
		synctest.Test(t, func(t *testing.T) {
			var err error
			if made, err = simulation.NewTemplate(dir); err != nil {
				t.Fatal(err)
			}
		})
	})
	if made == nil {
		t.FailNow()
	}
	return made
}

// folder makes a folder that is gone with the test: in memory, where the system has such a place.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "hagane-simulation-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// play plays a seed.
func play(t *testing.T, from *simulation.Template, o simulation.Options) (out simulation.Outcome) {
	t.Helper()
	dir := folder(t)
	t.Run(fmt.Sprint("seed ", o.Seed), func(t *testing.T) {
		cryptotest.SetGlobalRandom(t, o.Seed)
		synctest.Test(t, func(t *testing.T) {
			var err error
			if out, err = from.Run(o, dir); err != nil {
				t.Error(err)
			}
		})
	})
	return out
}

func seeds(t *testing.T, n int) []uint64 {
	if s := os.Getenv(envSeed); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return []uint64{seed}
	}
	var all []uint64
	for i := range n {
		all = append(all, uint64(i+1))
	}
	return all
}

func TestSeeds(t *testing.T) {
	n := 3
	if s := os.Getenv("HAGANE_SIM_SEEDS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	from := newTemplate(t)
	for _, seed := range seeds(t, n) {
		o := simulation.Options{Seed: seed}
		if path := os.Getenv("HAGANE_SIM_TRACE"); path != "" {
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			o.Trace = io.Writer(f)
		}
		begin := time.Now()
		out := play(t, from, o)
		t.Logf("seed %d: %s, %d passes, %d statements, %d ambiguous, %s", seed, out.Fingerprint, out.Passes, out.Statements, out.Ambiguous, out.Lasted)
		t.Log(out.Counts["seconds awake"], time.Since(begin))
		for _, w := range out.Wrong {
			t.Errorf("seed %d: %s", seed, w)
		}
		if testing.Verbose() && os.Getenv(envSeed) != "" {
			t.Log(strings.Join(out.Notes, "\n"))
		}
	}
}
