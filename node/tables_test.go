package node

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/workflow"
)

var (
	resting = []State{Enroll, Manageable, Available, Active, Rescue}
	movings = []State{Verifying, Inspecting, Cleaning, Deploying, Deleting, Adopting, Tending, Servicing, Rebuilding, Rescuing, Unrescuing}
	update  = flag.Bool("update", false, "write the diagram into the documents")
)

// TestLifeIsSound checks the two tables against each other.
func TestLifeIsSound(t *testing.T) {
	if len(Works) != len(movings) {
		t.Errorf("%d works for %d moving states", len(Works), len(movings))
	}
	known := slices.Concat(resting, movings)
	for _, s := range movings {
		w := moving(s)
		if w == nil {
			t.Fatalf("the moving state %s has no work", s)
		}
		if !slices.Contains(known, w.Then) || (w.Else != "" && !slices.Contains(resting, w.Else)) {
			t.Errorf("%s leads to %q or %q", s, w.Then, w.Else)
		}
		if w.Else == "" && len(Allowed(Place{s, true})) == 0 {
			t.Errorf("there is no way out of a failed %s", s)
		}
		var sum time.Duration
		for _, st := range w.Run.Steps {
			sum += st.Within
		}
		if sum != w.Run.Within() || sum == 0 {
			t.Errorf("the limit of %s is %s, the sum of its steps' %s", s, w.Run.Within(), sum)
		}
	}
	for _, s := range resting {
		if moving(s) != nil {
			t.Errorf("the resting state %s has a work", s)
		}
		if len(Allowed(Place{State: s})) == 0 {
			t.Errorf("there is no way out of %s", s)
		}
	}
	for _, v := range Verbs {
		for _, from := range v.From {
			if !slices.Contains(known, from.State) || !slices.Contains(known, v.Enter) {
				t.Errorf("%s: from %s to %s", v.Name, from.State, v.Enter)
			}
			if from.Failed != (moving(from.State) != nil) {
				t.Errorf("%s starts from %s, failed %v: only a failed moving state can be left by a verb", v.Name, from.State, from.Failed)
			}
			if first := find(v.Name, from); first.Enter != v.Enter {
				t.Errorf("%s from %s leads to both %s and %s", v.Name, from.State, first.Enter, v.Enter)
			}
		}
	}
}

// TestEveryStateIsReached walks the arrows from enrolment.
func TestEveryStateIsReached(t *testing.T) {
	seen := map[State]bool{Enroll: true}
	for changed := true; changed; {
		changed = false
		arrive := func(s State) {
			if s != "" && !seen[s] {
				seen[s], changed = true, true
			}
		}
		for _, v := range Verbs {
			for _, from := range v.From {
				if seen[from.State] {
					arrive(v.Enter)
				}
			}
		}
		for _, w := range Works {
			if seen[w.While] {
				arrive(w.Then)
				arrive(w.Else)
			}
		}
	}
	for _, s := range slices.Concat(resting, movings) {
		if !seen[s] {
			t.Errorf("the state %s can not be reached", s)
		}
	}
}

// TestOnlyCleaningLeadsToAvailable is the hand-over gate as the tables have it: nothing but a clean run,
// whose last step is the gate, makes a node available.
func TestOnlyCleaningLeadsToAvailable(t *testing.T) {
	for _, v := range Verbs {
		if v.Enter == Available {
			t.Errorf("the verb %s makes a node available", v.Name)
		}
	}
	for _, w := range Works {
		if w.Then == Available && w.While != Cleaning || w.Else == Available {
			t.Errorf("%s makes a node available", w.While)
		}
	}
	steps := moving(Cleaning).Run.Steps
	if last := steps[len(steps)-1].Name; last != "pass the hand-over gate" {
		t.Errorf("the last step of cleaning is %q", last)
	}
}

// TestProjection checks the names that Ironic's clients see against Ironic's own.
func TestProjection(t *testing.T) {
	for _, tt := range []struct {
		s    State
		p    workflow.Phase
		want string
	}{
		{Deploying, workflow.Running, "deploying"}, {Deploying, workflow.Waits, "wait call-back"}, {Deploying, workflow.Held, "deploy hold"},
		{Deploying, workflow.Failed, "deploy failed"}, {Cleaning, workflow.Waits, "clean wait"}, {Cleaning, workflow.Failed, "clean failed"},
		{Inspecting, workflow.Waits, "inspect wait"}, {Deleting, workflow.Failed, "error"}, {Active, "", "active"},
		{Rescuing, workflow.Waits, "rescue wait"}, {Rescuing, workflow.Failed, "rescue failed"}, {Rescue, "", "rescue"},
		{Unrescuing, workflow.Running, "unrescuing"}, {Unrescuing, workflow.Failed, "unrescue failed"}, {Available, "", "available"},
	} {
		if got := ProvisionState(tt.s, tt.p); got != tt.want {
			t.Errorf("%s, %s: %q, want %q", tt.s, tt.p, got, tt.want)
		}
	}
}

const (
	docFile  = "../docs/life.md"
	docBegin = "<!-- life:begin -->\n"
	docEnd   = "<!-- life:end -->"
)

// TestDiagramIsCurrent compares the diagram in the documents with the tables. Run with -update to write it.
func TestDiagramIsCurrent(t *testing.T) {
	raw, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(raw), docBegin)
	have, after, ok2 := strings.Cut(rest, docEnd)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no place for the diagram", docFile)
	}
	want := diagram()
	if have == want {
		return
	}
	if !*update {
		t.Fatalf("the diagram in %s is not that of node/life.go; run: go test ./node -run Diagram -update", docFile)
	}
	if err := os.WriteFile(docFile, []byte(before+docBegin+want+docEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// diagram draws the tables: states and arrows in Mermaid, and the steps of each run with their limits.
func diagram() string {
	var b strings.Builder
	b.WriteString("```mermaid\nstateDiagram-v2\n    [*] --> enroll\n")
	for _, v := range Verbs {
		for _, from := range v.From {
			label := v.Name
			if from.Failed {
				label += " (after a failure)"
			}
			fmt.Fprintf(&b, "    %s --> %s: %s\n", from.State, v.Enter, label)
		}
	}
	for _, w := range Works {
		fmt.Fprintf(&b, "    %s --> %s: done\n", w.While, w.Then)
		if w.Else != "" {
			fmt.Fprintf(&b, "    %s --> %s: failed\n", w.While, w.Else)
		}
	}
	b.WriteString("```\n")
	for _, w := range Works {
		fmt.Fprintf(&b, "\n**%s**, at most %s:\n\n", w.While, w.Run.Within())
		for i, st := range w.Run.Steps {
			extra := ""
			if st.Undo != nil {
				extra = ", undone on failure"
			}
			if st.NotAbortable {
				extra += ", not abortable"
			}
			fmt.Fprintf(&b, "%d. %s (%s%s)\n", i+1, st.Name, st.Within, extra)
		}
	}
	return b.String()
}
