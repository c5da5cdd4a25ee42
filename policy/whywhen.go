package policy

import (
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// whyNot says why the expression does not hold: which of its parts is false.
func (c *condition) whyNot(q *question) string {
	if _, err := c.eval(q); err != nil {
		return fmt.Sprintf("when cannot be evaluated (%v), which is no match for allow", err)
	}
	parts := c.parts()
	for _, part := range parts {
		if len(parts) == 1 {
			break
		}
		if one, wrong := compile(part); len(wrong) == 0 {
			if h, err := one.eval(q); err == nil && h == no {
				return "when is false: " + part
			}
		}
	}
	return "when is false"
}

// parts are the expressions that “&&” joins.
func (c *condition) parts() []string {
	e, err := language()
	if err != nil {
		return nil
	}
	checked, wrong := e.Compile(c.text)
	if wrong.Err() != nil {
		return nil
	}
	var out []string
	var split func(ast.Expr)
	split = func(x ast.Expr) {
		if x.Kind() == ast.CallKind && x.AsCall().FunctionName() == operators.LogicalAnd {
			for _, arg := range x.AsCall().Args() {
				split(arg)
			}
			return
		}
		if text, err := cel.ExprToString(x, checked.NativeRep().SourceInfo()); err == nil {
			out = append(out, text)
		}
	}
	split(checked.NativeRep().Expr())
	return out
}
