package policy

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func parse(t testing.TB, text string) *Requirement {
	t.Helper()
	r, err := ParseRequirement(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// String keeps “once” with its rule, and the age of a remembered device.
func TestRequirementTextKeepsEverything(t *testing.T) {
	p := load(t, `
version: 1
requirements:
  confirm: {factor: totp, once: true, max_age: 2m}
rules:
  - {name: "transfer: a \"b\" <c>", match: {path: /a}, require: {all_of: [password, confirm]}}
  - {name: plain, match: {path: /b}, require: confirm}
  - {name: remembered, match: {path: /c}, require: {factors: 2, remember_device: 30d}}
default: {require: {any_of: [confirm, mfa]}}
`)
	for i, want := range []string{
		`{"all_of":["password",{"factor":"totp","max_age":"2m0s","once":true,"rule":"transfer: a \"b\" \u003cc\u003e"}]}`,
		`{"factor":"totp","max_age":"2m0s","once":true,"rule":"plain"}`,
		`{"factors":2,"remember_device":"720h0m0s"}`,
	} {
		r := p.rules[i].required
		if r.String() != want || parse(t, r.String()).String() != want {
			t.Errorf("%s, expected %s", r, want)
		}
	}
	if got := p.fallback.required.String(); !strings.Contains(got, `"rule":"default"`) {
		t.Error(got)
	}
	// A named requirement belongs to no rule, and so nobody meets it.
	r := p.Requirement("confirm")
	fs := []Factor{{Name: "totp", At: noon}, {Name: "totp", At: noon, ForRule: "plain"}}
	if r.Met(fs, noon) || parse(t, r.String()).Met(fs, noon) || !p.rules[1].required.Met(fs, noon) {
		t.Error("once without a rule")
	}
}

// A proof for one rule lets one rule pass, is a need with that rule's name, and nothing else.
func TestOnceNeeds(t *testing.T) {
	r := parse(t, `{"all_of":["password",{"factors":1,"once":true,"rule":"x"}]}`)
	fs, _ := ParseFactors("password", noon)
	for _, set := range r.Missing(fs, noon) {
		if len(set) != 1 || !set[0].Once || set[0].ForRule != "x" {
			t.Fatalf("%+v", set)
		}
		if !r.Met(append(fs, proofs(set, noon)...), noon) {
			t.Fatalf("%+v is not enough", set)
		}
	}
	if text, err := (Need{Factor: "totp", Once: true}).MarshalJSON(); err != nil || string(text) != `{"factor":"totp","once":true}` {
		t.Errorf("%s %v", text, err)
	}
}

// A remembered device leaves out one factor, within its time, and only when it is known.
func TestRememberedDevice(t *testing.T) {
	r := parse(t, `{"factors":2,"remember_device":"720h"}`)
	fs, _ := ParseFactors("password@1h", noon)
	for _, c := range []struct {
		at   time.Time
		want bool
	}{
		{time.Time{}, false}, {noon, true}, {noon.Add(-720 * time.Hour), true}, {noon.Add(-720*time.Hour - time.Millisecond), false},
		{noon.Add(time.Millisecond), false},
	} {
		s := &Subject{Factors: fs, RememberedAt: c.at}
		if r.MetBy(s, noon) != c.want || (len(r.MissingFor(s, noon)) == 0) != c.want {
			t.Errorf("remembered at %s: expected %v", c.at, c.want)
		}
		if r.MetBy(&Subject{RememberedAt: c.at}, noon) {
			t.Errorf("remembered at %s: met without any factor", c.at)
		}
	}
	if r.Met(fs, noon) || r.MetBy(nil, noon) {
		t.Error("met without a device")
	}
}

// requirement draws one, as deep as depth.
func (d dice) requirement(depth int) string {
	age := d.of([]string{"", "", `,"max_age":"2h0m0s"`})
	switch n := d(6); {
	case depth == 0 || n < 2:
		return d.of([]string{`"password"`, `"totp"`, `"sms_otp"`, `"email_otp"`, `"passkey"`, `"mfa"`, `"signed_in"`, `{"factors":3}`, `{"factor":"totp","once":true,"rule":"x"}`})
	case n == 2:
		return d.of([]string{`{"factors":2`, `{"factors":3`, `{"factors":1`}) + age + `}`
	default:
		var parts []string
		for range 1 + d(3) {
			parts = append(parts, d.requirement(depth-1))
		}
		return `{"` + d.of([]string{"all_of", "any_of"}) + `":[` + strings.Join(parts, ",") + `]` + age + d.of([]string{"", `,"remember_device":"720h"`}) + `}`
	}
}

// Each alternative that Missing names is enough, and one less than one is not, on any device.
func TestMissingIsEnough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapidDice(t)
		r, err := ParseRequirement(d.requirement(3))
		if err != nil {
			return
		}
		s := &Subject{ID: "u", Factors: d.factors()}
		if d(2) == 0 {
			s.RememberedAt = noon.Add(-24 * time.Hour)
		}
		sets := r.MissingFor(s, noon)
		if (len(sets) == 0) != r.MetBy(s, noon) {
			t.Fatalf("%s: met %v, missing %v", r, r.MetBy(s, noon), sets)
		}
		for _, set := range sets {
			after := *s
			after.Factors = append(append([]Factor{}, s.Factors...), proofs(set, noon)...)
			if !r.MetBy(&after, noon) {
				t.Fatalf("%s with %v: %v is not enough", r, s.Factors, set)
			}
		}
		// A remembered device never stands in for more than one factor.
		if plain := r.Missing(s.Factors, noon); len(sets) == 0 && len(plain) > 0 && len(plain[0]) > 1 && strings.Count(r.String(), "remember_device") == 1 {
			t.Fatalf("%s with %v: %v is left out", r, s.Factors, plain[0])
		}
	})
}
