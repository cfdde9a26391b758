package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/hagane-cloud/hagane/bmc/record"
	"github.com/hagane-cloud/hagane/client"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

func nodeCommand() *cobra.Command {
	c := &cobra.Command{Use: "node", Short: "look after a node beyond what the baremetal command does"}
	connect := connecting(c)
	c.AddCommand(traceCommand(connect), driftCommand(connect), trustCommand(connect), rotateCommand(connect))
	return c
}

// connecting gives a command, and those below it, a flag that says which cloud to reach, and returns how to.
func connecting(c *cobra.Command) func(context.Context) (*client.Cloud, error) {
	var data string
	c.PersistentFlags().StringVar(&data, "data", "data", "the cloud's data folder, whose clouds.yaml says how to reach it")
	return func(ctx context.Context) (*client.Cloud, error) {
		a, err := client.ReadAccess(data, cloudName)
		if err != nil {
			return nil, err
		}
		return client.Connect(ctx, a)
	}
}

func traceCommand(connect func(context.Context) (*client.Cloud, error)) *cobra.Command {
	var file string
	var bodies bool
	c := &cobra.Command{Use: "trace NODE", Short: "show the latest exchanges with a node's BMC, without secrets", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			var doc struct {
				Exchanges []record.Exchange `json:"exchanges"`
			}
			if err := cl.Do(cmd.Context(), http.MethodGet, "operator", "/v1/nodes/"+args[0]+"/trace", nil, &doc); err != nil {
				return err
			}
			if file == "" {
				printTrace(cmd.OutOrStdout(), doc.Exchanges, bodies)
				return nil
			}
			f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
			if err != nil {
				return fault.E(fault.Invalid, "writing the recording", err)
			}
			return firstOf(record.Write(f, doc.Exchanges), f.Close())
		}}
	c.Flags().StringVar(&file, "export", "", "write a recording to this file, to send or to replay in a test")
	c.Flags().BoolVar(&bodies, "bodies", false, "show what was sent and answered")
	return c
}

func driftCommand(connect func(context.Context) (*client.Cloud, error)) *cobra.Command {
	return &cobra.Command{Use: "drift NODE", Short: "show as a diff what the latest cleaning found changed since the one before, and what it did about it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			var doc struct {
				BMC struct {
					Truths []node.Truth `json:"truths"`
				} `json:"bmc"`
			}
			if err := cl.Do(cmd.Context(), http.MethodGet, "operator", "/v1/nodes/"+args[0]+"/bmc", nil, &doc); err != nil {
				return err
			}
			i := slices.IndexFunc(doc.BMC.Truths, func(t node.Truth) bool { return t.Kind == node.DriftKind })
			if i < 0 {
				return fault.Errorf(fault.NotFound, "the node was never cleaned, or has no BMC to compare")
			}
			found, err := node.Known[node.Drifts](&doc.BMC.Truths[i])
			if err != nil {
				return err
			}
			printDrift(cmd.OutOrStdout(), doc.BMC.Truths[i].At, found.Of)
			return nil
		}}
}

func printDrift(w io.Writer, at time.Time, all []node.Drift) {
	when := at.UTC().Format(time.DateTime)
	if len(all) == 0 {
		_, _ = fmt.Fprintf(w, "nothing had changed at the cleaning of %s\n", when)
		return
	}
	_, _ = fmt.Fprintf(w, "--- as it is to be\n+++ as the cleaning of %s found it\n", when)
	for _, d := range all {
		_, _ = fmt.Fprintln(w, d)
	}
}

// printTrace writes one line an exchange.
func printTrace(w io.Writer, all []record.Exchange, bodies bool) {
	if len(all) == 0 {
		_, _ = fmt.Fprintln(w, "nothing was exchanged with the BMC since the cloud started")
	}
	for _, x := range all {
		outcome := fmt.Sprint(x.Status)
		if x.Error != "" {
			outcome = x.Error
		}
		_, _ = fmt.Fprintf(w, "%s  %-7s %-6s %s  %s  (%d ms)\n", x.At.UTC().Format(time.TimeOnly+".000"), x.Protocol, x.Method, x.Path, outcome, x.Took.Milliseconds())
		if bodies {
			for _, body := range []string{x.Request, x.Response} {
				if body != "" {
					_, _ = fmt.Fprintf(w, "    %s\n", body)
				}
			}
		}
	}
}

func rotateCommand(connect func(context.Context) (*client.Cloud, error)) *cobra.Command {
	return &cobra.Command{Use: "rotate-password NODE", Short: "give the BMC's user a new random password, which only the cloud knows", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			return cl.Do(cmd.Context(), http.MethodPost, "operator", "/v1/nodes/"+args[0]+"/bmc-password", nil, nil)
		}}
}

func trustCommand(connect func(context.Context) (*client.Cloud, error)) *cobra.Command {
	return &cobra.Command{Use: "trust NODE", Short: "trust the next certificate that a node's BMC shows, after it was changed on purpose", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			return cl.Do(cmd.Context(), http.MethodPost, "operator", "/v1/nodes/"+args[0]+"/bmc-trust", nil, nil)
		}}
}
