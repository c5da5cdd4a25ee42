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
	models := func(n int) string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf("00000000-0000-0000-0000-%012d", i))
		}
		return "{factor: webauthn, aaguid: [" + strings.Join(out, ", ") + "]}"
	}
	for text, want := range map[string]string{
		laughs.String() + "default: {require: r59}":                                                                        "p:7:7: the requirement is too long",
		laughs.String() + "rules: [{name: a, require: r59}]\ndefault: {deny: true}":                                        "p:7:7: the requirement is too long",
		"version: 1\nminimum:\n  - require: " + models(60) + "\ndefault: {require: mfa}":                                   "p:3:14: the requirement is too long",
		"version: 1\nminimum:\n  - require: " + models(50) + "\ndefault: {require: mfa}":                                   "",
		"version: 1\nrules: [{name: a, require: {all_of: [password, " + models(40) + "]}}]\ndefault: {require: signed_in}": "",
	} {
		_, err := Load("p", []byte(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
}
