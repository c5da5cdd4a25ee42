package policy

import "time"

// Reported is a rule or floor with “report_only” whose conditions hold.
type Reported struct {
	// Rule is its name.
	Rule string
	// Floor is set for a floor.
	Floor bool
	// Outcome is what would have happened to the request.
	Outcome Outcome
	// Missing lists the alternative sets of factors that would have let it pass.
	Missing [][]Need
}

// HasReports tells whether anything in the policy is only reported.
func (p *Policy) HasReports() bool { return p != nil && p.hasReports }

// Report tells what the rules and floors with “report_only” would have done to a request, each
// as if it alone were in force: a rule where no earlier rule that is in force decided, a floor
// on top of what was decided. Those whose conditions do not hold are left out.
func (p *Policy) Report(r *Request, s *Subject, now time.Time) []Reported {
	if !p.HasReports() {
		return nil
	}
	q := question{r: *r, s: s, now: now, folded: fold(r.Path)}
	decided, place := p.first(&q)
	p.raise(&decided, &q)
	var out []Reported
	var w walk
	p.reports.start(&w, r.Host, q.folded)
	for i := w.next(); i >= 0 && i < place; i = w.next() {
		if h := p.rules[i].match.judge(&q); h != no {
			d := p.rules[i].outcomeOf(h, &q)
			p.raise(&d, &q)
			out = append(out, Reported{Rule: d.rule, Outcome: d.outcome, Missing: d.Missing()})
		}
	}
	if decided.outcome == Deny || decided.outcome == Refuse {
		return out
	}
	for _, floor := range p.floors {
		if !floor.reportOnly {
			continue
		}
		if h := floor.match.judge(&q); h != no {
			d := decided
			d.lift(floor, h)
			out = append(out, Reported{Rule: floor.name, Floor: true, Outcome: d.outcome, Missing: d.Missing()})
		}
	}
	return out
}
