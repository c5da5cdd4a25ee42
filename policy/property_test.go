package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var (
	someHosts   = []string{"", "a.test", "b.a.test", "*.a.test", "*.test"}
	somePaths   = []string{"", "/", "/*", "/a", "/a/*", "/A/b", "/a/b/*", "/c/*", "/c/d"}
	someMethods = []string{"", "GET", "POST"}
	someNeeds   = []string{
		"allow: true", "deny: true", "require: signed_in", "require: mfa", "require: {factor: totp, max_age: 5m}", "require: {any_of: [passkey, totp]}",
		"require: {factor: totp, once: true}", "require: {factors: 2, remember_device: 30d}", "require: {factors: 3}",
	}
	someWhens = []string{
		"", "", "", "", "request.method == 'GET'", "'g' in user.groups", "request.path.startsWith('/a') && user.id == 'u'",
		"request.query.k[0] == 'v'", "request.query.k[0] == 'v' || user.id == 'v'", "claims.c == 'x'", "session.authentication_factors.size() > 1",
	}
)

// dice draws a number below n.
type dice func(n int) int

func (d dice) of(list []string) string { return list[d(len(list))] }

func rapidDice(t *rapid.T) dice {
	return func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "d") }
}

// conditions draws what rules and floors have in common.
func (d dice) conditions() string {
	var match []string
	for _, c := range []struct {
		key  string
		from []string
	}{{"host", someHosts}, {"path", somePaths}, {"method", someMethods}} {
		if v := d.of(c.from); v != "" {
			match = append(match, fmt.Sprintf("%s: '%s'", c.key, v))
		}
	}
	if d(5) == 0 {
		match = append(match, "group: g")
	}
	if d(8) == 0 {
		match = append(match, "query: {k: v}")
	}
	out := fmt.Sprintf("match: {%s}", strings.Join(match, ", "))
	if when := d.of(someWhens); when != "" {
		out += fmt.Sprintf(", when: %q", when)
	}
	if d(6) == 0 {
		out += ", report_only: true"
	}
	return out
}

// policy draws a policy of up to n rules and some floors, without unreachable rules.
func (d dice) policy(n int) *Policy {
	floors := ""
	for i := range d(4) {
		need := d.of(someNeeds[2:])
		floors += fmt.Sprintf("  - {name: f%d, %s, %s}\n", i, d.conditions(), need)
	}
	if floors != "" {
		floors = "minimum:\n" + floors
	}
	rules := "version: 1\nrules:\n"
	p, _ := Load("p", []byte("version: 1\ndefault: {deny: true}\n"))
	for i := range 1 + d(n) {
		more := rules + fmt.Sprintf("  - {name: r%d, %s, %s}\n", i, d.conditions(), d.of(someNeeds))
		if next, err := Load("p", []byte(more+floors+"default: {require: signed_in}\n")); err == nil {
			p, rules = next, more
		}
	}
	return p
}

func (d dice) request() *Request {
	return &Request{
		Host:     d.of([]string{"a.test", "b.a.test", "c.b.a.test", "test", "other.example"}),
		Path:     d.of([]string{"/", "/a", "/a/", "/A", "/a/b", "/A/B/c", "/ab", "/c", "/c/d", "/C/D/e/f", "/x/y/z"}),
		Method:   d.of([]string{"GET", "POST", "PUT"}),
		RawQuery: d.of([]string{"", "", "k=v", "k=w", "k=v&k=w", "x=1"}),
	}
}

func (d dice) subject() *Subject {
	if d(2) == 0 {
		return nil
	}
	s := &Subject{ID: "u", Factors: d.factors(), Groups: [][]string{nil, {"g"}, {"h", "g"}}[d(3)]}
	if d(3) == 0 {
		s.RememberedAt = noon.Add(-time.Duration(d(60)) * 24 * time.Hour)
	}
	return s
}

func (d dice) factors() []Factor {
	var out []Factor
	for range d(5) {
		fs, _ := ParseFactors(d.of([]string{"password", "email_otp", "totp", "passkey", "totp@10m", "sms_otp", "password@1h", "crypto_wallet"}), noon)
		if d(6) == 0 {
			fs[0].ForRule = d.of([]string{"r0", "r1", "r2", "f0", "default"})
		}
		out = append(out, fs...)
	}
	return out
}

// linear is the policy read plainly from the top, without the index.
func linear(p *Policy, r *Request, s *Subject) Decision {
	q := question{r: *r, s: s, now: noon, folded: fold(r.Path)}
	d := p.fallback.decide(s, noon)
	for _, rule := range p.rules {
		if h := rule.match.judge(&q); h != no && !rule.reportOnly {
			d = rule.outcomeOf(h, &q)
			break
		}
	}
	for _, floor := range p.floors {
		if d.outcome != Deny && d.outcome != Refuse && !floor.reportOnly {
			d.lift(floor, floor.match.judge(&q))
		}
	}
	return d
}

