package operator

import (
	"net/http"
	"strconv"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// Run is a run of a node.
type Run struct {
	ID        workflow.RunID `json:"id"`
	Node      string         `json:"node,omitempty"`
	NodeName  string         `json:"node_name,omitempty"`
	Group     string         `json:"conductor_group,omitempty"`
	Workflow  string         `json:"workflow"`
	Phase     workflow.Phase `json:"phase"`
	Step      string         `json:"step"`
	Progress  string         `json:"progress"`
	Attempts  int64          `json:"attempts"`
	Reason    string         `json:"reason,omitempty"`
	InLine    []string       `json:"in_line,omitempty"` // its places in the lines that it waits in
	Error     string         `json:"error,omitempty"`
	Abort     string         `json:"abort,omitempty"`
	Hold      string         `json:"hold,omitempty"`
	Agent     string         `json:"agent,omitempty"`     // what the agent is doing, with bytes
	Owner     string         `json:"owner,omitempty"`     // the conductor that is at work on it just now
	Conductor string         `json:"conductor,omitempty"` // the one that looks at it next
	Overdue   bool           `json:"overdue,omitempty"`
	Began     any            `json:"began"`
	StepBegan any            `json:"step_began"`
	StepUntil any            `json:"step_deadline"`
	Deadline  any            `json:"deadline"`
	LooksAt   any            `json:"looks_at"`
	Ended     any            `json:"ended"`
	Steps     []Step         `json:"steps,omitempty"`
}

// Step is a step that a run took.
type Step struct {
	Name     string  `json:"name"`
	Undo     bool    `json:"undo,omitempty"`
	Attempts int64   `json:"attempts"`
	Outcome  string  `json:"outcome"`
	Reason   string  `json:"reason,omitempty"`
	Began    any     `json:"began"`
	Ended    any     `json:"ended"`
	Seconds  float64 `json:"seconds"` // so far, if it has not ended
}

func (o *operator) runDoc(r workflow.Run) Run {
	return Run{ID: r.ID, Node: r.Subject, Group: r.Group, Workflow: r.Workflow, Phase: r.Phase, Step: r.Step, Progress: o.nodes.Engine.Progress(r), Attempts: r.Attempt,
		Reason: r.Reason, Error: r.Error, Abort: r.Abort, Hold: r.Hold, Began: api.Time(r.CreatedAt), StepBegan: api.Time(r.StepAt), StepUntil: api.Time(r.StepDeadline),
		Deadline: api.Time(r.Deadline), LooksAt: api.Time(r.WakeAt), Ended: api.Time(r.EndedAt.Time)}
}

func stepDocs(steps []workflow.StepRecord) []Step {
	docs := []Step{}
	for _, s := range steps {
		docs = append(docs, Step{Name: s.Step, Undo: s.Undo, Attempts: s.Attempts, Outcome: s.Outcome, Reason: s.Reason, Began: api.Time(s.StartedAt),
			Ended: api.Time(s.EndedAt.Time), Seconds: s.Took().Seconds()})
	}
	return docs
}

// How many runs an answer has: of a node with their steps, and of all.
const (
	runsMost = 50
	runsPage = 1000
)

func (o *operator) runsOf(w http.ResponseWriter, r *api.Request) error {
	n, err := o.nodes.Get(r.Context(), r.PathValue("node"))
	if err != nil {
		return err
	}
	histories, err := o.nodes.Histories(r.Context(), n.ID, runsMost)
	if err != nil {
		return err
	}
	docs := []Run{}
	for _, h := range histories {
		d := o.runDoc(h.Run)
		d.NodeName, d.Agent, d.Steps = n.Name, h.Agent, stepDocs(h.Steps)
		docs = append(docs, d)
	}
	return api.JSON(w, http.StatusOK, api.Object{"runs": docs})
}

// runs lists runs: ?state=live (the default) or ended, ?phase=, ?node=, ?overdue=true, ?limit=.
func (o *operator) runs(w http.ResponseWriter, r *api.Request) error {
	q := r.URL.Query()
	wanted := workflow.Wanted{Phase: workflow.Phase(q.Get("phase")), Overdue: q.Get("overdue") == "true", Limit: runsPage}
	switch q.Get("state") {
	case "", "live":
	case "ended":
		wanted.Ended = true
	default:
		return fault.Field("state", "is live or ended, not %q", q.Get("state"))
	}
	if l := q.Get("limit"); l != "" {
		n, err := strconv.Atoi(l)
		if err != nil || n < 1 || n > runsPage {
			return fault.Field("limit", "is a number from 1 to %d", runsPage)
		}
		wanted.Limit = n
	}
	if name := q.Get("node"); name != "" {
		n, err := o.nodes.Get(r.Context(), name)
		if err != nil {
			return err
		}
		wanted.Subject = string(n.ID)
	}
	all, err := o.nodes.Runs(r.Context(), wanted)
	if err != nil {
		return err
	}
	lines, err := o.nodes.Lines(r.Context())
	if err != nil {
		return err
	}
	docs := []Run{}
	for _, one := range all {
		d := o.runDoc(one.Run)
		for _, l := range lines[one.ID] {
			d.InLine = append(d.InLine, l.String())
		}
		d.NodeName, d.Owner, d.Conductor, d.Overdue = one.Name, string(one.Owner), string(one.Keeper), one.Overdue()
		docs = append(docs, d)
	}
	return api.JSON(w, http.StatusOK, api.Object{"runs": docs})
}

func (o *operator) run(w http.ResponseWriter, r *api.Request) error {
	run, steps, err := o.nodes.RunOf(r.Context(), r.PathValue("run"))
	if err != nil {
		return err
	}
	d := o.runDoc(*run)
	d.Steps = stepDocs(steps)
	return api.JSON(w, http.StatusOK, d)
}

// Steering is what an operator does with a node's run.
type Steering struct {
	Do     string `json:"do"` // abort, hold, release, retry, skip
	Reason string `json:"reason,omitempty"`
}

func (o *operator) steer(w http.ResponseWriter, r *api.Request) error {
	n, err := o.nodes.Get(r.Context(), r.PathValue("node"))
	if err != nil {
		return err
	}
	var b Steering
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	if err := o.nodes.Steer(r.Context(), n.ID, b.Do, r.Caller.User.Name, b.Reason); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (o *operator) why(w http.ResponseWriter, r *api.Request) error {
	n, err := o.nodes.Get(r.Context(), r.PathValue("node"))
	if err != nil {
		return err
	}
	lines, err := o.nodes.Why(r.Context(), n.ID)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"why": lines})
}

