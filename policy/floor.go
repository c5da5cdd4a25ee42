package policy

import "time"

// Uphold holds the floors of this policy against a request that a rule of another policy
// allowed. A decision that does not allow, or that no rule made, stays what it is; a nil Policy
// denies.
func (p *Policy) Uphold(allowed Decision, r *Request, s *Subject, now time.Time) Decision {
	switch {
	case p == nil:
		return Decision{}
	case allowed.outcome != Allow || allowed.reason != reasonAllowed:
		return allowed
	}
	q := question{r: *r, s: s, now: now, folded: fold(r.Path)}
	d := Decision{outcome: Allow, rule: allowed.rule, reason: allowed.reason, subject: s, now: now}
	p.raise(&d, &q)
	return d
}

// raise checks the floors on top of what was decided. A floor can only ask for more: a deny
// and a refusal stay what they are.
func (p *Policy) raise(d *Decision, q *question) {
	if len(p.floors) == 0 || d.outcome == Deny || d.outcome == Refuse {
		return
	}
	var w walk
	p.floorIndex.start(&w, q.r.Host, q.folded)
	for i := w.next(); i >= 0 && d.outcome != Refuse; i = w.next() {
		floor := p.floors[i]
		d.lift(floor, floor.match.judge(q))
	}
}

// lift applies one floor about which the conditions say something.
func (d *Decision) lift(floor *rule, h held) {
	missing := true
	switch h {
	case no:
		return
	case ambiguous:
		d.outcome, d.reason, d.floor = Refuse, reasonRepeatedKey, ""
	case nameless:
		d.ask(signedIn)
	default:
		missing = !d.ask(floor.required)
	}
	if missing && d.floor == "" {
		d.floor = floor.name
	}
}
