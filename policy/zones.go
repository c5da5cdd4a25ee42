package policy

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// CEL reads a time zone from the disk at each evaluation. Here each is read when a policy that
// names it is loaded; so the name must be in the policy, as a text.

// clock are the functions that take a time zone, with what CEL calls them.
var clock = []struct {
	name, overload string
	of             func(time.Time) int
}{
	{"getFullYear", "timestamp_to_year_with_tz", time.Time.Year},
	{"getMonth", "timestamp_to_month_with_tz", func(t time.Time) int { return int(t.Month()) - 1 }},
	{"getDayOfYear", "timestamp_to_day_of_year_with_tz", func(t time.Time) int { return t.YearDay() - 1 }},
	{"getDayOfMonth", "timestamp_to_day_of_month_with_tz", func(t time.Time) int { return t.Day() - 1 }},
	{"getDate", "timestamp_to_day_of_month_1_based_with_tz", time.Time.Day},
	{"getDayOfWeek", "timestamp_to_day_of_week_with_tz", func(t time.Time) int { return int(t.Weekday()) }},
	{"getHours", "timestamp_to_hours_with_tz", time.Time.Hour},
	{"getMinutes", "timestamp_to_minutes_with_tz", time.Time.Minute},
	{"getSeconds", "timestamp_to_seconds_tz", time.Time.Second},
	{"getMilliseconds", "timestamp_to_milliseconds_with_tz", func(t time.Time) int { return t.Nanosecond() / 1e6 }},
}

// zonedOverloads are CEL's own, which ours replace.
func zonedOverloads() []*env.Function {
	out := make([]*env.Function, len(clock))
	for i, c := range clock {
		out[i] = env.NewFunction(c.name, env.NewOverload(c.overload, nil, nil))
	}
	return out
}

// zoned are the functions as ours.
func zoned() cel.EnvOption {
	return func(e *cel.Env) (*cel.Env, error) {
		var err error
		for _, c := range clock {
			if e, err = cel.Function(c.name, cel.MemberOverload("zoned_"+c.overload,
				[]*cel.Type{cel.TimestampType, cel.StringType}, cel.IntType,
				cel.BinaryBinding(func(at, zone ref.Val) ref.Val {
					t, ok1 := at.(types.Timestamp)
					name, ok2 := zone.(types.String)
					if !ok1 || !ok2 {
						return types.MaybeNoSuchOverloadErr(at)
					}
					z := zones.find(string(name))
					if z == nil {
						return types.NewErr("unknown time zone %q", string(name))
					}
					return types.Int(c.of(t.In(z)))
				})))(e); err != nil {
				return nil, err
			}
		}
		return e, nil
	}
}

// zones are the time zones that policies named so far: no more than there are.
var zones zoneTable

type zoneTable struct {
	mu    sync.RWMutex
	known map[string]*time.Location
}

func (z *zoneTable) find(name string) *time.Location {
	z.mu.RLock()
	defer z.mu.RUnlock()
	return z.known[name]
}

func (z *zoneTable) load(name string) error {
	if z.find(name) != nil {
		return nil
	}
	zone, err := readZone(name)
	if err != nil {
		return err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.known == nil {
		z.known = make(map[string]*time.Location)
	}
	z.known[name] = zone
	return nil
}

// readZone takes a name such as Europe/Berlin, or an offset such as +02:00.
func readZone(name string) (*time.Location, error) {
	if !strings.Contains(name, ":") {
		if name == "" || name == "Local" {
			return nil, fmt.Errorf("no time zone of the world: %q", name)
		}
		return time.LoadLocation(name)
	}
	signed := name
	if name[0] != '+' && name[0] != '-' {
		signed = "+" + name
	}
	t, err := time.Parse("-07:00", signed)
	if err != nil {
		return nil, err
	}
	_, offset := t.Zone()
	return time.FixedZone(name, offset), nil
}

// zoneValidator finds time zones that are not texts, or that nobody knows.
type zoneValidator struct{}

// Name is the validator's name in CEL.
func (zoneValidator) Name() string { return "stepgate.zone" }

// Validate looks at each function that takes a zone.
func (zoneValidator) Validate(_ *cel.Env, _ cel.ValidatorConfig, a *ast.AST, issues *cel.Issues) {
	for _, c := range clock {
		for _, call := range ast.MatchDescendants(ast.NavigateAST(a), ast.FunctionMatcher(c.name)) {
			args := call.AsCall().Args()
			if len(args) != 1 {
				continue
			}
			name, ok := literal(args[0])
			switch {
			case !ok:
				issues.ReportErrorAtID(args[0].ID(), "the time zone must be written as a text, such as 'Europe/Berlin'")
			case zones.load(name) != nil:
				issues.ReportErrorAtID(args[0].ID(), "unknown time zone %q; write one such as 'Europe/Berlin', 'UTC' or '+02:00'", name)
			}
		}
	}
}

// literal is the text that stands in the expression itself.
func literal(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}
