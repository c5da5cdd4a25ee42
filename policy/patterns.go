package policy

import (
	"regexp"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
)

// maxPattern is the length of a regular expression.
const maxPattern = 1000

// regexpValidator finds regular expressions that are not texts, or wrong. One that came from a
// request would let a client choose how much work it is.
type regexpValidator struct{}

// Name is the validator's name in CEL.
func (regexpValidator) Name() string { return "stepgate.regexp" }

// Validate looks at each call.
func (regexpValidator) Validate(_ *cel.Env, _ cel.ValidatorConfig, a *ast.AST, issues *cel.Issues) {
	for _, call := range ast.MatchDescendants(ast.NavigateAST(a), ast.FunctionMatcher("matches")) {
		args := call.AsCall().Args()
		pattern := args[len(args)-1]
		s, ok := literal(pattern)
		if !ok {
			issues.ReportErrorAtID(pattern.ID(), "the regular expression must be written as a text")
			continue
		}
		if len(s) > maxPattern {
			issues.ReportErrorAtID(pattern.ID(), "the regular expression is longer than %d characters", maxPattern)
			continue
		}
		if _, err := regexp.Compile(s); err != nil {
			issues.ReportErrorAtID(pattern.ID(), "not a regular expression: %v", err)
		}
	}
}
