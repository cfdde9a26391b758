package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hagane-cloud/hagane/api/operator"
	"github.com/hagane-cloud/hagane/client"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

func whyCommand() *cobra.Command {
	c := &cobra.Command{Use: "why NODE", Short: "tell what a node is doing, what it waits for, since when, and what happens next", Args: cobra.ExactArgs(1)}
	connect := connecting(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := connect(cmd.Context())
		if err != nil {
			return err
		}
		var doc struct{ Why []string }
		if err := cl.Do(cmd.Context(), http.MethodGet, "operator", "/v1/nodes/"+url.PathEscape(args[0])+"/why", nil, &doc); err != nil {
			return err
		}
		for _, line := range doc.Why {
			_, _ = fmt.Fprintln(cmd.OutOrStdout(), line)
		}
		return nil
	}
	return c
}

func runCommand() *cobra.Command {
	c := &cobra.Command{Use: "run", Short: "see and steer what is at work on nodes"}
	connect := connecting(c)
	c.AddCommand(runListCommand(connect), runShowCommand(connect))
	for _, one := range []struct{ do, short string }{
		{node.RunAbort, "give up what is at work on a node, and undo it"},
		{node.RunHold, "stop what is at work on a node before its next step"},
		{node.RunRelease, "let what is held on a node go on"},
		{node.RunRetry, "look at a node's run now, and give its step the whole time again"},
		{node.RunSkip, "pass over the step in hand; only steps that later ones do not rely on"},
	} {
		c.AddCommand(steerCommand(connect, one.do, one.short))
	}
	return c
}

func steerCommand(connect func(context.Context) (*client.Cloud, error), do, short string) *cobra.Command {
	b := operator.Steering{Do: do}
	c := &cobra.Command{Use: do + " NODE", Short: short, Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		cl, err := connect(cmd.Context())
		if err != nil {
			return err
		}
		return cl.Do(cmd.Context(), http.MethodPost, "operator", "/v1/nodes/"+url.PathEscape(args[0])+"/run", b, nil)
	}}
	c.Flags().StringVar(&b.Reason, "reason", "", "why; it is kept with the node")
	return c
}

func runListCommand(connect func(context.Context) (*client.Cloud, error)) *cobra.Command {
	var ended, overdue bool
	var phase, name string
	c := &cobra.Command{Use: "list", Short: "list the runs, those first that have been at their step for longest", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		cl, err := connect(cmd.Context())
		if err != nil {
			return err
		}
		q := url.Values{}
		if ended {
			q.Set("state", "ended")
		}
		if overdue {
			q.Set("overdue", "true")
		}
		for key, value := range map[string]string{"phase": phase, "node": name} {
			if value != "" {
				q.Set(key, value)
			}
		}
		var doc struct{ Runs []operator.Run }
		if err := cl.Do(cmd.Context(), http.MethodGet, "operator", "/v1/runs?"+q.Encode(), nil, &doc); err != nil {
			return err
		}
		return printRuns(cmd.OutOrStdout(), doc.Runs)
	}}
	c.Flags().BoolVar(&ended, "ended", false, "those that have ended, in place of those that have not")
	c.Flags().BoolVar(&overdue, "overdue", false, "only those whose step should have ended")
	c.Flags().StringVar(&phase, "phase", "", "only those in this phase: queued, running, waiting, held, aborting, failed, done")
	c.Flags().StringVar(&name, "node", "", "only those of this node")
	return c
}

func printRuns(w io.Writer, runs []operator.Run) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "NODE\tWORKFLOW\tPHASE\tPROGRESS\tSINCE\tTRIES\tUNTIL\tWHY")
	for _, r := range runs {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%v\t%d\t%v\t%s\n", cmp.Or(r.NodeName, r.Node), r.Workflow, r.Phase, r.Progress, r.StepBegan, r.Attempts, r.StepUntil,
			cmp.Or(r.Error, strings.Join(r.InLine, "; "), r.Reason))
	}
	return t.Flush()
}

