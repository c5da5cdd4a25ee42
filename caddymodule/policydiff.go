package caddymodule

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/stepgate/stepgate/policy"
)

func policyDiff() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "diff OLD NEW", Short: "Lists the requests whose outcome differs between two policy files", Args: cobra.ExactArgs(2),
		Long: "Tries representative requests, made from the conditions of both files, for visitors who hold just what some requirement asks for.\nExits with 0 when nothing differs, 1 when something does, 2 when a file cannot be read.",
		RunE: run(func(c *cobra.Command, args []string) error {
			before, err := readPolicy(args[0])
			if err != nil {
				return &exitError{status: exitUnusable, text: err.Error()}
			}
			after, err := readPolicy(args[1])
			if err != nil {
				return &exitError{status: exitUnusable, text: err.Error()}
			}
			found := policy.Diff(before, after, time.Now().UTC())
			if asJSON {
				err = printJSON(c.OutOrStdout(), found)
			} else {
				err = diffText(c.OutOrStdout(), &found)
			}
			if err == nil && len(found.Changes) > 0 {
				err = &exitError{status: exitFindings}
			}
			return err
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "Print JSON")
	return c
}

// diffText groups the visitors for whom one request changes alike.
func diffText(w io.Writer, found *policy.Comparison) error {
	type group struct {
		key      policy.Change
		visitors []string
	}
	var groups []*group
	at := make(map[policy.Change]*group)
	for _, c := range found.Changes {
		visitor := c.Visitor
		c.Visitor = ""
		g := at[c]
		if g == nil {
			g = &group{key: c}
			at[c], groups = g, append(groups, g)
		}
		g.visitors = append(g.visitors, visitor)
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, g := range groups {
		with := ""
		if g.key.With != "" {
			with = " (" + g.key.With + ")"
		}
		fmt.Fprintf(t, "%s %s%s\t%s (%s)\t-> %s (%s)\tfor %s\n", g.key.Method, g.key.URL, with,
			g.key.Before.Outcome, g.key.Before.Rule, g.key.After.Outcome, g.key.After.Rule, strings.Join(g.visitors, "; "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d changes, in %d requests tried by %d visitors\n", len(found.Changes), found.Requests, found.Visitors)
	return err
}
