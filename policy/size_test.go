package policy

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What is counted of a requirement is no less than what is written.
func TestRequirementsAreCountedWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, err := ParseRequirement(rapidDice(t).requirement(3))
		if err != nil {
			return
		}
		if r.takes(len(r.String())-len(`"rule":"x"`)*strings.Count(r.String(), `"rule"`)-1) >= 0 {
			t.Fatalf("%s is counted as shorter than it is", r)
		}
	})
	for _, text := range []string{
		`{"factor":"webauthn","aaguid":["00000000-0000-0000-0000-000000000001","00000000-0000-0000-0000-000000000002"],"attachment":"cross-platform","user_verification":"required"}`,
		`{"factor":"totp","max_age":"1h0m0s","recovery":false}`,
	} {
		if parse(t, text).takes(len(text)-1) >= 0 {
			t.Errorf("%s is counted as shorter than it is", text)
		}
	}
}

// A requirement that no challenge could carry is a mistake, and found at once even when names
// stand for one another many times over.
func TestARequirementThatIsTooLong(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("version: 1\nrequirements:\n  r0: {all_of: [password, totp]}\n")
	for i := 1; i < 60; i++ {
		fmt.Fprintf(&laughs, "  r%d: {any_of: [r%d, r%d, r%d]}\n", i, i-1, i-1, i-1)
	}
	for text, want := range map[string]string{
		laughs.String() + "default: {require: r59}":                                                                           "p:7:7: the requirement is too long",
		laughs.String() + "rules: [{name: a, require: r59}]\ndefault: {deny: true}":                                           "p:7:7: the requirement is too long",
		"version: 1\nminimum:\n  - require: " + models(0, 60) + "\ndefault: {require: mfa}":                                   "p:3:14: the requirement is too long",
		"version: 1\nminimum:\n  - require: " + models(0, 50) + "\ndefault: {require: mfa}":                                   "",
		"version: 1\nrules: [{name: a, require: {all_of: [password, " + models(0, 40) + "]}}]\ndefault: {require: signed_in}": "",
	} {
		_, err := Load("p", []byte(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
}

// models asks for one of so many models of keys, and takes that many times 40 bytes.
func models(kind, n int) string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("%08d-0000-0000-0000-%012d", kind, i))
	}
	return "{factor: webauthn, aaguid: [" + strings.Join(out, ", ") + "]}"
}

// Of requirements that are too long together, a challenge asks for one after the other.
func TestLongRequirementsAreAskedForInTurn(t *testing.T) {
	var text strings.Builder
	text.WriteString("version: 1\nminimum:\n")
	for kind := range 3 {
		fmt.Fprintf(&text, "  - {match: {path: /long/*}, require: %s}\n", models(kind, 40))
	}
	text.WriteString("default: {require: {all_of: [password, totp]}}\n")
	p := load(t, text.String())
	s := &Subject{ID: "u", Factors: []Factor{{Name: "password", At: noon}}}
	asked := func(path string) *Requirement {
		d := p.Decide(&Request{Host: "a.test", Path: path}, s, noon)
		return Both(d.Requirement(), signedIn)
	}
	if r := asked("/short"); r.Carried(s, noon) != r {
		t.Errorf("a short requirement is parted: %s", r.Carried(s, noon))
	}
	for i, want := range []string{`"all_of":["password","totp"]`, "00000000-0000", "00000001-0000", "00000002-0000"} {
		got := asked("/long/x").Carried(s, noon)
		if text := got.String(); !strings.Contains(text, want) || len(text) > maxRequirement || got.MetBy(s, noon) {
			t.Errorf("part %d: %s, expected %s", i, text, want)
		}
		if i == 0 {
			if anybody := asked("/long/x").Carried(nil, noon); anybody.String() != got.String() {
				t.Errorf("a stranger is asked for %s", anybody)
			}
			s.Factors = append(s.Factors, Factor{Name: "totp", At: noon})
			continue
		}
		s.Factors = append(s.Factors, Factor{Name: "webauthn", AAGUID: fmt.Sprintf("%08d-0000-0000-0000-%012d", i-1, 7), At: noon})
	}
	if d := p.Decide(&Request{Host: "a.test", Path: "/long/x"}, s, noon); d.Outcome() != Allow {
		t.Errorf("whoever proved each part is answered with %s", d.Outcome())
	}
}
