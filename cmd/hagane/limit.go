package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/hagane-cloud/hagane/api/operator"
	"github.com/hagane-cloud/hagane/client"
	"github.com/hagane-cloud/hagane/fault"
)

func limitCommand() *cobra.Command {
	c := &cobra.Command{Use: "limit", Short: "see and set how many runs a site, a switch, the image store or a tenant bears at once"}
	connect := connecting(c)
	c.AddCommand(limitListCommand(connect), limitSetCommand(connect), limitResetCommand(connect))
	return c
}

func limitListCommand(connect func(context.Context) (*client.Cloud, error)) *cobra.Command {
	return &cobra.Command{Use: "list", Short: "list the limits, and who is at work and in line there", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		cl, err := connect(cmd.Context())
		if err != nil {
			return err
		}
		var doc struct{ Limits []operator.Limit }
		if err := cl.Do(cmd.Context(), http.MethodGet, "operator", "/v1/limits", nil, &doc); err != nil {
			return err
		}
		t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(t, "POOL\tKEY\tMOST\tDEFAULT\tAT WORK\tIN LINE\tSINCE\tWHAT")
		for _, l := range doc.Limits {
			since, what := "-", l.Limits
			if l.Since != nil {
				since = fmt.Sprint(l.Since)
			}
			if l.Key != "" {
				what = ""
			}
			_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", l.Pool, cmp.Or(l.Key, "(each)"), bound(l.Most), bound(l.Default), l.AtWork, l.InLine, since, what)
		}
		return t.Flush()
	}}
}

// bound is a limit for people.
func bound(most int) string {
	if most < 0 {
		return "none"
	}
	return strconv.Itoa(most)
}

func limitSetCommand(connect func(context.Context) (*client.Cloud, error)) *cobra.Command {
	return &cobra.Command{Use: "set POOL [KEY] MOST", Short: "set how many runs may be at work at once: \"none\" is no limit, 0 lets nobody begin",
		Long: "Without a key it holds for each of the pool that has no limit of its own. Those who wait feel it at once; nobody who is at work is stopped.",
		Args: cobra.RangeArgs(2, 3), RunE: func(cmd *cobra.Command, args []string) error {
			word := args[len(args)-1]
			most, err := strconv.Atoi(word)
			switch {
			case word == "none":
				most = -1
			case err != nil || most < 0:
				return fault.Errorf(fault.Invalid, "%q is neither a number nor the word none", word)
			}
			return setLimit(cmd, connect, args[:len(args)-1], &most)
		}}
}

func limitResetCommand(connect func(context.Context) (*client.Cloud, error)) *cobra.Command {
	return &cobra.Command{Use: "reset POOL [KEY]", Short: "take back what was set", Args: cobra.RangeArgs(1, 2), RunE: func(cmd *cobra.Command, args []string) error {
		return setLimit(cmd, connect, args, nil)
	}}
}

func setLimit(cmd *cobra.Command, connect func(context.Context) (*client.Cloud, error), at []string, most *int) error {
	cl, err := connect(cmd.Context())
	if err != nil {
		return err
	}
	b := operator.Limiting{Most: most}
	if len(at) > 1 {
		b.Key = at[1]
	}
	return cl.Do(cmd.Context(), http.MethodPut, "operator", "/v1/limits/"+url.PathEscape(at[0]), b, nil)
}
