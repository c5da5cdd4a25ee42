package policy

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

// condition is one expression of the policy, ready to be evaluated. It is immutable.
type condition struct {
	text    string
	program cel.Program
	// identity is set when the expression reads who the visitor is.
	identity bool
	reads    reads
}

// holds tells whether the expression may be true. One that fails counts as true for rules that
// protect and as false for those that allow, which are exact.
func (c *condition) holds(q *question, exact bool) bool {
	h, err := c.eval(q)
	if err != nil {
		return !exact
	}
	return h != no
}

// eval is yes, no, or nameless when it depends on who the visitor is and nobody is signed in:
// then user, session and claims are unknown, and so is what rests on them.
func (c *condition) eval(q *question) (held, error) {
	if q.vars == nil {
		q.vars = newVariables(q)
	}
	out, _, err := c.program.Eval(q.vars)
	switch {
	case err != nil:
		return no, err
	case out == types.True:
		return yes, nil
	case out == types.False:
		return no, nil
	case types.IsUnknown(out):
		return nameless, nil
	}
	return no, errNotBool
}
