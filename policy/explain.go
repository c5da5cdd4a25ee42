package policy

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Explanation is a decision with the part that every rule and floor had in it.
type Explanation struct {
	Outcome string `json:"outcome"`
	Rule    string `json:"rule"`
	// Floor is the first floor that is missing something; empty when none is.
	Floor   string       `json:"floor"`
	Reason  string       `json:"reason"`
	Rules   []RuleReport `json:"rules"`
	Floors  []RuleReport `json:"floors,omitempty"`
	Missing [][]Need     `json:"missing"`
	// Required is what was asked for, in the form of the policy file; empty when nothing was.
	Required string `json:"required,omitempty"`
}

// RuleReport says whether a rule or floor matched, and why or why not.
type RuleReport struct {
	Name string `json:"name"`
	Hit  bool   `json:"hit"`
	Why  string `json:"why"`
	// ReportOnly is set for what is not applied; Would is then the outcome that a hit would
	// have had.
	ReportOnly bool   `json:"report_only,omitempty"`
	Would      string `json:"would,omitempty"`
}

// Explain decides like Decide and tells why, rule by rule and floor by floor.
func (p *Policy) Explain(r *Request, s *Subject, now time.Time) Explanation {
	e := explanationOf(p.Decide(r, s, now))
	if p == nil {
		return e
	}
	q := question{r: *r, s: s, now: now, folded: fold(r.Path)}
	would := make(map[string]string)
	for _, one := range p.Report(r, s, now) {
		would[one.Rule] = one.Outcome.String()
	}
	p.explainRules(&e, &q, would)
	ruled, _ := p.first(&q)
	p.explainFloors(&e, &q, ruled.outcome, would)
	return e
}

// ExplainUpheld decides like Uphold and tells why, floor by floor.
func (p *Policy) ExplainUpheld(allowed Decision, r *Request, s *Subject, now time.Time) Explanation {
	d := p.Uphold(allowed, r, s, now)
	e := explanationOf(d)
	if p != nil {
		p.explainFloors(&e, &question{r: *r, s: s, now: now, folded: fold(r.Path)}, allowed.outcome, nil)
	}
	return e
}

func explanationOf(d Decision) Explanation {
	e := Explanation{Outcome: d.outcome.String(), Rule: d.rule, Floor: d.floor, Reason: d.reason, Missing: d.Missing(), Rules: []RuleReport{}}
	if e.Missing == nil {
		e.Missing = [][]Need{}
	}
	if r := d.Requirement(); r != nil {
		e.Required = r.String()
	}
	return e
}

// explainRules says of each rule whether it decided.
func (p *Policy) explainRules(e *Explanation, q *question, would map[string]string) {
	decided := false
	for _, rule := range p.rules {
		report := rule.explain(q)
		switch {
		case report.Hit && decided:
			report.Hit, report.Why = false, "not reached: an earlier rule decided"
		case report.Hit && rule.reportOnly:
			report.Would = would[rule.name]
		case report.Hit:
			decided = true
		}
		e.Rules = append(e.Rules, report)
	}
	fallback := RuleReport{Name: p.fallback.name, Hit: !decided, Why: "no rule matched"}
	if decided {
		fallback.Why = "not reached: a rule decided"
	}
	e.Rules = append(e.Rules, fallback)
}

// explainFloors says of each floor what it adds to the rule that decided.
func (p *Policy) explainFloors(e *Explanation, q *question, ruled Outcome, would map[string]string) {
	for _, floor := range p.floors {
		report := floor.explain(q)
		switch {
		case ruled == Deny, ruled == Refuse:
			report.Hit, report.Why = false, "not looked at: the request does not pass anyway"
		case report.Hit && floor.reportOnly:
			report.Would = would[floor.name]
		case report.Hit && q.s != nil && floor.required.MetBy(q.s, q.now):
			report.Why += ", and what it asks for is there"
		case report.Hit:
			report.Why += ", and it is missing something"
		}
		e.Floors = append(e.Floors, report)
	}
}

// explain tells what the conditions of a rule or floor say.
func (r *rule) explain(q *question) RuleReport {
	h := r.match.judge(q)
	out := RuleReport{Name: r.name, Hit: h != no, Why: r.match.why(q, h), ReportOnly: r.reportOnly}
	if out.Hit && out.ReportOnly {
		out.Why += "; it is only reported"
	}
	return out
}

