package policy

import "time"

// Policy is a loaded policy file. It is immutable and safe for parallel use.
type Policy struct {
	rules        []*rule
	fallback     rule
	requirements map[string]*Requirement
	index        index
}

// rule is one entry of the file.
type rule struct {
	name     string
	match    match
	outcome  Outcome      // Allow, Deny, or StepUp for require
	required *Requirement // set for require
	line     int
}

// Rules returns the names of the rules in order.
func (p *Policy) Rules() []string {
	out := make([]string, len(p.rules))
	for i, r := range p.rules {
		out[i] = r.name
	}
	return out
}

// Requirement returns a requirement that the file names, a built-in, or a factor; nil when
// the name is none of them.
func (p *Policy) Requirement(name string) *Requirement {
	if r := p.requirements[name]; r != nil {
		return r
	}
	if r := builtins[name]; r != nil {
		return r
	}
	if s, ok := parseFactorName(name); ok {
		return one(s)
	}
	return nil
}

// Decide judges one request of a subject, nil for an anonymous visitor, at a time. The first
// rule whose conditions all hold decides; the default does when there is none. A nil Policy
// denies.
func (p *Policy) Decide(r *Request, s *Subject, now time.Time) Decision {
	if p == nil {
		return Decision{}
	}
	folded := fold(r.Path)
	var w walk
	p.index.start(&w, r.Host, folded)
	for i := w.next(); i >= 0; i = w.next() {
		rule := p.rules[i]
		switch rule.match.request(r, folded) {
		case no:
			continue
		case ambiguous:
			return Decision{outcome: Refuse, rule: rule.name, reason: reasonRepeatedKey}
		}
		if rule.match.identity() {
			if s == nil {
				return Decision{outcome: SignIn, rule: rule.name, reason: reasonAnonymous, required: rule.required}
			}
			if !rule.match.subject(s) {
				continue
			}
		}
		return rule.decide(s, now)
	}
	return p.fallback.decide(s, now)
}

// decide turns a rule whose conditions hold into a decision.
func (r *rule) decide(s *Subject, now time.Time) Decision {
	switch {
	case r.outcome == Allow:
		return Decision{outcome: Allow, rule: r.name, reason: reasonAllowed}
	case r.outcome != StepUp || r.required == nil:
		return Decision{rule: r.name, reason: reasonDenied}
	case s == nil:
		return Decision{outcome: SignIn, rule: r.name, reason: reasonAnonymous, required: r.required}
	case r.required.Met(s.Factors, now):
		return Decision{outcome: Allow, rule: r.name, reason: reasonMet, required: r.required, factors: s.Factors, now: now}
	}
	return Decision{outcome: StepUp, rule: r.name, reason: reasonMissing, required: r.required, factors: s.Factors, now: now}
}
