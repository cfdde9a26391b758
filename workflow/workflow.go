// Package workflow runs multi-step changes durably: a list of named steps, each with Do, Undo and
// a deadline, kept in the database and driven by queued jobs. It knows no noun: a noun registers its
// workflows and says what becomes of the subject when a run ends. Conductors tick runs; everyone else starts,
// nudges, aborts and reads them.
//
// Rules for steps. A step never sleeps: it returns nil when its goal is reached, Waiting when the
// world has to move first, or an error. Every step may run twice, after a crash or a retry: it looks before it
// acts. An error is tried again until the step's deadline, unless its kind says that trying again can not help.
package workflow

import (
	"context"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/fault"
)

// Step is one step of a workflow on a subject of type S.
type Step[S any] struct {
	Name         string                               // plain English, unique in its workflow; kept in the database
	Do           func(ctx context.Context, s S) error // reach the step's goal
	Undo         func(ctx context.Context, s S) error // give back what Do borrowed; nil if nothing
	Within       time.Duration                        // from the step's start to its end, waiting and retries included
	NotAbortable bool                                 // an abort waits until this step has ended
	Skippable    bool                                 // an operator may pass over it with a reason: no later step relies on it
	// Takes says which slots the step takes while it lasts; nil is none. They are given back while it is tried again after an error.
	Takes func(ctx context.Context, s S) ([]Slot, error)
}

// Workflow is a list of steps. Its name carries a version: a run ends with the steps it began with.
type Workflow[S any] struct {
	Name   string
	Steps  []Step[S]
	Urgent bool // its runs are looked at before those that wait without being urgent
	// Takes says which slots a run takes from its first step to its end; nil is none. Its steps may take more beside them.
	Takes func(ctx context.Context, s S) ([]Slot, error)
}

// Within returns the time limit of the whole: the sum of the steps' limits.
func (w Workflow[S]) Within() time.Duration {
	var d time.Duration
	for _, s := range w.Steps {
		d += s.Within
	}
	return d
}

// Host is the noun that a workflow belongs to.
type Host[S any] interface {
	// Open loads what the steps of a run need; it is called before each turn of work. run is kept up to
	// date while the turn lasts. The returned function releases what was loaded.
	Open(ctx context.Context, run *Run) (S, func(), error)
	// Group names the conductors that carry runs of a subject on; "" is those of no group.
	Group(ctx context.Context, q bun.IDB, subject string) (string, error)
	// Ended records what became of the subject, in the transaction that ends the run.
	Ended(ctx context.Context, tx Tx, run Run) error
}

type waiting struct {
	reason string
	poll   time.Duration
	firm   bool // nobody may interrupt it
}

func (w *waiting) Error() string { return "waiting for " + w.reason }

// defaultPoll is how soon a waiting step looks again when nobody nudges it: the safety net under
// lost events, seldom enough to cost nothing.
const defaultPoll = 15 * time.Second

// Waiting says that a step waits for something in the world ("the agent to call"). The reason is
// stored and shown to people. A nudge continues the run at once.
func Waiting(reason string) error { return &waiting{reason: reason, poll: defaultPoll} }

// Polling is Waiting for something that no event announces: the step looks again after d.
func Polling(reason string, d time.Duration) error { return &waiting{reason: reason, poll: d} }

// Firmly is Polling for something that breaks when it is interrupted, such as firmware that is being written. Until the step waits for
// something else, or ends, the run can not be aborted, and says so.
func Firmly(reason string, d time.Duration) error {
	return &waiting{reason: reason, poll: d, firm: true}
}

type final struct{ err error }

func (f *final) Error() string { return f.err.Error() }
func (f *final) Unwrap() error { return f.err }

// GiveUp marks an error that no retry can cure: the run is undone now.
func GiveUp(err error) error { return &final{err: err} }

// hopeless reports whether trying again can not help.
func hopeless(err error) bool {
	var f *final
	if errors.As(err, &f) {
		return true
	}
	switch fault.KindOf(err) {
	case fault.Invalid, fault.NotFound, fault.Denied, fault.Unauthentic, fault.TooLarge:
		return true
	case fault.Internal, fault.Conflict, fault.Unavailable:
	}
	return false
}

// backoff is how long to wait before a step's next attempt after so many failed ones in a row.
func backoff(failures int64) time.Duration {
	const longest = 30 * time.Second
	d := time.Second << min(max(failures-1, 0), 5)
	return min(d, longest)
}
