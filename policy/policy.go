package policy

import "time"

// Policy is a loaded policy file. It is immutable and safe for parallel use.
type Policy struct {
	rules        []*rule
	floors       []*rule
	fallback     rule
	requirements map[string]*Requirement
	// index and floorIndex find what is applied, reports what is only reported.
	index, floorIndex, reports index
	hasReports                 bool
	reads                      reads
	// lines are where the named requirements stand, unused those that nothing refers to.
	lines  map[string]int
	unused []string
}

// rule is one entry of the file: a rule, a floor, or the default.
type rule struct {
	name     string
	match    match
	outcome  Outcome      // Allow, Deny, or StepUp for require
	required *Requirement // set for require
	// reportOnly rules are judged for Report and passed over by Decide.
	reportOnly bool
	line       int
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
// rule whose conditions all hold decides; the default does when there is none. Floors are
// checked on top of what was decided. A nil Policy denies.
func (p *Policy) Decide(r *Request, s *Subject, now time.Time) Decision {
	if p == nil {
		return Decision{}
	}
	q := question{r: *r, s: s, now: now, folded: fold(r.Path)}
	d, _ := p.first(&q)
	p.raise(&d, &q)
	return d
}

// first finds the rule that decides, and its place; the place of the default is behind them.
func (p *Policy) first(q *question) (Decision, int) {
	var w walk
	p.index.start(&w, q.r.Host, q.folded)
	for i := w.next(); i >= 0; i = w.next() {
		if h := p.rules[i].match.judge(q); h != no {
			return p.rules[i].outcomeOf(h, q), i
		}
	}
	return p.fallback.decide(q.s, q.now), len(p.rules)
}

// outcomeOf is the decision of a rule about which the conditions say something.
func (r *rule) outcomeOf(h held, q *question) Decision {
	switch h {
	case ambiguous:
		return Decision{outcome: Refuse, rule: r.name, reason: reasonRepeatedKey}
	case nameless:
		d := Decision{outcome: SignIn, rule: r.name, reason: reasonAnonymous, now: q.now}
		d.asked.add(signedIn)
		return d
	}
	return r.decide(q.s, q.now)
}

// decide turns a rule whose conditions hold into a decision.
func (r *rule) decide(s *Subject, now time.Time) Decision {
	d := Decision{rule: r.name, subject: s, now: now}
	switch {
	case r.outcome == Allow:
		d.outcome, d.reason = Allow, reasonAllowed
	case r.outcome != StepUp || r.required == nil:
		d.reason = reasonDenied
	default:
		d.outcome, d.reason = Allow, reasonMet
		d.ask(r.required)
	}
	return d
}

// ask lets an allowed request pass only if it meets one requirement more.
func (d *Decision) ask(r *Requirement) (met bool) {
	d.asked.add(r)
	switch {
	case d.subject == nil:
		d.outcome, d.reason = SignIn, reasonAnonymous
		return false
	case !r.MetBy(d.subject, d.now):
		d.outcome, d.reason = StepUp, reasonMissing
		return false
	}
	return true
}
