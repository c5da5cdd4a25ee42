package gate

import (
	"slices"

	"github.com/stepgate/stepgate/policy"
)

// decide judges the request as it was received and, after a rewrite or with an encoded slash,
// in its other readings too. The first reading that does not pass decides.
func (g *Gate) decide(q *request) policy.Decision {
	p := g.Policy()
	q.asked = p
	r := q.question()
	subject := g.subject(q)
	if len(q.spent) > 0 {
		subject = withProofs(subject, q.spent)
	}
	q.subject = subject
	if p.HasReports() {
		asked := r // a copy: reporting keeps no request on the stack
		q.reports = p.Report(&asked, subject, q.now)
	}
	d := q.judge(p, &r, subject)
	q.spends = d.Spends()
	for _, reading := range q.further() {
		if d.Outcome() != policy.Allow {
			break
		}
		if reading.Path != r.Path || reading.RawQuery != r.RawQuery {
			r.Path, r.RawQuery = reading.Path, reading.RawQuery
			d = q.judge(p, &r, subject)
			for _, proof := range d.Spends() {
				if !slices.Contains(q.spends, proof) {
					q.spends = append(q.spends, proof)
				}
			}
		}
	}
	return d
}

// subject is the visitor as the policy reads one, on this device; nil for nobody.
func (g *Gate) subject(q *request) *policy.Subject {
	if q.session == nil {
		return nil
	}
	s := q.session.Subject()
	if q.cookies.Device == "" {
		return s
	}
	at := g.Flows.RememberedAt(q.session, q.cookies.Device)
	if at.IsZero() {
		return s
	}
	here := *s
	here.RememberedAt = at
	return &here
}

// question is the request, in its first reading, as the policy is asked about it.
func (q *request) question() policy.Request {
	return policy.Request{
		Method: q.method(), Host: q.host.name, Path: q.original.path, RawQuery: q.original.query,
		Header: q.r.Header, ClientIP: q.arrival.ClientIP,
	}
}

// everything is what all readings of the request ask for together, so that a visitor is asked
// once for what several rules need; nil when none asks for anything.
func (q *request) everything() *policy.Requirement {
	var all *policy.Requirement
	var texts []string
	r := q.question()
	for _, reading := range q.readings() {
		r.Path, r.RawQuery = reading.Path, reading.RawQuery
		d := q.judge(q.asked, &r, q.subject)
		one := d.Requirement()
		if one == nil || all != nil && one == policy.SignedIn() || slices.Contains(texts, one.String()) {
			continue
		}
		if all == policy.SignedIn() { // whoever meets another one is signed in
			all = nil
		}
		all, texts = policy.Both(all, one), append(texts, one.String())
	}
	return all
}

// judge asks the policy about one reading of the request.
func (q *request) judge(p *policy.Policy, r *policy.Request, s *policy.Subject) policy.Decision {
	if q.arrival.Allowed.Outcome() == policy.Allow {
		return p.Uphold(q.arrival.Allowed, r, s, q.now)
	}
	return p.Decide(r, s, q.now)
}
