package policy

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// editor walks a schema as an editor does that completes what is being written.
type editor struct{ root map[string]any }

func newEditor(t *testing.T, schema []byte) editor {
	t.Helper()
	var e editor
	if err := json.Unmarshal(schema, &e.root); err != nil {
		t.Fatal(err)
	}
	return e
}

// branches are all schemas that hold at a place, references followed.
func (e editor) branches(at any) []map[string]any {
	s, ok := at.(map[string]any)
	if !ok {
		return nil
	}
	out := []map[string]any{s}
	if name, ok := s["$ref"].(string); ok {
		out = append(out, e.branches(e.root["$defs"].(map[string]any)[strings.TrimPrefix(name, "#/$defs/")])...)
	}
	for _, key := range []string{"anyOf", "oneOf"} {
		list, _ := s[key].([]any)
		for _, one := range list {
			out = append(out, e.branches(one)...)
		}
	}
	return out
}

// at are the schemas at a place such as rules/0/match.
func (e editor) at(place string) []map[string]any {
	found := e.branches(e.root)
	for step := range strings.SplitSeq(place, "/") {
		if step == "" {
			continue
		}
		var next []map[string]any
		for _, s := range found {
			if properties, ok := s["properties"].(map[string]any); ok {
				next = append(next, e.branches(properties[step])...)
			}
			next = append(next, e.branches(s["additionalProperties"])...)
			if step == "0" {
				next = append(next, e.branches(s["items"])...)
			}
		}
		found = next
	}
	return found
}

// keys are what an editor offers in a map at a place.
func (e editor) keys(place string) []string {
	offered := make(map[string]bool)
	for _, s := range e.at(place) {
		properties, _ := s["properties"].(map[string]any)
		for name, about := range properties {
			offered[name] = true
			if text, ok := about.(map[string]any)["description"].(string); !ok || len(text) < 10 {
				panic("no description of " + name)
			}
		}
	}
	return slices.Sorted(maps.Keys(offered))
}

// values are what an editor offers as a value at a place.
func (e editor) values(place string) []string {
	offered := make(map[string]bool)
	for _, s := range e.at(place) {
		if text, ok := s["const"].(string); ok {
			offered[text] = true
		}
		list, _ := s["enum"].([]any)
		for _, one := range list {
			offered[one.(string)] = true
		}
	}
	return slices.Sorted(maps.Keys(offered))
}

// What an editor offers at a place is what the loader says it expects there.
func TestEditorsOfferTheLoadersKeys(t *testing.T) {
	policies, cases := newEditor(t, Schema()), newEditor(t, CasesSchema())
	for _, c := range []struct {
		e           editor
		place, text string
	}{
		{policies, "", "zzz: 1"},
		{policies, "default", "default: {zzz: 1}"},
		{policies, "rules/0", "rules: [{zzz: 1}]"},
		{policies, "rules/0/match", "rules: [{match: {zzz: 1}}]"},
		{policies, "rules/0/require", "rules: [{require: {zzz: 1}}]"},
		{policies, "rules/0/require/all_of/0", "rules: [{require: {all_of: [{zzz: 1}]}}]"},
		{policies, "rules/0/require/any_of/0/all_of/0", "rules: [{require: {any_of: [{all_of: [{zzz: 1}]}]}}]"},
		{policies, "requirements/sudo", "requirements: {sudo: {zzz: 1}}"},
		{policies, "minimum/0", "minimum: [{zzz: 1}]"},
		{policies, "minimum/0/match", "minimum: [{match: {zzz: 1}}]"},
		{policies, "minimum/0/require", "minimum: [{require: {zzz: 1}}]"},
		{cases, "", "zzz: 1"},
		{cases, "cases/0", "cases: [{zzz: 1}]"},
		{cases, "cases/0/request", "cases: [{request: {zzz: 1}}]"},
		{cases, "cases/0/factors/0", "cases: [{factors: [{zzz: 1}]}]"},
	} {
		var err error
		if c.e.root["title"] == "Stepgate policy" {
			_, err = Load("p", []byte(c.text))
		} else {
			_, err = LoadCases("c", []byte(c.text), noon)
		}
		_, expected, ok := strings.Cut(err.Error(), `unknown key "zzz"; expected `)
		if !ok {
			t.Fatalf("%s: %v", c.text, err)
		}
		expected, _, _ = strings.Cut(expected, "\n")
		if got := strings.Join(c.e.keys(c.place), ", "); got != expected {
			t.Errorf("%s: offered %s, the loader expects %s", c.place, got, expected)
		}
	}
}

// Where a name is expected, all names that are known beforehand are offered.
func TestEditorsOfferNames(t *testing.T) {
	e := newEditor(t, Schema())
	factors := slices.Concat(names, []string{"crypto_wallet:ethereum", "crypto_wallet:solana"})
	all := slices.Concat(factors, slices.Collect(maps.Keys(builtins)))
	for place, want := range map[string][]string{
		"default/require":                   all,
		"rules/0/require/any_of/0":          all,
		"requirements/sudo":                 all,
		"rules/0/require/factor":            factors,
		"rules/0/require/attachment":        {"cross-platform", "platform"},
		"rules/0/require/user_verification": {"required"},
	} {
		if got := e.values(place); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("%s: offered %s", place, got)
		}
	}
	if got := newEditor(t, CasesSchema()).values("cases/0/expect"); !slices.Equal(got, slices.Sorted(slices.Values(outcomes))) {
		t.Errorf("expect: offered %s", got)
	}
}
