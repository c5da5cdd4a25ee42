package policy

import (
	"slices"
	"strings"
)

// CaseResult is what a policy made of a case.
type CaseResult struct {
	Name string `json:"name"`
	Line int    `json:"line"`
	Pass bool   `json:"pass"`
	// Problems say, one each, what was expected and what came instead.
	Problems []string `json:"problems,omitempty"`
	// Explanation is set for a case that failed.
	Explanation *Explanation `json:"explanation,omitempty"`
}

// Refused is the explanation of a request that is refused before any policy is asked.
func Refused(item string) Explanation {
	return Explanation{Outcome: Refuse.String(), Reason: item, Rules: []RuleReport{}, Missing: [][]Need{}}
}

// Check compares what happened to the request of a case with what was expected.
func (c *Case) Check(e Explanation) CaseResult {
	out := CaseResult{Name: c.Name, Line: c.Line}
	differ := func(what, want, got string) {
		if got == "" {
			got = "none"
		}
		out.Problems = append(out.Problems, what+": expected "+want+", got "+got)
	}
	if c.Expect != e.Outcome {
		differ("outcome", c.Expect, e.Outcome)
	}
	if c.Rule != "" && c.Rule != e.Rule {
		differ("rule", c.Rule, e.Rule)
	}
	if c.Floor != "" && c.Floor != e.Floor {
		differ("floor", c.Floor, e.Floor)
	}
	if got := namesOf(e.Missing); c.Missing != nil && !slices.EqualFunc(c.Missing, got, slices.Equal[[]string]) {
		differ("missing", written(c.Missing), written(got))
	}
	out.Pass = len(out.Problems) == 0
	if !out.Pass {
		out.Explanation = &e
	}
	return out
}

// namesOf are the names of what is missing, each set sorted, in sorted order.
func namesOf(missing [][]Need) [][]string {
	out := [][]string{}
	for _, set := range missing {
		var of []string
		for _, n := range set {
			of = append(of, n.Factor)
		}
		slices.Sort(of)
		out = append(out, of)
	}
	slices.SortFunc(out, slices.Compare[[]string])
	return slices.CompactFunc(out, slices.Equal[[]string])
}

func written(sets [][]string) string {
	out := make([]string, len(sets))
	for i, set := range sets {
		out[i] = "[" + strings.Join(set, ", ") + "]"
	}
	return "[" + strings.Join(out, ", ") + "]"
}
