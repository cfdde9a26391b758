package node

import (
	"context"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/workflow"
)

// Drift is one thing that a cleaning found otherwise than it is to be.
type Drift struct {
	Thing  string `json:"thing"`            // "BIOS setting AcPwrRcvry"
	Want   string `json:"want,omitempty"`   // by the class's baseline, or as the first cleaning found it; "" is not there
	Found  string `json:"found,omitempty"`  // "" is not there
	Remedy string `json:"remedy,omitempty"` // what was done about it
}

// String is the drift as a diff, with what was done below it.
func (d Drift) String() string {
	var lines []string
	if d.Want != "" || d.Found == "" {
		lines = append(lines, "- "+d.Thing+": "+d.Want)
	}
	if d.Found != "" {
		lines = append(lines, "+ "+d.Thing+": "+d.Found)
	}
	if d.Remedy != "" {
		lines = append(lines, "  "+d.Remedy)
	}
	return strings.Join(lines, "\n")
}

// diffOf is several drifts as one diff.
func diffOf(all []Drift) string {
	var words []string
	for _, d := range all {
		words = append(words, d.String())
	}
	return strings.Join(words, "\n")
}

// DriftKind is the kind of truth that holds what the latest cleaning found changed.
const DriftKind = "drift"

// Drifts are what one cleaning found.
type Drifts struct {
	Run workflow.RunID `json:"run"`
	Of  []Drift        `json:"of"`
}

// differs keeps what a cleaning found to differ, and tells it in the node's history. What it found already, in an attempt that broke
// off, is kept once. Without any it begins the list, so that nothing that differs is on record as well.
func (j *Job) differs(ctx context.Context, all ...Drift) error {
	t, err := j.Truth(ctx, j.Node.ID, DriftKind)
	if err != nil {
		return err
	}
	known, err := Known[Drifts](t)
	if err != nil {
		return err
	}
	if known.Run != j.Run.ID {
		known = Drifts{Run: j.Run.ID, Of: []Drift{}}
	} else if len(all) == 0 {
		return nil
	}
	all = slices.DeleteFunc(slices.Clone(all), func(d Drift) bool { return slices.Contains(known.Of, d) })
	if len(all) > 0 {
		known.Of = append(known.Of, all...)
		if err := j.tell(ctx, DriftKind, diffOf(all)); err != nil {
			return err
		}
	}
	return j.found(ctx, DriftKind, known, "compared by "+title(j.Run.Workflow), Told)
}
