package simulation

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/secret"
	"github.com/hagane-cloud/hagane/workflow"
)

// Options say what is simulated.
type Options struct {
	Seed  uint64
	Days  int  // simulated; 0 is one
	Quiet bool // nothing goes wrong by itself
	// Sabotage breaks something on purpose, to show that it is found; "" is nothing.
	Sabotage string
	Trace    io.Writer // takes the whole trace; nil keeps the end of it
}

// What can be broken on purpose. The names of a conductor's loops stop that loop as well.
const (
	NoErasing    = "agents report that they erased, and did not"
	NoFence      = "BMC drivers do not ask the fence"
	NoSession    = "BMCs do not end the sessions of predecessors"
	NoGivingBack = "slots are not given back"
)

// Outcome is what came of a simulation.
type Outcome struct {
	Wrong       []string // what must not be, the first of it at most
	Fingerprint string   // of the whole trace
	Passes      int      // through the turnstile
	Statements  int      // of SQL
	Lasted      time.Duration
	Notes       []string // what happened, in large
	Tail        string   // the end of the trace
	Ambiguous   int      // how often the order of two was chance
	Counts      map[string]int
}

// simulation is a cloud, with its machines and the people who use it.
type simulation struct {
	*turnstile
	o         Options
	store     *store
	box       *secret.Box
	images    string // the folder of the images' data
	machines  []*machine
	projects  []*project
	image     string // that servers are made of
	imageSum  string // what is written of it
	flavor    string
	processes []*process // by their places
	launched  int
	actors    sync.WaitGroup // people, machines and agents
	running   sync.WaitGroup // processes
	target    *process       // of the misfortune that begins; nil is anybody
	lasting   time.Duration  // of the misfortune that begins
	troubled  bool           // BMCs, agents and the switch misbehave
	failed    []string       // what must not be
	counts    map[string]int

	life      map[string]seen // the nodes as they were last seen
	owned     map[workflow.RunID]time.Time
	lined     map[workflow.RunID]time.Time // runs that stand in line where all is free, since when
	reboots   map[string]reboot            // that were asked for, by their runs
	watched   time.Time                    // when the power of a node is to be looked at next
	alone     bool                         // a run is due, and nobody is at work on it
	disturbed time.Time                    // when something last happened to a conductor or the database
	sampled   time.Time
	owners    map[string]string // project of each server that ever was
}

// project is a tenant.
type project struct {
	id      string
	network network.Network
}

const switchName = "rack"

// mostWrong bounds how much of what must not be is told.
const mostWrong = 20

// act has somebody act beside the others. What it leaves behind is seen by whoever is let on next.
func (s *simulation) act(fn func()) {
	s.actors.Go(func() {
		fn()
		s.turnstile.mu.Lock()
		defer s.turnstile.mu.Unlock()
	})
}

// wrong notes what must not be. The simulation ends with it.
func (s *simulation) wrong(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.trace.note("WRONG: %s", text)
	if len(s.failed) < mostWrong {
		s.failed = append(s.failed, s.trace.at()+" "+text)
	}
}

// query asks the database itself, past all that happens to processes.
func (s *simulation) query(text string) [][]driver.Value {
	a, err := s.store.rows(s.store.read, text, nil)
	if err != nil {
		s.wrong("%s: %v", text, err)
		return nil
	}
	return a.rows
}

// reboot is one that a tenant asked for, and how often the machine had been started by then.
type reboot struct {
	m     *machine
	boots int
}

// lease is who has the right to work on a node by the records.
type lease struct {
	owner   string
	expires int64 // milliseconds since 1970
}

func (s *simulation) leaseOf(subject string) lease {
	for _, row := range s.query("SELECT owner, expires FROM lease WHERE subject = '" + subject + "'") {
		return lease{fmt.Sprint(row[0]), row[1].(int64)}
	}
	return lease{}
}

// nameOf is the name of the process with an id.
func (s *simulation) nameOf(holder string) string {
	for _, p := range s.processes {
		if string(p.id) == holder {
			return p.name
		}
	}
	return holder
}

func (s *simulation) machineOf(node string) *machine {
	i := slices.IndexFunc(s.machines, func(m *machine) bool { return m.node == node })
	if i < 0 {
		return nil
	}
	return s.machines[i]
}

// projectOf is whose server it is, or was.
func (s *simulation) projectOf(server string) string { return s.owners[server] }

// ask makes a call to one of the processes that answer calls.
func (s *simulation) ask(who string, fn func(ctx context.Context, p *process) error) error {
	var up []*process
	for _, p := range s.processes {
		if !p.drives && !p.dead.Load() && !p.leaving {
			up = append(up, p)
		}
	}
	if len(up) == 0 {
		s.sleep(who, time.Millisecond, 10*time.Millisecond)
		return fault.E(fault.Unavailable, "nobody listens", errGone)
	}
	p := oneOf(s.turnstile, up...)
	err := fn(acting(context.Background(), who), p)
	if err != nil && fault.KindOf(err) == fault.Internal && !errors.Is(err, errGone) && !p.dead.Load() {
		s.wrong("%s: a call is answered with a defect: %v", who, err)
	}
	if err == nil && p.dead.Load() {
		err = fault.E(fault.Unavailable, "the connection was closed", errGone)
	}
	return err
}
