package policy

import (
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
)

// maxIssues bounds the mistakes that are reported of one expression.
const maxIssues = 5

// when reads an expression. One that stands in several rules is read once.
func (l *loader) when(n *node) *condition {
	if n.kind != scalarNode || strings.TrimSpace(n.text) == "" || n.tag == "!!null" {
		l.add(n, "when takes an expression that is true or false, as a text")
		return nil
	}
	if c := l.conditions[n.text]; c != nil {
		return c
	}
	c, issues := compile(n.text)
	for _, i := range issues {
		line, column := place(l.source, n, i.offset)
		l.report(Problem{Line: line, Column: column, Message: "when: " + i.message})
	}
	l.conditions[n.text] = c
	return c
}

// issue is a mistake in an expression, with the place of it in characters.
type issue struct {
	offset  int
	message string
}

// compile makes a condition of an expression, or tells what is wrong with it.
func compile(text string) (*condition, []issue) {
	e, err := language()
	if err != nil {
		return nil, []issue{{message: err.Error()}}
	}
	if n := len([]rune(text)); n > maxExpression {
		return nil, []issue{{maxExpression, "the expression is longer than 2000 characters"}}
	}
	checked, wrong := e.Compile(text)
	if wrong.Err() != nil {
		return nil, issuesOf(text, wrong)
	}
	switch t := checked.OutputType(); t {
	case cel.BoolType:
	case cel.DynType:
		return nil, []issue{{message: "the expression gives whatever a claim holds; compare it, for example with “== true”"}}
	default:
		return nil, []issue{{message: "the expression gives " + cel.FormatCELType(t) + "; it must be true or false"}}
	}
	cost, err := e.EstimateCost(checked, sizes{})
	if err != nil || cost.Max > maxEstimate {
		return nil, []issue{{message: "the expression could take too long on a large request; let it go through fewer lists or texts"}}
	}
	c := &condition{text: text, identity: mentions(checked, identityNames...), reads: readsOf(checked)}
	options := cel.OptOptimize
	var limit []cel.ProgramOption
	if c.identity {
		options |= cel.OptPartialEval
	}
	// Counting takes longer than most expressions. One that cannot reach the limit is not
	// counted; claims may be larger than estimated.
	if cost.Max > maxCost || mentions(checked, "claims", "custom_claims") {
		options |= cel.OptTrackCost
		limit = append(limit, cel.CostLimit(maxCost))
	}
	if c.program, err = e.Program(checked, append(limit, cel.EvalOptions(options))...); err != nil {
		return nil, []issue{{message: err.Error()}}
	}
	return c, nil
}

// mentions tells whether the expression names one of the variables or fields.
func mentions(checked *cel.Ast, names ...string) bool {
	found := false
	ast.PostOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.IdentKind:
			found = found || slices.Contains(names, strings.TrimPrefix(e.AsIdent(), "."))
		case ast.SelectKind:
			found = found || slices.Contains(names, e.AsSelect().FieldName())
		}
	}))
	return found
}

// issuesOf puts what CEL found into words of ours.
func issuesOf(text string, wrong *cel.Issues) []issue {
	var out []issue
	for _, e := range wrong.Errors() {
		if len(out) == maxIssues {
			break
		}
		message, _, _ := strings.Cut(e.Message, "\n")
		message = strings.ReplaceAll(message, " (in container '')", "")
		if strings.HasPrefix(message, "undeclared reference") {
			message += "; known are request, user, session, claims, now"
		}
		out = append(out, issue{offset: offset(text, e.Location.Line(), e.Location.Column()), message: message})
	}
	return out
}

// offset counts the characters before a line and column, as CEL counts them.
func offset(text string, line, column int) int {
	lines := strings.SplitAfter(text, "\n")
	n := 0
	for i := 0; i < line-1 && i < len(lines); i++ {
		n += len([]rune(lines[i]))
	}
	return n + max(column, 0)
}