// why says which condition did not hold, or that all did.
func (m *match) why(q *question, h held) string {
	switch h {
	case no:
		return m.whyNot(q)
	case ambiguous:
		return "the query repeats a key that the rule reads, so the request is refused"
	case nameless:
		return "asks who the visitor is, and nobody is signed in"
	}
	if m.when != nil {
		if _, err := m.when.eval(q); err != nil {
			return fmt.Sprintf("all conditions hold: when cannot be evaluated (%v), which counts as a match for deny and require", err)
		}
	}
	return "all conditions hold"
}

func (m *match) whyNot(q *question) string {
	for _, c := range []struct {
		set   bool
		part  match
		text  string
		value string
	}{
		{len(m.hosts) > 0, match{hosts: m.hosts}, "host", q.r.Host},
		{len(m.paths)+len(m.regexps) > 0, match{paths: m.paths, regexps: m.regexps, exact: m.exact}, "path", q.r.Path},
		{len(m.methods) > 0, match{methods: m.methods}, "method", q.r.Method},
		{len(m.nets) > 0, match{nets: m.nets, exact: m.exact}, "client_ip", q.r.ClientIP.String()},
		{len(m.headers) > 0, match{headers: m.headers}, "header", "what was sent"},
		{len(m.query) > 0, match{query: m.query}, "query", q.r.RawQuery},
	} {
		if c.set && c.part.request(&q.r, q.folded) == no {
			return fmt.Sprintf("%s does not match %q", c.text, c.value)
		}
	}
	if q.s != nil && !m.subject(q.s) {
		return "the user or group is another"
	}
	return m.when.whyNot(q)
}

// Text writes the explanation for people. With color it marks hits for terminals.
func (e *Explanation) Text(w io.Writer, color bool) error {
	var b strings.Builder
	width := 0
	for _, r := range append(e.Rules[:len(e.Rules):len(e.Rules)], e.Floors...) {
		width = max(width, len([]rune(r.Name)))
	}
	for _, r := range e.Rules {
		r.text(&b, width, color)
	}
	if len(e.Floors) > 0 {
		b.WriteString("\nminimum:\n")
	}
	for _, r := range e.Floors {
		r.text(&b, width, color)
	}
	floor := ""
	if e.Floor != "" {
		floor = fmt.Sprintf(", floor %q", e.Floor)
	}
	if e.Rule == "" {
		fmt.Fprintf(&b, "outcome: %s before any rule is asked (%s)\n", e.Outcome, e.Reason)
	} else {
		fmt.Fprintf(&b, "\noutcome: %s (rule %q%s, %s)\n", e.Outcome, e.Rule, floor, e.Reason)
	}
	if e.Required != "" {
		fmt.Fprintf(&b, "requires: %s\n", e.Required)
	}
	b.WriteString(e.MissingText())
	_, err := io.WriteString(w, b.String())
	return err
}

// MissingText lists the alternatives of what is missing, one a line; empty when nothing is.
func (e *Explanation) MissingText() string {
	var b strings.Builder
	for i, set := range e.Missing {
		parts := make([]string, len(set))
		for j, n := range set {
			parts[j] = n.text()
		}
		lead := "missing: "
		if i > 0 {
			lead = "     or: "
		}
		fmt.Fprintf(&b, "%s%s\n", lead, strings.Join(parts, " and "))
	}
	return b.String()
}

// text is one line about a rule or floor.
func (r *RuleReport) text(b *strings.Builder, width int, color bool) {
	mark, on, off := "miss", "", ""
	switch {
	case r.Hit && r.ReportOnly:
		mark = "seen"
	case r.Hit:
		mark = "HIT "
		if color {
			on, off = "\x1b[1;32m", "\x1b[0m"
		}
	}
	fmt.Fprintf(b, "%s%s  %-*s  %s", on, mark, width, r.Name, r.Why)
	if r.Would != "" {
		fmt.Fprintf(b, " (it would %s)", strings.ReplaceAll(r.Would, "_", " "))
	}
	fmt.Fprintf(b, "%s\n", off)
}

// text names what is needed, as people read it.
func (n *Need) text() string {
	out := n.Factor
	if n.MaxAge > 0 {
		out += " (at most " + n.MaxAge.String() + " old)"
	}
	if n.Once {
		out += " (for this request alone)"
	}
	return out
}