// Conductor is a process that carries runs on.
type Conductor struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Host      string   `json:"host"`
	Group     string   `json:"conductor_group"`
	Roles     string   `json:"roles"`
	Version   string   `json:"version"`
	Workflows []string `json:"workflows"`
	Status    string   `json:"status"` // working, draining, drained, silent
	Held      int      `json:"held"`   // nodes that it is at work on just now
	Waiting   int      `json:"waiting"`
	Began     any      `json:"began"`
	Seen      any      `json:"seen"`
}

func (o *operator) conductors(w http.ResponseWriter, r *api.Request) error {
	all, err := o.nodes.Conductors(r.Context())
	if err != nil {
		return err
	}
	docs := []Conductor{}
	for _, m := range all {
		docs = append(docs, Conductor{ID: string(m.ID), Name: m.Name(), Host: m.Host, Group: m.Group, Roles: m.Roles, Version: m.Version, Workflows: m.Workflows,
			Status: m.Status(), Held: m.Held, Waiting: m.Waiting, Began: api.Time(m.StartedAt), Seen: api.Time(m.SeenAt())})
	}
	return api.JSON(w, http.StatusOK, api.Object{"conductors": docs})
}

// Drain has a conductor take nothing new, or take work again.
type Drain struct {
	Drain bool `json:"drain"`
}

func (o *operator) drain(w http.ResponseWriter, r *api.Request) error {
	var b Drain
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	if err := o.nodes.Drain(r.Context(), r.PathValue("conductor"), b.Drain); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}
