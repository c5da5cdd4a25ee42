package caddymodule

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stepgate/stepgate/policy"
)

// casesReport is the answer of “policy test”.
type casesReport struct {
	Passed int                 `json:"passed"`
	Failed int                 `json:"failed"`
	Cases  []policy.CaseResult `json:"cases"`
}

func policyTest() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "test FILE CASES", Short: "Tries a policy on a file of cases and tells which come out otherwise than expected", Args: cobra.ExactArgs(2),
		Long: "Exits with 0 when every case comes out as expected, 1 when one does not, 2 when the policy or the cases cannot be read.",
		RunE: run(func(c *cobra.Command, args []string) error {
			p, err := readPolicy(args[0])
			if err != nil {
				return &exitError{status: exitUnusable, text: err.Error()}
			}
			data, err := os.ReadFile(args[1])
			if err != nil {
				return &exitError{status: exitUnusable, text: err.Error()}
			}
			cases, err := policy.LoadCases(args[1], data, time.Now())
			if err != nil {
				return &exitError{status: exitUnusable, text: err.Error()}
			}
			report := casesReport{Cases: []policy.CaseResult{}}
			for _, one := range cases {
				e, err := explained(p, one.Method, one.URL, one.ClientIP, one.Header, one.Subject, one.Now)
				if err != nil {
					return &exitError{status: exitUnusable, text: fmt.Sprintf("%s:%d: %v", args[1], one.Line, err)}
				}
				report.add(one.Check(e))
			}
			if asJSON {
				err = printJSON(c.OutOrStdout(), report)
			} else {
				err = report.text(c.OutOrStdout(), args[1], colored())
			}
			if err == nil && report.Failed > 0 {
				err = &exitError{status: exitFindings}
			}
			return err
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "Print JSON")
	return c
}

func (r *casesReport) add(one policy.CaseResult) {
	r.Cases = append(r.Cases, one)
	if one.Pass {
		r.Passed++
	} else {
		r.Failed++
	}
}

// text lists the cases, and of those that failed the reason, rule by rule.
func (r *casesReport) text(w io.Writer, file string, color bool) error {
	var b strings.Builder
	for _, one := range r.Cases {
		if one.Pass {
			fmt.Fprintf(&b, "ok    %s\n", one.Name)
			continue
		}
		on, off := "", ""
		if color {
			on, off = "\x1b[1;31m", "\x1b[0m"
		}
		fmt.Fprintf(&b, "%sFAIL%s  %s (%s:%d)\n", on, off, one.Name, file, one.Line)
		for _, problem := range one.Problems {
			fmt.Fprintf(&b, "      %s\n", problem)
		}
		var why strings.Builder
		if err := one.Explanation.Text(&why, color); err != nil {
			return err
		}
		for line := range strings.Lines(why.String()) {
			fmt.Fprintf(&b, "      | %s", line)
		}
	}
	fmt.Fprintf(&b, "%d passed, %d failed\n", r.Passed, r.Failed)
	_, err := io.WriteString(w, b.String())
	return err
}
