package policy

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var (
	someHosts   = []string{"", "a.test", "b.a.test", "*.a.test", "*.test"}
	somePaths   = []string{"", "/", "/*", "/a", "/a/*", "/A/b", "/a/b/*", "/c/*", "/c/d"}
	someMethods = []string{"", "GET", "POST"}
	someNeeds   = []string{"allow: true", "deny: true", "require: signed_in", "require: mfa", "require: {factor: totp, max_age: 5m}", "require: {any_of: [passkey, totp]}"}
)

// drawPolicy makes a policy without unreachable rules.
func drawPolicy(t *rapid.T) *Policy {
	var b strings.Builder
	b.WriteString("version: 1\nrules:\n")
	p, _ := Load("p", []byte("version: 1\ndefault: {deny: true}\n"))
	for i := range rapid.IntRange(1, 12).Draw(t, "rules") {
		var conditions []string
		for key, values := range map[string][]string{"host": someHosts, "path": somePaths, "method": someMethods} {
			if v := rapid.SampledFrom(values).Draw(t, key); v != "" {
				conditions = append(conditions, fmt.Sprintf("%s: '%s'", key, v))
			}
		}
		if rapid.IntRange(0, 4).Draw(t, "identity") == 0 {
			conditions = append(conditions, "group: g")
		}
		before := b.String()
		fmt.Fprintf(&b, "  - {name: r%d, match: {%s}, %s}\n", i, strings.Join(conditions, ", "), rapid.SampledFrom(someNeeds).Draw(t, "outcome"))
		next, err := Load("p", []byte(b.String()+"default: {require: signed_in}\n"))
		if err != nil {
			b.Reset()
			b.WriteString(before)
			continue
		}
		p = next
	}
	return p
}

func drawRequest(t *rapid.T) *Request {
	return &Request{
		Host:   rapid.SampledFrom([]string{"a.test", "b.a.test", "c.b.a.test", "test", "other.example"}).Draw(t, "host"),
		Path:   rapid.SampledFrom([]string{"/", "/a", "/a/", "/A", "/a/b", "/A/B/c", "/ab", "/c", "/c/d", "/C/D/e/f", "/x/y/z"}).Draw(t, "path"),
		Method: rapid.SampledFrom([]string{"GET", "POST", "PUT"}).Draw(t, "method"),
	}
}

func drawSubject(t *rapid.T) *Subject {
	if rapid.Bool().Draw(t, "anonymous") {
		return nil
	}
	s := &Subject{ID: "u", Factors: drawFactors(t)}
	if rapid.Bool().Draw(t, "in group") {
		s.Groups = []string{"g"}
	}
	return s
}

func drawFactors(t *rapid.T) []Factor {
	var out []Factor
	for _, f := range rapid.SliceOfN(rapid.SampledFrom([]string{"password", "email_otp", "totp", "passkey", "totp@10m", "sms_otp", "password@1h"}), 0, 4).Draw(t, "factors") {
		parsed, err := ParseFactors(f, noon)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, parsed...)
	}
	return out
}

// linear is the policy read plainly from the top, without the index.
func linear(p *Policy, r *Request, s *Subject) Decision {
	for _, rule := range p.rules {
		switch rule.match.request(r, fold(r.Path)) {
		case no:
			continue
		case ambiguous:
			return Decision{outcome: Refuse, rule: rule.name}
		}
		if rule.match.identity() {
			if s == nil {
				return Decision{outcome: SignIn, rule: rule.name}
			}
			if !rule.match.subject(s) {
				continue
			}
		}
		return rule.decide(s, noon)
	}
	return p.fallback.decide(s, noon)
}

// The index and the plain reading agree, and so does explain.
func TestIndexAgreesWithPlainReading(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicy(t)
		for range 40 {
			r, s := drawRequest(t), drawSubject(t)
			got, want := p.Decide(r, s, noon), linear(p, r, s)
			if got.Outcome() != want.Outcome() || got.Rule() != want.Rule() {
				t.Fatalf("%+v: index says %s by %q, plain reading %s by %q", r, got.Outcome(), got.Rule(), want.Outcome(), want.Rule())
			}
			if e := p.Explain(r, s, noon); e.Outcome != got.Outcome().String() || e.Rule != got.Rule() {
				t.Fatalf("%+v: explain says %s by %q", r, e.Outcome, e.Rule)
			}
		}
	})
}

// One more factor never takes access away.
func TestMoreFactorsNeverTakeAway(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicy(t)
		r := drawRequest(t)
		s := &Subject{ID: "u", Factors: drawFactors(t)}
		before := p.Decide(r, s, noon)
		more := &Subject{ID: "u", Factors: append(append([]Factor{}, s.Factors...), drawFactors(t)...)}
		after := p.Decide(r, more, noon)
		if before.Outcome() == Allow && after.Outcome() != Allow {
			t.Fatalf("%+v: %v allowed, %v not", r, s.Factors, more.Factors)
		}
	})
}

// In another spelling of its path, a request never gets more than in the one of the rule.
func TestSpellingNeverHelps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicy(t)
		r := drawRequest(t)
		first := p.Decide(r, nil, noon)
		if first.Outcome() == Allow || first.Rule() == "default" {
			return
		}
		other := *r
		other.Path = strings.ToUpper(r.Path)
		if d := p.Decide(&other, nil, noon); d.Outcome() == Allow {
			exact := false
			for _, rule := range p.rules {
				exact = exact || rule.name == d.Rule() && rule.match.exact
			}
			if !exact {
				t.Fatalf("%s is %s, %s is allowed by %q", r.Path, first.Outcome(), other.Path, d.Rule())
			}
		}
	})
}
