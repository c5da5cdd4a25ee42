package policy

import (
	"errors"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

var errNotBool = errors.New("the condition is neither true nor false")

// variables is what conditions read about one request. Nothing is made before it is read, and
// each thing at most once.
type variables struct {
	request Request
	subject *Subject
	now     time.Time
	query   ref.Val
}

func newVariables(q *question) *variables {
	return &variables{request: q.r, subject: q.s, now: q.now}
}

// The variables as expressions see them, each with fields of its own (fields.go).
type (
	requestView variables
	userView    variables
	sessionView variables
)

// ResolveName finds a variable.
func (v *variables) ResolveName(name string) (any, bool) {
	switch name {
	case "request":
		return (*requestView)(v), true
	case "now":
		return types.Timestamp{Time: v.now.UTC()}, true
	}
	if v.subject == nil {
		return nil, false
	}
	switch name {
	case "user":
		return (*userView)(v), true
	case "session":
		return (*sessionView)(v), true
	case "claims":
		return claims(v.subject), true
	}
	return nil, false
}

// claims are those of a user; without any, an empty map.
func claims(s *Subject) map[string]any {
	if s.CustomClaims == nil {
		return map[string]any{}
	}
	return s.CustomClaims
}

// Parent is nothing: there are no other variables.
func (*variables) Parent() cel.Activation { return nil }

// AsPartialActivation says that something is unknown while nobody is signed in.
func (v *variables) AsPartialActivation() (cel.PartialActivation, bool) {
	return v, v.subject == nil
}

// identityNames are the variables that tell who the visitor is.
var identityNames = []string{"user", "session", "claims"}

var unknown = []*cel.AttributePatternType{
	cel.AttributePattern("user"), cel.AttributePattern("session"), cel.AttributePattern("claims"),
}

// UnknownAttributePatterns is what is unknown of an anonymous visitor.
func (*variables) UnknownAttributePatterns() []*cel.AttributePatternType { return unknown }
