package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Finding is something in a valid policy that is probably not what its author meant.
type Finding struct {
	// Code is a stable word for the kind of finding.
	Code string `json:"code"`
	Line int    `json:"line"`
	// Rule is the rule, floor or requirement that the finding is about.
	Rule    string `json:"rule"`
	Message string `json:"message"`
	// Advice says what to write instead.
	Advice string `json:"advice"`
}

// Lint looks for rules that other rules open, combinations that prove one thing twice, and
// requirements that nobody uses or can meet. enabled are the names of the factors that the site
// offers (“oauth:corp” for a provider); nil when that is not known.
func (p *Policy) Lint(enabled []string) []Finding {
	var out []Finding
	add := func(code string, line int, rule, advice, format string, args ...any) {
		out = append(out, Finding{Code: code, Line: line, Rule: rule, Advice: advice, Message: fmt.Sprintf(format, args...)})
	}
	for _, name := range p.unused {
		add("unused_requirement", p.lines[name], name, "Remove it, or use it in a rule.", "nothing uses the requirement %q", name)
	}
	for name, r := range p.requirements {
		if combination := r.insecure(); combination != "" {
			add("insecure_combination", p.lines[name], name, combinationAdvice, "requirement %q: %s", name, combination)
		}
	}
	entries := slices.Concat(p.rules, p.floors, []*rule{&p.fallback})
	for _, r := range entries {
		if combination := r.required.insecure(); combination != "" && !p.isNamed(r.required) {
			add("insecure_combination", r.line, r.name, combinationAdvice, "rule %q: %s", r.name, combination)
		}
		if enabled != nil && r.required != nil && !r.required.metWith(enabled) {
			add("unmeetable", r.line, r.name, "Enable one of the factors that it names, or change the rule.",
				"rule %q: no combination of the factors that are enabled meets it", r.name)
		}
		if r.reportOnly {
			add("report_only", r.line, r.name, "Remove “report_only” once the log shows what you expect.", "%q is only reported, it protects nothing", r.name)
		}
	}
	if p.fallback.outcome == Allow {
		add("open_default", p.fallback.line, "default", "Write “default: {require: signed_in}” and allow what is public by rules.",
			"whatever no rule names is open to everybody")
	}
	p.overlaps(add)
	slices.SortStableFunc(out, func(a, b Finding) int { return cmp.Or(cmp.Compare(a.Line, b.Line), strings.Compare(a.Code, b.Code)) })
	return out
}

const combinationAdvice = "Combine factors of different kinds, such as password and totp, or a magic link and a passkey."

// isNamed tells whether a requirement is one that the file names, which is reported there.
func (p *Policy) isNamed(r *Requirement) bool {
	for _, named := range p.requirements {
		if named == r {
			return true
		}
	}
	return false
}

// insecure describes the first list of factors in the requirement that asks for several proofs
// of one thing; empty when there is none.
func (r *Requirement) insecure() string {
	if r == nil || r.label != "" {
		return ""
	}
	if r.kind == kindAll && len(r.children) > 1 {
		for _, set := range r.alternatives(&evidence{}, scope{}) {
			if len(set) < 2 {
				continue
			}
			var named []string
			var categories categorySet
			for _, n := range set {
				named = append(named, n.Factor)
				base, _, _ := strings.Cut(n.Factor, ":")
				categories |= setOf(CategoryOf(base))
			}
			if categories.combined() < 2 {
				return strings.Join(named, " and ") + " prove the same thing: together they are one factor"
			}
		}
	}
	for _, c := range r.children {
		if found := c.insecure(); found != "" {
			return found
		}
	}
	return ""
}

// metWith tells whether some alternative of the requirement names enabled factors only.
func (r *Requirement) metWith(enabled []string) bool {
	return slices.ContainsFunc(r.Missing(nil, time.Time{}), func(set []Need) bool {
		return !slices.ContainsFunc(set, func(n Need) bool { return !isEnabled(n.Factor, enabled) })
	})
}

func isEnabled(factor string, enabled []string) bool {
	one := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(enabled, n) })
	}
	switch factor {
	case "webauthn", "passkey":
		return one("webauthn", "passkey")
	case "recovery_code":
		return one("totp")
	case "oauth", "crypto_wallet":
		return slices.ContainsFunc(enabled, func(e string) bool { return e == factor || strings.HasPrefix(e, factor+":") })
	}
	return one(factor)
}

// overlaps reports rules that take some requests of a later, stricter rule. A rule whose
// requests are all within those of the later one is an exception to it, and meant so.
func (p *Policy) overlaps(add func(code string, line int, rule, advice, format string, args ...any)) {
	const most = 100
	found := 0
	for j, later := range p.rules {
		if later.reportOnly {
			continue
		}
		for _, earlier := range p.rules[:j] {
			if found == most {
				return
			}
			if earlier.reportOnly || !earlier.match.meets(&later.match) || later.match.covers(&earlier.match) || !earlier.opens(later) {
				continue
			}
			found++
			add("overlap", later.line, later.name, "Move the stricter rule up, or narrow the other one.",
				"rule %q on line %d asks for less and takes some of the requests of %q first", earlier.name, earlier.line, later.name)
		}
	}
}

// opens tells whether a rule lets something pass that a stricter one would not.
func (r *rule) opens(stricter *rule) bool {
	switch {
	case r.outcome == Deny || stricter.outcome == Allow:
		return false
	case r.outcome == Allow || stricter.outcome == Deny:
		return true
	}
	return asksLess(r.required, stricter.required) && !asksLess(stricter.required, r.required)
}

// asksLess tells whether something that is enough for a is not enough for b.
func asksLess(a, b *Requirement) bool {
	now := time.Unix(0, 0).UTC()
	return slices.ContainsFunc(a.Missing(nil, now), func(set []Need) bool {
		old := proofsOf(set, func(n *Need) time.Time {
			if n.MaxAge == 0 {
				return now.Add(-365 * 24 * time.Hour)
			}
			return now.Add(-n.MaxAge)
		})
		return !b.Met(old, now)
	})
}

// meets tells whether some request could fit both. Conditions that are not looked into do not
// keep them apart.
func (m *match) meets(o *match) bool {
	either := func(a, b []string) bool {
		return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
	}
	return either(m.methods, o.methods) && either(m.users, o.users) && m.meetsHosts(o) && m.meetsPaths(o)
}

func (m *match) meetsHosts(o *match) bool {
	return len(m.hosts) == 0 || len(o.hosts) == 0 || slices.ContainsFunc(m.hosts, func(a hostPattern) bool {
		return slices.ContainsFunc(o.hosts, func(b hostPattern) bool { return coversHost(a, b) || coversHost(b, a) })
	})
}

func (m *match) meetsPaths(o *match) bool {
	if len(m.paths) == 0 || len(o.paths) == 0 {
		return true
	}
	return slices.ContainsFunc(m.paths, func(a pathPattern) bool {
		return slices.ContainsFunc(o.paths, func(b pathPattern) bool { return a.covers(b, false, false) || b.covers(a, false, false) })
	})
}
