package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/hagane-cloud/hagane/lab"
)

// labBMCCommand runs simulated BMCs alone.
func labBMCCommand() *cobra.Command {
	var o lab.BMCOptions
	c := &cobra.Command{Use: "bmc", Short: "run simulated BMCs alone, until interrupted", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.DataDir == "" {
				if o.DataDir, err = os.MkdirTemp("", "hagane-bmc-"); err != nil {
					return err
				}
				defer func() { err = errors.Join(err, os.RemoveAll(o.DataDir)) }()
			}
			o.Out, o.Log = os.Stdout, slog.New(slog.NewTextHandler(os.Stderr, nil))
			return lab.RunBMCs(cmd.Context(), o)
		}}
	f := c.Flags()
	f.StringVar(&o.Kind, "kind", "generic", "kind of BMC (hagane lab bmc list)")
	f.IntVar(&o.Count, "count", 1, "number of BMCs")
	f.StringVar(&o.Faults, "faults", "", "script of what goes wrong: name or file, several with commas")
	f.Uint64Var(&o.Seed, "seed", 1, "of names, passwords and faults")
	f.StringVar(&o.Tree, "seed-tree", "", "captured Redfish tree to show: a folder, .tar.xz or .tar.gz; the kind is found out")
	f.StringVar(&o.DataDir, "data", "", "folder for the machines' consoles (default: a temporary one)")
	c.AddCommand(&cobra.Command{Use: "list", Short: "list the kinds of BMC and the fault scripts", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "KIND\tDRIVER\tWHAT IT IS LIKE")
		for _, k := range lab.Kinds() {
			_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", k.Name, k.Driver, k.About)
		}
		scripts, err := lab.Scripts()
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintln(table, "\nFAULTS\tRULES\tWHAT GOES WRONG")
		for _, s := range scripts {
			_, _ = fmt.Fprintf(table, "%s\t%d\t%s\n", s.Name, s.Rules(), s.About)
		}
		return table.Flush()
	}})
	return c
}
