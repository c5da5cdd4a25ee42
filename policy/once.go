package policy

import "slices"

// A proof that was made for one rule (Factor.ForRule) counts for that rule's “once” and for
// nothing else, and is spent by the request that it lets pass. Whoever forwards the request
// spends it before: see Decision.Spends.

// hasOnce tells whether a proof must be made for the rule, anywhere in the requirement.
func (r *Requirement) hasOnce() bool {
	return r != nil && (r.once || slices.ContainsFunc(r.children, (*Requirement).hasOnce))
}

// bind returns the requirement as one rule asks for it: a copy in which each “once” counts
// proofs for that rule only. Without “once” it is the requirement itself.
func (r *Requirement) bind(rule string) *Requirement {
	if !r.hasOnce() {
		return r
	}
	c := *r
	if c.once {
		c.rule = rule
	}
	c.children = make([]*Requirement, len(r.children))
	for i, child := range r.children {
		c.children[i] = child.bind(rule)
	}
	return &c
}

// onceRules adds the rules that a proof must be made for.
func (r *Requirement) onceRules(out []string) []string {
	if r.once && r.rule != "" && !slices.Contains(out, r.rule) {
		out = append(out, r.rule)
	}
	for _, c := range r.children {
		out = c.onceRules(out)
	}
	return out
}

// OnceFor lists the rules that a proof of f serves alone: those of each “once” in the
// requirement that takes a factor like it. Whoever makes the proof for this requirement records
// it for them, beside counting it as the ordinary proof that it is.
func (r *Requirement) OnceFor(f Factor) []string {
	if r == nil {
		return nil
	}
	return r.onceFor(&f, "", nil)
}

func (r *Requirement) onceFor(f *Factor, rule string, out []string) []string {
	if r.once {
		rule = r.rule
	}
	takes := r.kind == kindCount || r.kind == kindSignedIn || r.kind == kindFactor && r.factor.accepts(f)
	if takes && rule != "" && !slices.Contains(out, rule) {
		out = append(out, rule)
	}
	for _, c := range r.children {
		out = c.onceFor(f, rule, out)
	}
	return out
}

// Spends lists the proofs that the request uses up; nil when it is not allowed or would be
// allowed without them. The gate removes all of them from the session, or finds that another
// request was faster and decides anew, before it forwards anything.
func (d *Decision) Spends() []Factor {
	if d.outcome != Allow || d.subject == nil || !d.asked.once() {
		return nil
	}
	r := d.Requirement()
	rules := r.onceRules(nil)
	var spent, kept []Factor
	for _, f := range d.subject.Factors {
		if f.ForRule != "" && slices.Contains(rules, f.ForRule) {
			spent = append(spent, f)
		} else {
			kept = append(kept, f)
		}
	}
	e := evidence{factors: kept, remembered: d.subject.RememberedAt, now: d.now}
	if r.satisfied(&e, scope{}) {
		return nil
	}
	return spent
}
