package workflow

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
)

// Phase is where a run is in its own life, the same for every kind of run.
type Phase string

// The phases.
const (
	Queued   Phase = "queued"   // not yet begun, or in line for a slot that the next step takes
	Running  Phase = "running"  // a conductor is at work on it
	Waits    Phase = "waiting"  // for something in the world; Reason says what
	Held     Phase = "held"     // by someone; Hold says who and why
	Aborting Phase = "aborting" // giving back what was borrowed, after a failure or an abort
	Failed   Phase = "failed"   // ended without success; Error says why
	Done     Phase = "done"     // ended well
)

// Ended reports whether a run in this phase is over.
func (p Phase) Ended() bool { return p == Failed || p == Done }

// RunID identifies a run.
type RunID string

// Run is one carrying-out of a workflow on a subject. There is at most one live run a subject.
type Run struct {
	bun.BaseModel `bun:"table:run"`

	ID       RunID  `bun:",pk"`
	Workflow string // name/version
	Subject  string
	Group    string `bun:"grp"` // of the conductors that carry it on
	Phase    Phase
	Step     string // the step in hand
	Undoing  bool   // steps are being undone, from Step backwards
	Firm     bool   // the step in hand waits for something that must not be interrupted
	Visit    int64  // counts steps begun, undos included
	Attempt  int64  // of the step in hand
	Failures int64  // of the last attempts, in a row
	Reason   string // what it waits for, or why the last attempt failed
	Error    string // why it is undone or failed
	Abort    string // who asked to abort, and why
	Hold     string // who holds it, and why
	Skip     string // who passes over the step of SkipVisit, and why
	Trace    string // the request's place in its trace; "" when none is kept
	Input    json.RawMessage
	Nudges   int64

	SkipVisit int64
	JobID     int64

	CreatedAt    time.Time
	StepAt       time.Time // when the step in hand began
	StepDeadline time.Time
	Deadline     time.Time // when the whole must have ended, by the sum of its steps' limits
	WakeAt       time.Time // when it is looked at next, unless nudged
	EndedAt      bun.NullTime
}

// StepRecord is the history of one step of a run.
type StepRecord struct {
	bun.BaseModel `bun:"table:run_step,alias:run_step"`

	RunID     RunID `bun:",pk"`
	Visit     int64 `bun:",pk"`
	Step      string
	Undo      bool
	Attempts  int64
	Outcome   string // done, waiting, retrying, failed, given up
	Reason    string
	StartedAt time.Time
	EndedAt   bun.NullTime
}

// Progress says in words how far a run is: "step 4 of 9, write the image".
func (e *Engine) Progress(r Run) string {
	def, ok := e.defs[r.Workflow]
	if !ok {
		return r.Step
	}
	i := def.index(r.Step)
	if r.Undoing {
		return fmt.Sprintf("undoing step %d of %d, %s", i+1, len(def.steps), r.Step)
	}
	return fmt.Sprintf("step %d of %d, %s", i+1, len(def.steps), r.Step)
}

// Took returns how long the step took, or has taken so far.
func (r StepRecord) Took() time.Duration {
	if r.EndedAt.IsZero() {
		return db.Since(r.StartedAt)
	}
	return r.EndedAt.Sub(r.StartedAt)
}
