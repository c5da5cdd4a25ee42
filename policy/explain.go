package policy

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Explanation is a decision with the part that every rule had in it.
type Explanation struct {
	Outcome string `json:"outcome"`
	Rule    string `json:"rule"`
	// Floor is the floor that asks for more than the rule did; empty when none does.
	Floor   string       `json:"floor"`
	Reason  string       `json:"reason"`
	Rules   []RuleReport `json:"rules"`
	Missing [][]Need     `json:"missing"`
	// Required is what was asked for, in the form of the policy file; empty when nothing was.
	Required string `json:"required,omitempty"`
}

// RuleReport says whether a rule matched, and why or why not.
type RuleReport struct {
	Name string `json:"name"`
	Hit  bool   `json:"hit"`
	Why  string `json:"why"`
}

// Explain decides like Decide and tells why, rule by rule.
func (p *Policy) Explain(r *Request, s *Subject, now time.Time) Explanation {
	d := p.Decide(r, s, now)
	e := Explanation{Outcome: d.outcome.String(), Rule: d.rule, Reason: d.reason, Missing: d.Missing(), Rules: []RuleReport{}}
	if e.Missing == nil {
		e.Missing = [][]Need{}
	}
	if d.required != nil {
		e.Required = d.required.String()
	}
	decided := false
	for _, rule := range p.rules {
		report := RuleReport{Name: rule.name}
		why, hit := rule.match.why(r, s)
		switch {
		case !hit:
			report.Why = why
		case decided:
			report.Why = "not reached: an earlier rule decided"
		default:
			report.Hit, report.Why = true, why
			decided = true
		}
		e.Rules = append(e.Rules, report)
	}
	fallback := RuleReport{Name: p.fallback.name, Hit: !decided, Why: "no rule matched"}
	if decided {
		fallback.Why = "not reached: a rule decided"
	}
	e.Rules = append(e.Rules, fallback)
	return e
}

// why says which condition did not hold, or that all did.
func (m *match) why(r *Request, s *Subject) (text string, hit bool) {
	folded := fold(r.Path)
	for _, c := range []struct {
		set   bool
		part  match
		text  string
		value string
	}{
		{len(m.hosts) > 0, match{hosts: m.hosts}, "host", r.Host},
		{len(m.paths)+len(m.regexps) > 0, match{paths: m.paths, regexps: m.regexps, exact: m.exact}, "path", r.Path},
		{len(m.methods) > 0, match{methods: m.methods}, "method", r.Method},
		{len(m.nets) > 0, match{nets: m.nets, exact: m.exact}, "client_ip", r.ClientIP.String()},
		{len(m.headers) > 0, match{headers: m.headers}, "header", "what was sent"},
		{len(m.query) > 0, match{query: m.query}, "query", r.RawQuery},
	} {
		if !c.set {
			continue
		}
		switch c.part.request(r, folded) {
		case no:
			return fmt.Sprintf("%s does not match %q", c.text, c.value), false
		case ambiguous:
			return "the query repeats a key that the rule reads, so the request is refused", true
		}
	}
	switch {
	case !m.identity():
		return "all conditions hold", true
	case s == nil:
		return "asks who the visitor is, and nobody is signed in", true
	case !m.subject(s):
		return "the user or group is another", false
	}
	return "all conditions hold", true
}

// Text writes the explanation for people. With color it marks hits for terminals.
func (e *Explanation) Text(w io.Writer, color bool) error {
	var b strings.Builder
	width := 0
	for _, r := range e.Rules {
		width = max(width, len([]rune(r.Name)))
	}
	for _, r := range e.Rules {
		mark, on, off := "miss", "", ""
		if r.Hit {
			mark = "HIT "
			if color {
				on, off = "\x1b[1;32m", "\x1b[0m"
			}
		}
		fmt.Fprintf(&b, "%s%s  %-*s  %s%s\n", on, mark, width, r.Name, r.Why, off)
	}
	fmt.Fprintf(&b, "\noutcome: %s (rule %q, %s)\n", e.Outcome, e.Rule, e.Reason)
	if e.Required != "" {
		fmt.Fprintf(&b, "requires: %s\n", e.Required)
	}
	for i, set := range e.Missing {
		parts := make([]string, len(set))
		for j, n := range set {
			parts[j] = n.Factor
			if n.MaxAge > 0 {
				parts[j] += " (at most " + n.MaxAge.String() + " old)"
			}
		}
		lead := "missing: "
		if i > 0 {
			lead = "     or: "
		}
		fmt.Fprintf(&b, "%s%s\n", lead, strings.Join(parts, " and "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
