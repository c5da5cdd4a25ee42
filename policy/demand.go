package policy

import (
	"fmt"
	"slices"
	"time"
)

// Demand is a rule, a floor or the default that asks for something.
type Demand struct {
	// Name is that of the rule or floor; “default” for the default.
	Name       string
	Floor      bool
	ReportOnly bool
	Required   *Requirement

	match *match
}

// Demands lists everything in the policy that asks for something, in the order of the file,
// floors after the default.
func (p *Policy) Demands() []Demand {
	if p == nil {
		return nil
	}
	var out []Demand
	for i, r := range slices.Concat(p.rules, []*rule{&p.fallback}, p.floors) {
		if r.required != nil {
			out = append(out, Demand{Name: r.name, Floor: i > len(p.rules), ReportOnly: r.reportOnly, Required: r.required, match: &r.match})
		}
	}
	return out
}

// Concerns tells whether the demand can be made of a user at all, by the users and groups that
// it names. A condition in “when” may hold for anybody.
func (d *Demand) Concerns(s *Subject) bool { return d.match.subject(s) }

// Key is the same for demands that ask the same of the same people, whatever the request.
func (d *Demand) Key() string {
	return fmt.Sprintf("%s %q %q", d.Required, d.match.users, d.match.groups)
}

// Lacks lists what somebody who can prove all the factors of a list, and proves them now, would
// lack to meet the requirement on a device that is not remembered: alternative sets, the
// smallest first. It is empty when nothing is lacking.
func (r *Requirement) Lacks(enrolled []Factor) [][]Need {
	now := time.Unix(0, 0)
	var fs []Factor
	for _, f := range enrolled {
		f.At = now
		for _, rule := range append(r.OnceFor(f), "") {
			f.ForRule = rule
			fs = append(fs, f)
		}
	}
	return r.Missing(fs, now)
}
