package simulation_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/hagane-cloud/hagane/simulation"
)

// The environment of the tests.
const (
	envSeed  = "HAGANE_SIM_SEED"  // plays one seed again
	envTrace = "HAGANE_SIM_TRACE" // file that takes the whole trace of it
	envSeeds = "HAGANE_SIM_SEEDS" // how many seeds TestSeeds plays
	envSoak  = "HAGANE_SOAK"      // thousands of them, others each time
	envPart  = "HAGANE_SIM_PART"  // "5 3 1 2": this process plays 3 seeds from 5 on, every 2nd for 1 day; set for children
)

// newTemplate makes the cloud that simulations begin with.
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
	if out.Ambiguous > 0 {
		t.Errorf("seed %d: the order of two was chance %d times", o.Seed, out.Ambiguous)
	}
	return out
}

// judge fails the test with what is wrong, and says how to see it again.
func judge(t *testing.T, o simulation.Options, out simulation.Outcome) {
	t.Helper()
	if len(out.Wrong) == 0 {
		return
	}
	const enough = 60
	lines := strings.Split(out.Tail, "\n")
	t.Errorf("seed %d:\n%s\nwhat happened:\n%s\nthe end of the trace:\n%s\n\nagain, with the whole trace in a file: %s=%d %s=trace.txt go test ./simulation -run TestSeeds -count=1",
		o.Seed, strings.Join(out.Wrong, "\n"), strings.Join(out.Notes[max(0, len(out.Notes)-enough):], "\n"), strings.Join(lines[max(0, len(lines)-enough):], "\n"),
		envSeed, o.Seed, envTrace)
}

// part is the seeds that one process plays.
type part struct {
	first       uint64
	count       int
	step        int
	days        int
	accumulated map[string]int
}

func (p part) String() string { return fmt.Sprintln(p.first, p.count, p.days, p.step) }

// play plays them until one fails.
func (p *part) play(t *testing.T) {
	from := newTemplate(t)
	p.accumulated = map[string]int{}
	for i := range p.count {
		o := simulation.Options{Seed: p.first + uint64(i*p.step), Days: p.days}
		out := play(t, from, o)
		judge(t, o, out)
		for what, n := range out.Counts {
			p.accumulated[what] += n
		}
		p.accumulated["seeds"]++
		p.accumulated["statements of SQL"] += out.Statements
		if t.Failed() {
			return
		}
	}
}

// TestSeeds plays a cloud's day from each of a hundred seeds, and looks whether anything is as it must not be. With the race detector it
// plays a few: all of it goes through one turnstile, and other tests look for races.
func TestSeeds(t *testing.T) {
	if one := os.Getenv(envSeed); one != "" {
		again(t, one)
		return
	}
	if text := os.Getenv(envPart); text != "" {
		var p part
		if _, err := fmt.Sscan(text, &p.first, &p.count, &p.days, &p.step); err != nil {
			t.Fatal(err)
		}
		p.play(t)
		for _, what := range slices.Sorted(maps.Keys(p.accumulated)) {
			fmt.Printf("%s%d %s\n", counted, p.accumulated[what], what)
		}
		return
	}
	all := part{first: 1, count: 100, days: 1, step: 1}
	switch text := os.Getenv(envSeeds); {
	case text != "":
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		all.count = n
	case os.Getenv(envSoak) != "":
		all.count, all.days = 5000, 2
	case raceDetector || testing.Short():
		all.count = 2
	}
	if os.Getenv(envSoak) != "" {
		all.first = uint64(time.Now().Unix()) << 16
	}
	divide(t, all)
}

// again plays one seed.
func again(t *testing.T, text string) {
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	o := simulation.Options{Seed: seed}
	if os.Getenv(envSoak) != "" {
		o.Days = 2
	}
	if path := os.Getenv(envTrace); path != "" {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }() // people read it, and see whether it is whole
		o.Trace = f
	}
	out := play(t, newTemplate(t), o)
	judge(t, o, out)
	t.Logf("%s\nfingerprint %s, %d passes, %d statements", strings.Join(out.Notes, "\n"), out.Fingerprint, out.Passes, out.Statements)
}

// counted begins the lines in which a child tells what it counted.
const counted = "counted "

// divide has the seeds played by a process for each core: randomness is a process's, so that one plays one seed at a time.
func divide(t *testing.T, all part) {
	children := min(runtime.GOMAXPROCS(0), all.count)
	begun := time.Now()
	var mu sync.Mutex
	sum := map[string]int{}
	var wait sync.WaitGroup
	for i := range children {
		p := part{first: all.first + uint64(i), count: (all.count - i + children - 1) / children, days: all.days, step: children}
		wait.Go(func() {
			c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSeeds$", "-test.timeout=0")
			c.Env = append(os.Environ(), envPart+"="+p.String(), "GOMAXPROCS=2", "GOGC=400")
			text, err := c.CombinedOutput()
			mu.Lock()
			defer mu.Unlock()
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				t.Errorf("%s", text)
			} else if err != nil {
				t.Error(err)
			}
			for line := range strings.Lines(string(text)) {
				if n, what, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), counted), " "); ok && strings.HasPrefix(line, counted) {
					count, err := strconv.Atoi(n)
					if err != nil {
						t.Error(err)
					}
					sum[what] += count
				}
			}
		})
	}
	wait.Wait()
	var words []string
	for _, what := range slices.Sorted(maps.Keys(sum)) {
		words = append(words, fmt.Sprintf("%6d %s", sum[what], what))
	}
	t.Logf("%d seeds in %s\n%s", sum["seeds"], time.Since(begun).Round(time.Second), strings.Join(words, "\n"))
}
