package simulation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
)

// misfortune is something that goes wrong for a while.
type misfortune struct {
	name        string
	least, most time.Duration
	aims        bool // it waits for a moment at which it hurts
	strike      func(s *simulation) (heal func(), what string)
}

// misfortunes are all that go wrong beside what BMCs and agents do by themselves.
var misfortunes = []misfortune{
	{"a process dies", 3 * time.Second, 40 * time.Second, true, (*simulation).die},
	{"a process dies", 3 * time.Second, 40 * time.Second, true, (*simulation).die},
	{"a process is told to stop", 5 * time.Second, 40 * time.Second, true, (*simulation).leave},
	{"a process is paused", 5 * time.Second, 90 * time.Second, true, (*simulation).pause},
	{"a process is paused", 11 * time.Second, 40 * time.Second, true, (*simulation).pause},
	{"a process is cut off from the database", 2 * time.Second, 40 * time.Second, true, (*simulation).cutFromStore},
	{"a process is cut off from BMCs", 5 * time.Second, 60 * time.Second, true, (*simulation).cutFromRack},
	{"the database fails over", 2 * time.Second, 60 * time.Second, false, (*simulation).failOver},
	{"answers of the database are lost", 5 * time.Second, 60 * time.Second, false, (*simulation).loseAnswers},
	{"answers of the database are lost", 5 * time.Second, 60 * time.Second, false, (*simulation).loseAnswers},
	{"a BMC is silent", 10 * time.Second, 4 * time.Minute, false, (*simulation).silence},
	{"a BMC shows an old state", 5 * time.Second, 20 * time.Second, false, (*simulation).lag},
	{"a machine loses its power", time.Second, 2 * time.Second, false, (*simulation).outage},
	{"somebody presses a machine's button", time.Second, 2 * time.Second, false, (*simulation).finger},
}

// strike has something go wrong, some time from now, and heals it.
func (s *simulation) strike(n int) {
	who := fmt.Sprintf("misfortune %d", n)
	s.sleep(who, 0, 2*time.Minute)
	if s.over || !s.troubled {
		return
	}
	m := oneOf(s.turnstile, misfortunes...)
	s.target = nil
	if m.aims && !s.chance(3) {
		s.aim(who)
	}
	lasts := s.between(m.least, m.most)
	s.lasting = lasts
	heal, what := m.strike(s)
	if heal == nil {
		return
	}
	s.counts[m.name]++
	s.trace.note("%s: %s, for %s", m.name, what, lasts.Round(time.Second))
	s.disturbed = time.Now()
	s.sleep(who, lasts, lasts)
	heal()
	s.trace.note("%s: %s: over", m.name, what)
	s.disturbed = time.Now()
}

// sore are the functions in which it matters most that a process stands still or dies: between a look and the change that comes of it,
// and between a change and its record.
var sore = []string{"node.(*Job).press", "node.(*Job).power <", "node.(*Job).bootOver", "workflow.(*turn).commit", "node.(*Job).giveOrder", "server.(*Service).Create"}

// aim waits for a process to be where it hurts, but not for long.
func (s *simulation) aim(who string) {
	where := oneOf(s.turnstile, sore...)
	at := func(p *pass) bool { return p.who != nil && p.who.healthy() && strings.Contains(p.label, where) }
	s.wait(&pass{label: who + " aims", least: patience, most: patience, early: func() bool { return slices.ContainsFunc(s.waiting, at) }})
	if i := slices.IndexFunc(s.waiting, at); i >= 0 {
		s.target = s.waiting[i].who
	}
}

// patience is how long a misfortune waits for its moment.
const patience = 40 * time.Second

// living draws a process that nothing is wrong with.
func (s *simulation) living() *process {
	if s.target != nil && s.target.healthy() {
		return s.target
	}
	var all []*process
	for _, p := range s.processes {
		if p.healthy() {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return oneOf(s.turnstile, all...)
}

func (s *simulation) die() (func(), string) {
	p := s.living()
	if p == nil {
		return nil, ""
	}
	s.kill(p)
	return func() {
		if s.over {
			return
		}
		if _, err := s.launch(p.place, p.drives); err != nil {
			s.wrong("a process does not start: %v", err)
		}
	}, p.name
}

func (s *simulation) leave() (func(), string) {
	p := s.living()
	if p == nil {
		return nil, ""
	}
	p.leaving = true
	p.stop()
	return func() {
		if s.over || p.dead.Load() {
			return
		}
		s.kill(p)
		if _, err := s.launch(p.place, p.drives); err != nil {
			s.wrong("a process does not start: %v", err)
		}
	}, p.name
}

func (s *simulation) pause() (func(), string) {
	p := s.living()
	if p == nil {
		return nil, ""
	}
	p.paused = time.Now().Add(s.lasting)
	s.store.lose(p)
	return func() {}, p.name
}

func (s *simulation) cutFromStore() (func(), string) {
	p := s.living()
	if p == nil {
		return nil, ""
	}
	p.cutFromDB = true
	s.store.lose(p)
	return func() { p.cutFromDB = false }, p.name
}

func (s *simulation) cutFromRack() (func(), string) {
	p := s.living()
	if p == nil {
		return nil, ""
	}
	p.cutFromBMCs = true
	return func() { p.cutFromBMCs = false }, p.name
}

func (s *simulation) failOver() (func(), string) {
	if s.store.down {
		return nil, ""
	}
	s.store.fail()
	return func() { s.store.down = false }, "all"
}

func (s *simulation) loseAnswers() (func(), string) {
	const oneIn = 5
	s.store.lossy = oneIn
	return func() { s.store.lossy = 0 }, "one in 5"
}

func (s *simulation) silence() (func(), string) {
	m := oneOf(s.turnstile, s.machines...)
	m.silent = time.Now().Add(s.lasting)
	return func() {}, m.name
}

func (s *simulation) lag() (func(), string) {
	m := oneOf(s.turnstile, s.machines...)
	m.showed = m.power
	m.stale = time.Now().Add(s.lasting)
	return func() {}, m.name
}

func (s *simulation) outage() (func(), string) {
	m := oneOf(s.turnstile, s.machines...)
	s.press(m, bmc.PowerOff)
	return func() {}, m.name
}

func (s *simulation) finger() (func(), string) {
	m := oneOf(s.turnstile, s.machines...)
	s.press(m, oneOf(s.turnstile, bmc.Reset, bmc.PowerOn))
	return func() {}, m.name
}
