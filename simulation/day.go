package simulation

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/hagane-cloud/hagane/server"
)

// Run simulates a cloud, with its database in a folder, until all days are over or something is wrong. It is to be called in a bubble of
// testing/synctest, with cryptographic randomness that comes from the seed.
func (t *Template) Run(o Options, dir string) (Outcome, error) {
	time.Sleep(time.Until(t.made.Add(time.Hour)))
	path := filepath.Join(dir, "hagane.db")
	if err := t.copyTo(path); err != nil {
		return Outcome{}, err
	}
	began := time.Now()
	s, err := t.begin(o, path)
	if err != nil {
		return Outcome{}, err
	}
	s.act(func() {
		for day := range max(o.Days, 1) {
			s.day(day)
		}
		s.settle()
		s.end()
	})
	s.run()
	err = s.finish()
	return Outcome{Wrong: s.failed, Fingerprint: s.trace.fingerprint(), Passes: s.count, Statements: s.store.statements, Lasted: time.Since(began),
		Notes: s.trace.notes, Tail: s.trace.tail(), Ambiguous: s.trace.ambiguous, Counts: s.counts}, err
}

// hours is how often a day people sit down to work.
const hours = 2

// day is a day of people's work and of what goes wrong in it.
func (s *simulation) day(day int) {
	const who, long = "the day", 24 * time.Hour
	midnight := time.Now()
	var at []time.Duration
	for range hours {
		at = append(at, s.between(0, long-time.Hour))
	}
	slices.Sort(at)
	for i, t := range at {
		if wait := t - time.Since(midnight); wait > 0 {
			s.sleep(who, wait, wait)
		}
		if len(s.failed) > 0 {
			return
		}
		s.troubled = !s.o.Quiet
		for _, p := range s.projects {
			s.act(func() { s.tenant(p, day*hours+i) })
		}
		s.act(func() { s.operator(day*hours + i) })
		if s.troubled {
			for n := range 1 + s.draw.IntN(4) {
				s.act(func() { s.strike((day*hours+i)*10 + n) })
			}
		}
		const work = 12 * time.Minute
		s.sleep(who, work, work)
	}
	if rest := long - time.Since(midnight); rest > 0 {
		s.sleep(who, rest, rest)
	}
	s.judge(fmt.Sprintf("after day %d", day+1))
}

// converges is how long the cloud may take to come to rest when nothing goes wrong any more and nobody asks for anything.
const converges = 90 * time.Minute

// settle ends all misfortune, and waits for the cloud to come to rest.
func (s *simulation) settle() {
	const who = "the end"
	s.trace.note("nothing goes wrong any more")
	s.troubled = false
	for _, p := range s.processes {
		p.cutFromDB, p.cutFromBMCs = false, false
	}
	s.store.down, s.store.lossy = false, 0
	for _, m := range s.machines {
		m.silent, m.stale = time.Time{}, time.Time{}
	}
	s.repair(who) // what an operator holds would be held for ever
	begun := time.Now()
	for len(s.failed) == 0 && !s.atRest() {
		if time.Since(begun) > converges {
			for _, row := range s.query("SELECT node.name, run.workflow, run.step, run.phase, run.reason, run.hold FROM run JOIN node ON node.id = run.subject WHERE run.ended_at IS NULL") {
				s.wrong("after %s without any trouble %v is still at work: %v", converges, row[0], row[1:])
			}
			break
		}
		s.sleep(who, 5*time.Second, 5*time.Second)
	}
	if len(s.failed) > 0 {
		return
	}
	s.trace.note("at rest after %s", time.Since(begun).Round(time.Second))
	s.judge("at the end")
	for _, row := range s.query("SELECT id, state, deleting FROM server") {
		if state := server.State(fmt.Sprint(row[1])); state != server.Active && state != server.Failed {
			s.wrong("at the end the server %s is %s, and nothing is at work on it", row[0], state)
		}
	}
}

// atRest reports whether no run is live but those that an operator holds.
func (s *simulation) atRest() bool {
	return len(s.query("SELECT 1 FROM run WHERE ended_at IS NULL AND phase <> 'held' LIMIT 1")) == 0
}