// A million requests: the index and the plain reading agree.
func TestIndexAgreesWithPlainReading(t *testing.T) {
	total, each := 1_000_000, 2500
	if testing.Short() {
		total = 50_000
	}
	for seed := range total / each {
		d := dice(rand.New(rand.NewPCG(uint64(seed), 1)).IntN)
		p := d.policy(12)
		for range each {
			r, s := d.request(), d.subject()
			got, want := p.Decide(r, s, noon), linear(p, r, s)
			if got.Outcome() != want.Outcome() || got.Rule() != want.Rule() || got.Floor() != want.Floor() || got.Requirement().String() != want.Requirement().String() {
				t.Fatalf("seed %d: %+v %+v: index says %s by %q, plain reading %s by %q", seed, r, s, got.Outcome(), got.Rule(), want.Outcome(), want.Rule())
			}
		}
	}
}

// Explain tells what Decide decides.
func TestExplainAgreesWithDecide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapidDice(t)
		p := d.policy(8)
		for range 10 {
			r, s := d.request(), d.subject()
			if why := disagreement(p, p.Explain(r, s, noon), p.Decide(r, s, noon)); why != "" {
				t.Fatalf("%+v %+v: %s", r, s, why)
			}
		}
	})
}

// What a floor asks for is never left out: without floors, a request gets at least as far.
func TestFloorsOnlyAskForMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapidDice(t)
		p := d.policy(8)
		without := *p
		without.floors = nil
		for range 10 {
			r, s := d.request(), d.subject()
			with, plain := p.Decide(r, s, noon), without.Decide(r, s, noon)
			if with.Outcome() == Allow && plain.Outcome() != Allow || plain.Outcome() == Deny && with.Outcome() != Deny {
				t.Fatalf("%+v %+v: %s with floors, %s without", r, s, with.Outcome(), plain.Outcome())
			}
		}
	})
}

// A rule that is only reported changes nothing.
func TestReportsChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapidDice(t)
		p := d.policy(8)
		without := *p
		without.rules, without.floors = nil, nil
		for _, r := range p.rules {
			if !r.reportOnly {
				without.rules = append(without.rules, r)
			}
		}
		for _, f := range p.floors {
			if !f.reportOnly {
				without.floors = append(without.floors, f)
			}
		}
		for range 10 {
			r, s := d.request(), d.subject()
			if with, plain := p.Decide(r, s, noon), linear(&without, r, s); with.Outcome() != plain.Outcome() || with.Rule() != plain.Rule() {
				t.Fatalf("%+v: %s by %q, without reports %s by %q", r, with.Outcome(), with.Rule(), plain.Outcome(), plain.Rule())
			}
		}
	})
}

// Whoever is not signed in never gets further than somebody who is, whoever that is, with
// everything proven: nobody falls through to a weaker rule.
func TestNobodyGetsFurther(t *testing.T) {
	all, err := ParseFactors("password,passkey,totp,sms_otp,crypto_wallet", noon)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		d := rapidDice(t)
		p := d.policy(8)
		for range 10 {
			r := d.request()
			if dec := p.Decide(r, nil, noon); dec.Outcome() != Allow {
				continue
			}
			for _, s := range []*Subject{{ID: "u", Factors: all}, {ID: "v", Factors: all, Groups: []string{"g"}, CustomClaims: map[string]any{"c": "x"}}} {
				if dec := p.Decide(r, s, noon); dec.Outcome() != Allow {
					t.Fatalf("%+v: nobody is let in, %s is not: %s by %q", r, s.ID, dec.Outcome(), dec.Rule())
				}
			}
		}
	})
}

// One more factor never takes access away.
func TestMoreFactorsNeverTakeAway(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapidDice(t)
		var p *Policy
		for p == nil || strings.Contains(fmt.Sprint(whens(p)), "size()") { // counts factors, and so is out of order
			p = d.policy(8)
		}
		r := d.request()
		s := &Subject{ID: "u", Factors: d.factors()}
		before := p.Decide(r, s, noon)
		more := &Subject{ID: "u", Factors: append(append([]Factor{}, s.Factors...), d.factors()...)}
		after := p.Decide(r, more, noon)
		if before.Outcome() == Allow && after.Outcome() != Allow {
			t.Fatalf("%+v: %v allowed, %v not", r, s.Factors, more.Factors)
		}
	})
}

// In another spelling of its path, a request never gets more than in the one of the rule.
func TestSpellingNeverHelps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapidDice(t)
		p := d.policy(8)
		r := d.request()
		first := p.Decide(r, nil, noon)
		if first.Outcome() == Allow || first.Rule() == "default" || len(whens(p)) > 0 { // expressions compare as they are written
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

// whens are the expressions of a policy.
func whens(p *Policy) []string {
	var out []string
	for _, r := range append(p.rules[:len(p.rules):len(p.rules)], p.floors...) {
		if r.match.when != nil {
			out = append(out, r.match.when.text)
		}
	}
	return out
}
