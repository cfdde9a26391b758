package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/workflow"
)

// Why tells what a node is doing, what it waits for, since when, and what happens next, in lines for people.
func (s *Service) Why(ctx context.Context, id ID) ([]string, error) {
	n, err := get(ctx, s.DB.Read(), id)
	if err != nil {
		return nil, err
	}
	members, err := s.Conductors(ctx)
	if err != nil {
		return nil, err
	}
	w := &teller{s: s, n: n, now: db.Now(), members: members}
	standings, err := s.Engine.Standings(ctx, workflow.Wanted{Subject: string(id), Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(standings) > 0 {
		err = w.atWork(ctx, standings[0])
	} else {
		err = w.atRest(ctx)
	}
	if err != nil {
		return nil, err
	}
	return w.lines, w.besides(ctx)
}

// teller puts lines together.
type teller struct {
	s       *Service
	n       *Node
	now     time.Time
	members []Conductor
	lines   []string
}

func (w *teller) say(format string, args ...any) {
	w.lines = append(w.lines, fmt.Sprintf(format, args...))
}

// ago is how long ago something was, as people say it.
func (w *teller) ago(t time.Time) string { return max(w.now.Sub(t), 0).Round(time.Second).String() }

func (w *teller) clock(t time.Time) string { return t.UTC().Format("15:04:05") + " UTC" }

// called is what a command calls the node.
func (w *teller) called() string { return cmp.Or(w.n.Name, string(w.n.ID)) }

func (w *teller) title() string {
	if w.n.Name == "" {
		return string(w.n.ID)
	}
	return w.n.Name + " (" + string(w.n.ID) + ")"
}

func (w *teller) atWork(ctx context.Context, r workflow.Standing) error {
	what := string(w.n.State)
	if moving(w.n.State) == nil {
		what += ", with the work " + r.Workflow
	}
	w.say("%s is %s since %s: %s, for %s, attempt %d", w.title(), what, w.ago(w.n.StateAt), w.s.Engine.Progress(r.Run), w.ago(r.StepAt), r.Attempt+1)
	if r.Undoing {
		w.say("it is being undone, because %s", r.Error)
	} else if r.Abort != "" {
		w.say("it will be undone, as asked by %s, as soon as the step in hand lets it", r.Abort)
	}
	lines, err := w.s.Lines(ctx, r.ID)
	if err != nil {
		return err
	}
	for _, l := range lines[r.ID] {
		w.say("it is %s; hagane limit list shows what is full", l)
	}
	switch {
	case len(lines) > 0:
	case r.Phase == workflow.Held:
		w.say("it is held by %s; hagane run release %s lets it go on", r.Hold, w.called())
	case r.Reason != "" && r.Phase == workflow.Waits:
		w.say("it waits: %s", r.Reason)
	case r.Reason != "":
		w.say("last seen: %s", r.Reason)
	}
	a, err := agentOf(ctx, w.s.DB.Read(), w.n.ID)
	if err != nil {
		return err
	}
	if a != nil && a.RunID == r.ID {
		if a.Progress != nil && !a.Done {
			w.say("the agent is %s", a.told())
		}
		if !a.SeenAt.IsZero() {
			w.say("the agent was last heard %s ago", w.ago(a.SeenAt.Time))
		}
	}
	w.hands(r)
	w.next(r)
	return nil
}

// hands tells who has the run.
func (w *teller) hands(r workflow.Standing) {
	switch {
	case r.Owner != "":
		w.say("%s is at work on it now", w.name(r.Owner))
	case r.Phase == workflow.Held:
	case r.Keeper == workflow.Nobody:
		w.say("no conductor that is alive takes work of the group %q and knows %s: start one (hagane serve --role conductor --group %q), or end a drain (hagane conductor drain --end)", r.Group, r.Workflow, r.Group)
	case r.Keeper != "":
		w.say("%s looks at it next, at %s or as soon as something happens", w.name(r.Keeper), w.clock(r.WakeAt))
	default:
		w.say("nobody has it in hand; a conductor takes it up within seconds")
	}
	if r.Overdue() {
		w.say("its step should have ended %s ago, and nobody has looked since", w.ago(r.StepDeadline))
	}
}

// name is a conductor's name.
func (w *teller) name(id workflow.Holder) string {
	for _, m := range w.members {
		if m.ID != id {
			continue
		}
		words := "conductor " + m.Name()
		if !m.Alive {
			words += fmt.Sprintf(" (not heard of for %s)", w.ago(m.SeenAt()))
		}
		return words
	}
	return "conductor " + string(id)
}

// next tells what follows, by itself and if not.
func (w *teller) next(r workflow.Standing) {
	steps := w.s.Engine.StepsOf(r.Workflow)
	i := slices.IndexFunc(steps, func(s workflow.StepOf) bool { return s.Name == r.Step })
	if i < 0 {
		w.say("its steps (%s) belong to another version of the program", r.Workflow)
		return
	}
	end := w.clock(r.StepDeadline)
	switch {
	case r.Undoing:
		w.say("next: what is not given back by %s is left, and the node gets a hold that says so", end)
	case i+1 < len(steps):
		w.say("next: %s; if this step is not done by %s, all is undone", steps[i+1].Name, end)
	default:
		w.say("next: it is done; if this step is not done by %s, all is undone", end)
	}
	var can []string
	if !r.Undoing && steps[i].NotAbortable {
		w.say("this step must not be interrupted: an abort is refused until it has ended")
	} else if !r.Undoing && r.Firm {
		w.say("what it waits for must not be interrupted: an abort is refused until that is over")
	} else if !r.Undoing && r.Abort == "" {
		can = append(can, RunAbort)
	}
	if r.Phase == workflow.Held {
		can = append(can, RunRelease)
	} else {
		can = append(can, RunHold, RunRetry)
	}
	if r.Undoing || steps[i].Skippable {
		can = append(can, RunSkip)
	}
	w.say("an operator can: hagane run %s %s", strings.Join(can, " | "), w.called())
}

func (w *teller) atRest(ctx context.Context) error {
	at, err := w.s.placeOf(ctx, w.s.DB.Read(), w.n)
	if err != nil {
		return err
	}
	words := string(at.State)
	if at.Failed {
		words += ", which failed,"
	}
	w.say("%s is %s since %s; nothing is at work on it", w.title(), words, w.ago(w.n.StateAt))
	if w.n.Owner != "" {
		w.say("it is lent to %s", w.n.Owner)
	}
	if w.n.LastError != "" {
		w.say("last error: %s", w.n.LastError)
	}
	if verbs := Allowed(at); len(verbs) > 0 {
		w.say("next: nothing by itself; possible are %s", strings.Join(verbs, ", "))
	}
	return nil
}

// besides tells what else bears on the node: its holds, its power and how that is known, its health.
func (w *teller) besides(ctx context.Context) error {
	for _, h := range w.n.Holds {
		w.say("hold %s by %s since %s: %s", h.Category, h.By, h.Since.UTC().Format(time.RFC3339), h.Reason)
	}
	power := "never read"
	if !w.n.PowerAt.IsZero() {
		power = fmt.Sprintf("%s, read %s ago", w.n.Power, w.ago(w.n.PowerAt.Time))
	}
	t, err := w.s.Truth(ctx, w.n.ID, "power")
	if err != nil {
		return err
	}
	if t != nil && t.Confidence == Doubtful {
		power += "; witnesses contradict each other: " + t.Evidence
	}
	if w.n.Power == bmc.Unknown && !w.n.PowerAt.IsZero() {
		power += "; nobody presses a button on an unknown power state"
	}
	w.say("power: %s", power)
	if k, err := w.s.Engine.KeeperOf(ctx, w.n.ConductorGroup, string(w.n.ID)); err != nil {
		return err
	} else if k == workflow.Nobody {
		w.say("no conductor of the group %q is alive and takes work", w.n.ConductorGroup)
	} else {
		w.say("%s looks after it", w.name(k))
	}
	events, err := w.s.Events(ctx, w.n.ID, 3)
	for _, e := range events {
		first, _, _ := strings.Cut(e.Text, "\n")
		w.say("%s %s: %s", e.At.UTC().Format(time.DateTime), e.Kind, first)
	}
	return err
}
