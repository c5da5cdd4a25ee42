package policyimport

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// target is what Authelia compares resources with: the path, and the query as it was sent.
const target = `(request.path + (request.raw_query == "" ? "" : "?" + request.raw_query))`

// queryTails are ends of patterns that take any query, and so none.
var queryTails = []string{`([/?].*)?$`, `([?/].*)?$`, `(\?.*)?$`, `([?].*)?$`}

// resource is the condition that Authelia's pattern for path and query stands for. Where the
// query cannot matter, only the path is read.
func resource(re string) string {
	whole := target + ".matches(" + pattern(re) + ")"
	body, anchored := strings.CutPrefix(re, "^")
	if !anchored || !oneBeginning(re) {
		return whole
	}
	path := "request.path.matches(" + pattern(re) + ")"
	for _, tail := range queryTails {
		if start, ok := strings.CutSuffix(body, tail); ok && knowsNoQuery(start) {
			return path
		}
	}
	for _, tail := range []string{".*$", ".*"} {
		if start, ok := strings.CutSuffix(body, tail); ok && knowsNoQuery(start) {
			return path
		}
	}
	if start, ok := strings.CutSuffix(body, "$"); ok && knowsNoQuery(start) {
		return path + ` && request.raw_query == ""`
	}
	if knowsNoQuery(body) {
		return path
	}
	return whole
}

// oneBeginning tells whether the pattern as a whole, and not one alternative of it, begins with
// the path.
func oneBeginning(re string) bool {
	parsed, err := syntax.Parse(re, syntax.Perl)
	return err == nil && parsed.Op == syntax.OpConcat && parsed.Sub[0].Op == syntax.OpBeginText
}

// knowsNoQuery tells whether nothing that the pattern matches has a “?”, so that it cannot
// reach into a query. Patterns that could be several, or that look at ends, do not count.
func knowsNoQuery(re string) bool {
	if strings.HasSuffix(re, `\`) {
		return false
	}
	parsed, err := syntax.Parse(re, syntax.Perl)
	return err == nil && parsed.Op != syntax.OpAlternate && plain(parsed)
}

func plain(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral:
		return !slices.Contains(re.Rune, '?')
	case syntax.OpCharClass:
		for i := 0; i+1 < len(re.Rune); i += 2 {
			if re.Rune[i] <= '?' && '?' <= re.Rune[i+1] {
				return false
			}
		}
		return true
	case syntax.OpEmptyMatch:
		return true
	case syntax.OpConcat, syntax.OpAlternate, syntax.OpCapture, syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpRepeat:
		return !slices.ContainsFunc(re.Sub, func(s *syntax.Regexp) bool { return !plain(s) })
	}
	return false
}

var (
	simplePath = regexp.MustCompile(`^(/[A-Za-z0-9_~-]+|/\\\.[A-Za-z0-9_~-]+|/[A-Za-z0-9_~-]+\\\.[A-Za-z0-9_~-]+)+$`)
	belowTails = []string{`(/.*)?$`, `(/|$)`, `($|/)`, `(/.*|$)`}
)

// openPath is the path of a policy, which a rule that allows compares exactly, for a pattern of
// paths that says just that.
func openPath(re string) (string, bool) {
	body, anchored := strings.CutPrefix(re, "^")
	if !anchored {
		return "", false
	}
	below := ""
	for _, tail := range belowTails {
		if start, ok := strings.CutSuffix(body, tail); ok {
			body, below = start, "/*"
			break
		}
	}
	if below == "" {
		var ended bool
		if body, ended = strings.CutSuffix(body, "$"); !ended {
			return "", false
		}
	}
	if body == "/" && below == "" {
		return "/", true
	}
	if !simplePath.MatchString(body) {
		return "", false
	}
	return strings.ReplaceAll(body, `\.`, ".") + below, true
}
