package caddymodule

import (
	"bytes"
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
				err = diffText(c.OutOrStdout(), &found, colored())
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
func diffText(w io.Writer, found *policy.Comparison, color bool) error {
	var lines bytes.Buffer
	t := tabwriter.NewWriter(&lines, 0, 4, 2, ' ', 0)
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
	// Colours come last: the columns are measured without them.
	i := 0
	for line := range strings.Lines(lines.String()) {
		if _, err := io.WriteString(w, marked(line, found.Groups[i].Before, found.Groups[i].After, color)); err != nil {
			return err
		}
		i++
	}
	_, err := fmt.Fprintf(w, "%d of %d answers differ: %d requests, each tried by %d visitors\n",
		found.Total, found.Requests*found.Visitors, found.Requests, found.Visitors)
	return err
}

// marked colours a line about a change: red where more gets through than before, green where
// less does.
func marked(line string, before, after policy.Side, color bool) string {
	was, is := openness(before.Outcome), openness(after.Outcome)
	switch {
	case !color || was == is:
		return line
	case is > was:
		return "\x1b[31m" + strings.TrimSuffix(line, "\n") + "\x1b[0m\n"
	}
	return "\x1b[32m" + strings.TrimSuffix(line, "\n") + "\x1b[0m\n"
}

// openness orders outcomes by what they let through.
func openness(outcome string) int {
	switch outcome {
	case policy.Allow.String():
		return 2
	case policy.SignIn.String(), policy.StepUp.String():
		return 1
	}
	return 0
}

// side is an outcome and what made it.
func side(s policy.Side) string {
	if s.Floor != "" {
		return fmt.Sprintf("%s (%s, floor %s)", s.Outcome, s.Rule, s.Floor)
	}
	return fmt.Sprintf("%s (%s)", s.Outcome, s.Rule)
}