func runShowCommand(connect func(context.Context) (*client.Cloud, error)) *cobra.Command {
	return &cobra.Command{Use: "show NODE", Short: "show the latest run of a node with every step", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		cl, err := connect(cmd.Context())
		if err != nil {
			return err
		}
		var doc struct{ Runs []operator.Run }
		if err := cl.Do(cmd.Context(), http.MethodGet, "operator", "/v1/nodes/"+url.PathEscape(args[0])+"/runs", nil, &doc); err != nil {
			return err
		}
		if len(doc.Runs) == 0 {
			return fault.Errorf(fault.NotFound, "nothing was ever at work on %s", args[0])
		}
		r, out := doc.Runs[0], cmd.OutOrStdout()
		_, _ = fmt.Fprintf(out, "%s %s: %s, %s\n", r.ID, r.Workflow, r.Phase, r.Progress)
		for _, line := range []string{r.Reason, r.Error, r.Agent} {
			if line != "" {
				_, _ = fmt.Fprintln(out, line)
			}
		}
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(t, "STEP\tOUTCOME\tTRIES\tSECONDS\tWHY")
		for _, s := range r.Steps {
			step := s.Name
			if s.Undo {
				step = "undo: " + step
			}
			_, _ = fmt.Fprintf(t, "%s\t%s\t%d\t%.1f\t%s\n", step, s.Outcome, s.Attempts, s.Seconds, s.Reason)
		}
		return t.Flush()
	}}
}

func conductorCommand() *cobra.Command {
	c := &cobra.Command{Use: "conductor", Short: "see who carries runs on, and take a conductor out of work"}
	connect := connecting(c)
	c.AddCommand(conductorListCommand(connect), drainCommand(connect))
	return c
}

func conductorsOf(ctx context.Context, cl *client.Cloud) ([]operator.Conductor, error) {
	var doc struct{ Conductors []operator.Conductor }
	err := cl.Do(ctx, http.MethodGet, "operator", "/v1/conductors", nil, &doc)
	return doc.Conductors, err
}

func conductorListCommand(connect func(context.Context) (*client.Cloud, error)) *cobra.Command {
	return &cobra.Command{Use: "list", Short: "list the conductors of the last day", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		cl, err := connect(cmd.Context())
		if err != nil {
			return err
		}
		all, err := conductorsOf(cmd.Context(), cl)
		if err != nil {
			return err
		}
		t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(t, "NAME\tSTATUS\tGROUP\tROLES\tVERSION\tAT WORK\tWAITING\tBEGAN\tSEEN")
		for _, m := range all {
			_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%v\t%v\n", m.Name, m.Status, m.Group, m.Roles, m.Version, m.Held, m.Waiting, m.Began, m.Seen)
		}
		return t.Flush()
	}}
}

func drainCommand(connect func(context.Context) (*client.Cloud, error)) *cobra.Command {
	var end bool
	var within time.Duration
	c := &cobra.Command{Use: "drain NAME", Short: "have a conductor take nothing new, and wait until it has nothing left; then it can be stopped",
		Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			if err := cl.Do(cmd.Context(), http.MethodPost, "operator", "/v1/conductors/"+url.PathEscape(args[0])+"/drain", operator.Drain{Drain: !end}, nil); err != nil || end {
				return err
			}
			return drained(cmd.Context(), cl, args[0], within, cmd.OutOrStdout())
		}}
	c.Flags().BoolVar(&end, "end", false, "have it take work again")
	c.Flags().DurationVar(&within, "wait", 10*time.Minute, "how long to wait; 0 does not")
	return c
}

// drained waits until a conductor has nothing left, and says what it still has.
func drained(ctx context.Context, cl *client.Cloud, name string, within time.Duration, out io.Writer) error {
	if within == 0 {
		return nil
	}
	late := time.After(within)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for last := ""; ; {
		all, err := conductorsOf(ctx, cl)
		if err != nil {
			return err
		}
		now := "is unknown"
		for _, m := range all {
			if m.Name == name || m.ID == name {
				now = m.Status
				if m.Held+m.Waiting > 0 {
					now += fmt.Sprintf(": at work on %d, %d waiting", m.Held, m.Waiting)
				}
			}
		}
		if now != last {
			_, _ = fmt.Fprintln(out, name, now)
			last = now
		}
		if !strings.HasPrefix(now, "draining") && !strings.HasPrefix(now, "working") {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			return fault.Errorf(fault.Unavailable, "%s was not drained within %s; the step in hand may take long: hagane run list", name, within)
		case <-tick.C:
		}
	}
}
