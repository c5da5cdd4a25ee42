package policy

import (
	"maps"
	"slices"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
)

// This file is the language of expressions: CEL with its standard functions and macros, the
// strings extension, time zones without a look at the disk, and inNet.

// The bounds of an expression.
const (
	maxExpression = 2000    // characters
	maxNesting    = 3       // macros within macros
	maxEstimate   = 10e6    // cost that a request within its bounds could reach
	maxCost       = 100_000 // cost at which an evaluation is given up
)

// language makes the environment once; it is never changed.
var language = sync.OnceValues(func() (*cel.Env, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	return cel.NewCustomEnv(
		cel.CustomTypeAdapter(registry),
		cel.CustomTypeProvider(&provider{Registry: registry}),
		cel.StdLib(cel.StdLibSubset(env.NewLibrarySubset().AddExcludedFunctions(zonedOverloads()...))),
		ext.Strings(),
		cel.Variable("request", requestType),
		cel.Variable("user", userType),
		cel.Variable("session", sessionType),
		cel.Variable("claims", claimsType),
		cel.Variable("now", cel.TimestampType),
		zoned(), inNet(),
		cel.ASTValidators(
			cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateHomogeneousAggregateLiterals(),
			cel.ValidateComprehensionNestingLimit(maxNesting),
			objectValidator{}, regexpValidator{}, zoneValidator{}, netValidator{},
		),
		cel.DefaultUTCTimeZone(true),
		cel.EnableMacroCallTracking(),
		cel.ParserExpressionSizeLimit(maxExpression),
		cel.ParserErrorRecoveryLimit(4),
	)
})

// objects are the types of expressions that have fields.
var objects = func() map[string]fields {
	out := map[string]fields{
		requestType.TypeName(): requestFields, userType.TypeName(): userFields,
		sessionType.TypeName(): sessionFields, factorType.TypeName(): factorFields,
	}
	for t, f := range partFields {
		out[t.TypeName()] = f
	}
	return out
}()

// provider knows our objects beside CEL's own types.
type provider struct{ *types.Registry }

// FindStructType finds the type of an object.
func (p *provider) FindStructType(name string) (*types.Type, bool) {
	if _, ok := objects[name]; ok {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return p.Registry.FindStructType(name)
}

// FindStructFieldNames lists the fields of an object.
func (p *provider) FindStructFieldNames(name string) ([]string, bool) {
	if f, ok := objects[name]; ok {
		return slices.Sorted(maps.Keys(f)), true
	}
	return p.Registry.FindStructFieldNames(name)
}

// FindStructFieldType finds one field of an object.
func (p *provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if f, ok := objects[name]; ok {
		t, ok := f[field]
		return t, ok
	}
	return p.Registry.FindStructFieldType(name, field)
}

// NewValue makes no object of ours.
func (p *provider) NewValue(name string, values map[string]ref.Val) ref.Val {
	if _, ok := objects[name]; ok {
		return types.NewErr("%q cannot be made in an expression", name)
	}
	return p.Registry.NewValue(name, values)
}

// objectValidator finds objects that stand for themselves: only their fields are values.
type objectValidator struct{}

// Name is the validator's name in CEL.
func (objectValidator) Name() string { return "stepgate.object" }

// Validate looks at all objects but factors, which lists hold.
func (objectValidator) Validate(_ *cel.Env, _ cel.ValidatorConfig, a *ast.AST, issues *cel.Issues) {
	for _, e := range ast.MatchDescendants(ast.NavigateAST(a), ast.AllMatcher()) {
		t := a.GetType(e.ID())
		if t == nil || objects[t.TypeName()] == nil || t.TypeName() == factorType.TypeName() {
			continue
		}
		if parent, ok := e.Parent(); !ok || parent.Kind() != ast.SelectKind {
			issues.ReportErrorAtID(e.ID(), "the %s is no value of its own; write which of its fields is meant: %s", t.TypeName(), choices(slices.Collect(maps.Keys(objects[t.TypeName()]))))
		}
	}
}
