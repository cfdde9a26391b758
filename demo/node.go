package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

// nodeState is what is asked of a node again and again.
type nodeState struct {
	ProvisionState string `json:"provision_state"`
	LastError      string `json:"last_error"`
}

// run is a run of a node as the operator's API shows it.
type run struct {
	Workflow, Phase, Progress, Reason, Error, Agent string
	Steps                                           []struct {
		Name, Outcome, Reason string
		Undo                  bool
		Attempts              int
		Seconds               float64
	}
}

// each does something for all nodes at once and returns all errors.
func (s *story) each(fn func(n *labNode) error) error {
	var wg sync.WaitGroup
	errs := make([]error, len(s.nodes))
	for i, n := range s.nodes {
		wg.Go(func() {
			if err := fn(n); err != nil {
				errs[i] = fault.Wrap(n.Name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// makeReady brings every node from enrolled to available.
func (s *story) makeReady(ctx context.Context) error {
	return s.each(func(n *labNode) error {
		for _, v := range []struct{ verb, state string }{{"manage", "manageable"}, {"inspect", "manageable"}, {"provide", "available"}} {
			if err := s.admin.Do(ctx, "PUT", "baremetal", "/v1/nodes/"+n.id+"/states/provision", map[string]string{"target": v.verb}, nil); err != nil {
				return err
			}
			if err := s.watch(ctx, n, v.state); err != nil {
				return err
			}
		}
		return nil
	})
}

const (
	longest = 30 * time.Minute // for one verb under software emulation
	repeat  = 10 * time.Second // how often a line is printed though nothing changed
)

// watch prints what a node is doing until it is in a state.
func (s *story) watch(ctx context.Context, n *labNode, want string) error {
	shown, at, began := "", time.Now(), time.Now()
	return until(ctx, longest, n.Name+" to become "+want, func(ctx context.Context) (bool, error) {
		var st nodeState
		if err := s.admin.Do(ctx, "GET", "baremetal", "/v1/nodes/"+n.id+"?fields=provision_state,last_error", nil, &st); err != nil {
			return false, err
		}
		if st.ProvisionState == want {
			s.say("%s: %s after %.1f s", n.Name, want, time.Since(began).Seconds())
			return true, nil
		}
		if st.LastError != "" {
			return false, fault.Errorf(fault.Conflict, "is %s: %s", st.ProvisionState, st.LastError)
		}
		line, detail, err := s.progress(ctx, n)
		if err != nil {
			return false, err
		}
		if line != shown || time.Since(at) > repeat {
			s.say("%s: %s%s", n.Name, line, detail)
			shown, at = line, time.Now()
		}
		return false, nil
	})
}

// progress says what a node's run is doing: a line that changes with the step, and details that change all the time.
func (s *story) progress(ctx context.Context, n *labNode) (line, detail string, err error) {
	rs, err := s.runs(ctx, n)
	if err != nil || len(rs) == 0 {
		return "", "", err
	}
	r := rs[0]
	line = r.Workflow + ", " + r.Progress
	if r.Reason != "" {
		line += ", waits for " + r.Reason
	}
	if len(r.Steps) > 0 {
		last := r.Steps[len(r.Steps)-1]
		if last.Seconds >= 1 && last.Outcome == "waiting" {
			detail = fmt.Sprintf(" (%.0f s)", last.Seconds)
		}
	}
	if r.Agent != "" {
		detail += ": " + r.Agent
	}
	return line, detail, nil
}

func (s *story) runs(ctx context.Context, n *labNode) ([]run, error) {
	var got struct{ Runs []run }
	err := s.admin.Do(ctx, "GET", "operator", "/v1/nodes/"+n.id+"/runs", nil, &got)
	return got.Runs, err
}

// timeline prints every step of every run of every node, oldest first.
func (s *story) timeline(ctx context.Context) error {
	for _, n := range s.nodes {
		rs, err := s.runs(ctx, n)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(s.Out, "\nTimeline of %s (%s, %s)\n", n.Name, n.Mode, n.BMC.Driver)
		for i := len(rs) - 1; i >= 0; i-- {
			_, _ = fmt.Fprintf(s.Out, "  %s: %s\n", rs[i].Workflow, rs[i].Phase)
			for _, st := range rs[i].Steps {
				undo := ""
				if st.Undo {
					undo = "undo "
				}
				_, _ = fmt.Fprintf(s.Out, "    %7.1fs  %s%s", st.Seconds, undo, st.Name)
				if st.Attempts > 1 {
					_, _ = fmt.Fprintf(s.Out, " (%d looks; %s)", st.Attempts, st.Reason)
				}
				_, _ = fmt.Fprintln(s.Out)
			}
		}
		if err := s.overcome(ctx, n); err != nil {
			return err
		}
	}
	_, _ = fmt.Fprintln(s.Out)
	s.chapter = time.Now()
	return nil
}

// overcome prints what was met and overcome at a node's BMC.
func (s *story) overcome(ctx context.Context, n *labNode) error {
	var doc struct {
		Events []struct{ At, Kind, Text string }
	}
	if err := s.admin.Do(ctx, "GET", "operator", "/v1/nodes/"+n.id+"/events", nil, &doc); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, e := range doc.Events {
		if !slices.Contains([]string{"overcome", "drift", "firmware", "bmc"}, e.Kind) && (e.Kind != "power" || strings.HasPrefix(e.Text, "power:")) {
			continue
		}
		for line := range strings.SplitSeq(e.Text, "\n") {
			line, _, _ = strings.Cut(line, " (") // how often, or the BMC's code
			if seen[line] {
				continue
			}
			if len(seen) == 0 {
				_, _ = fmt.Fprintln(s.Out, "  overcome at its BMC")
			}
			seen[line] = true
			_, _ = fmt.Fprintln(s.Out, "    "+line)
		}
	}
	return nil
}

// giveBack deletes the servers and proves what the cloud claims of their nodes.
func (s *story) giveBack(ctx context.Context) error {
	for _, sv := range s.servers {
		if err := s.tenant.Do(ctx, "DELETE", "baremetal-server", "/servers/"+sv.id, nil, nil); err != nil {
			return err
		}
	}
	for _, sv := range s.servers {
		if err := until(ctx, longest, "the server to be gone", func(ctx context.Context) (bool, error) {
			err := s.tenant.Do(ctx, "GET", "baremetal-server", "/servers/"+sv.id, nil, nil)
			if fault.Is(err, fault.NotFound) {
				return true, nil
			}
			return false, err
		}); err != nil {
			return err
		}
		s.say("%s: gone for its tenant", sv.name)
	}
	return s.each(func(n *labNode) error {
		if err := s.watch(ctx, n, "available"); err != nil {
			return err
		}
		return s.proveBlank(ctx, n)
	})
}

// proveBlank looks into the machine's disks from outside.
func (s *story) proveBlank(ctx context.Context, n *labNode) error {
	m, err := s.rack.Machine(ctx, n.Name)
	if err != nil {
		return err
	}
	if m.On {
		return fault.Errorf(fault.Conflict, "is available but on")
	}
	for i := range n.Disks {
		b, err := s.rack.Blank(ctx, n.Name, i)
		if err != nil {
			return err
		}
		if !b.Blank {
			return fault.Errorf(fault.Conflict, "the disk %d is not blank", i)
		}
		s.say("%s: disk %d reads as zeros from its first byte to its last", n.Name, i)
	}
	return nil
}
