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
			if err == nil && found.Total > 0 {
				err = &exitError{status: exitFindings}
			}
			return err
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "Print JSON")
	return c
}

// shown is how many visitors one line names.
const shown = 3

// diffText is one line for each change of outcome of the requests that one pattern stands for.
func diffText(w io.Writer, found *policy.Comparison) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, g := range found.Groups {
		methods, with := "any method", ""
		if len(g.Methods) > 0 {
			methods = strings.Join(g.Methods, ", ")
		}
		if g.With != "" {
			with = " (" + g.With + ")"
		}
		visitors := strings.Join(g.Visitors[:min(shown, len(g.Visitors))], "; ")
		if more := len(g.Visitors) - shown; more > 0 {
			visitors += fmt.Sprintf("; and %d more", more)
		}
		fmt.Fprintf(t, "%s%s\t%s\t%s -> %s\tfor %s\tas in %s\n", g.Pattern, with, methods, side(g.Before), side(g.After), visitors, g.Sample)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d of %d answers differ: %d requests, each tried by %d visitors\n",
		found.Total, found.Requests*found.Visitors, found.Requests, found.Visitors)
	return err
}

// side is an outcome and what made it.
func side(s policy.Side) string {
	if s.Floor != "" {
		return fmt.Sprintf("%s (%s, floor %s)", s.Outcome, s.Rule, s.Floor)
	}
	return fmt.Sprintf("%s (%s)", s.Outcome, s.Rule)
}
