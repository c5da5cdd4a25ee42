package policy

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// What is told of a request is what some rule or floor reads, and nothing beside it.
func TestOnlyWhatRulesReadIsTold(t *testing.T) {
	p, err := Load("p", []byte(`
version: 1
rules:
  - {name: export, match: {path: /export, query: {format: [csv, pdf], preview: true}}, require: mfa}
  - {name: beta, match: {header: {X-Beta: "on", Authorization: "Basic x"}}, require: mfa}
  - name: conditions
    when: "request.query.size[0] == 'l' || 'draft' in request.query || has(request.query.flag) || request.headers['x-team'] == ['a'] || claims.level == 'high' || user.custom_claims['unit'] == 'b'"
    require: mfa
minimum:
  - {match: {query: {floor: "1"}}, require: mfa}
default: {require: signed_in}
`))
	if err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[string]string{
		"":                                   " whole",
		"format=csv&token=secret":            "format=csv whole",
		"format=csv&format=pdf":              "format=csv,pdf whole",
		"%66ormat=c%73v&preview=secret":      "format=csv preview= whole",
		"size=l&draft=secret&flag=secret":    "draft= flag= size=l whole",
		"floor=1&other=%zz":                  "floor=1 whole",
		"%zz=1&floor=1":                      "floor=1 part",
		"format=%zz":                         " part",
		"format=" + strings.Repeat("x", 257): " part",
		"format=1&format=2&format=3&format=4&format=5": "format=1,2,3,4 part",
	} {
		got, whole := p.QueryRead(raw)
		if text := told(got, whole); text != want {
			t.Errorf("%s: told %q, expected %q", raw, text, want)
		}
	}
	got, whole := p.HeaderRead(map[string][]string{"X-Beta": {"on"}, "X-Team": {"a"}, "User-Agent": {"secret"}})
	if text := told(got, whole); text != "X-Beta=on X-Team=a whole" {
		t.Errorf("headers: %s", text)
	}
	got, whole = p.HeaderRead(map[string][]string{"Authorization": {"Basic x"}})
	if text := told(got, whole); text != "Authorization= part" {
		t.Errorf("a secret header: %s", text)
	}
	claims := p.ClaimsRead(map[string]any{"level": "high", "unit": "b", "salary": 1})
	if names := slices.Sorted(maps.Keys(claims)); !slices.Equal(names, []string{"level", "unit"}) {
		t.Errorf("claims: %v", names)
	}
	if got := strings.Join(p.Reads(), ", "); got != "claim level, claim unit, header Authorization, header X-Beta, header X-Team, "+
		"query draft, query flag, query floor, query format, query preview, query size" {
		t.Errorf("reads %s", got)
	}
}

// A condition that goes through all names can read any: what is told is then never the whole.
func TestComputedNamesAreNotTold(t *testing.T) {
	for _, when := range []string{
		"request.query.exists(k, k == 'x')", "request.query[request.path] == ['x']", "size(request.headers) > 20", "request.headers == {'a': ['b']}",
		"claims == {'a': 'b'}", "request.path in request.query",
	} {
		p, err := Load("p", []byte("version: 1\nrules: [{name: r, when: \""+when+"\", deny: true}]\ndefault: {deny: true}"))
		if err != nil {
			t.Fatal(err)
		}
		if got, whole := p.QueryRead("x=secret"); whole || got != nil {
			t.Errorf("%s: %s", when, told(got, whole))
		}
	}
}

func told(values map[string][]string, whole bool) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		parts = append(parts, name+"="+strings.Join(values[name], ","))
	}
	if whole {
		return strings.Join(parts, " ") + " whole"
	}
	return strings.Join(parts, " ") + " part"
}

// A condition that reads the query as it was sent cannot be judged again by the parts that are
// told; a request without a query can.
func TestTheQueryAsSentIsNotTold(t *testing.T) {
	p := load(t, "version: 1\nrules: [{name: a, when: \"request.path == '/a' && request.raw_query == 'k=secret'\", deny: true}]\ndefault: {deny: true}\n")
	for raw, want := range map[string]string{"": " whole", "k=secret": " part"} {
		if got, whole := p.QueryRead(raw); told(got, whole) != want {
			t.Errorf("%q: told %v, %v", raw, got, whole)
		}
	}
	if got, whole := p.HeaderRead(map[string][]string{"X-A": {"b"}}); told(got, whole) != " whole" {
		t.Errorf("headers: told %v, %v", got, whole)
	}
}
