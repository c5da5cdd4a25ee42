package policy

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Change is one request whose outcome differs between two policies.
type Change struct {
	Method string `json:"method"`
	URL    string `json:"url"`
	// With says what else the request had: an address, a header. It may be empty.
	With string `json:"with,omitempty"`
	// Visitor says who asked, and what they had proven.
	Visitor string `json:"visitor"`
	Before  Side   `json:"before"`
	After   Side   `json:"after"`
}

// Side is what one policy made of a request.
type Side struct {
	Outcome string `json:"outcome"`
	Rule    string `json:"rule"`
	Floor   string `json:"floor,omitempty"`
}

// Comparison is what Diff found.
type Comparison struct {
	// Requests and Visitors are how many were tried, each with each.
	Requests int      `json:"requests"`
	Visitors int      `json:"visitors"`
	Changes  []Change `json:"changes"`
}

// The bounds of a comparison.
const (
	maxSamples  = 20_000
	maxPerRule  = 256
	maxVisitors = 60
	maxChanges  = 1000
)

// Diff compares two policies on representative requests and visitors, made from the conditions
// and requirements of both. Expressions are tried as the samples happen to meet them. At most
// 1000 changes are listed.
func Diff(before, after *Policy, now time.Time) Comparison {
	out := Comparison{Changes: []Change{}}
	requests := samples(before, after)
	visitors := sampleVisitors(now, before, after)
	out.Requests, out.Visitors = len(requests), len(visitors)
	for i := range requests {
		r := &requests[i]
		for _, v := range visitors {
			a, b := before.Decide(r, v.subject, now), after.Decide(r, v.subject, now)
			if a.outcome == b.outcome || len(out.Changes) == maxChanges {
				continue
			}
			out.Changes = append(out.Changes, Change{
				Method: r.Method, URL: r.url(), With: r.with(), Visitor: v.name, Before: sideOf(&a), After: sideOf(&b),
			})
		}
	}
	return out
}

func sideOf(d *Decision) Side {
	return Side{Outcome: d.outcome.String(), Rule: d.rule, Floor: d.floor}
}

func (r *Request) url() string {
	u := url.URL{Scheme: "https", Host: r.Host, Path: r.Path, RawQuery: r.RawQuery}
	return u.String()
}

func (r *Request) with() string {
	var parts []string
	if r.ClientIP.IsValid() {
		parts = append(parts, "from "+r.ClientIP.String())
	}
	for name, values := range r.Header {
		parts = append(parts, name+": "+strings.Join(values, ", "))
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}

// samples are requests around the conditions of both policies.
func samples(policies ...*Policy) []Request {
	var out []Request
	seen := make(map[string]bool)
	add := func(r Request) {
		key := strings.Join([]string{r.Method, r.url(), r.with()}, "\x00")
		if !seen[key] && len(out) < maxSamples {
			seen[key] = true
			out = append(out, r)
		}
	}
	add(Request{Method: "GET", Host: "other.example", Path: "/"})
	for _, p := range policies {
		for _, r := range slices.Concat(p.rules, p.floors) {
			r.match.samples(add)
		}
	}
	return out
}

// samples adds requests that the match is for, and such that miss it in one point.
func (m *match) samples(add func(Request)) {
	n := 0
	for _, host := range m.sampleHosts() {
		for _, path := range m.samplePaths() {
			for _, method := range sampleMethods(m.methods) {
				for _, query := range m.sampleQueries() {
					for _, header := range m.sampleHeaders() {
						for _, ip := range m.sampleAddresses() {
							if n++; n > maxPerRule {
								return
							}
							add(Request{Method: method, Host: host, Path: path, RawQuery: query, Header: header, ClientIP: ip})
						}
					}
				}
			}
		}
	}
}

func (m *match) sampleHosts() []string {
	if len(m.hosts) == 0 {
		return []string{"other.example"}
	}
	var out []string
	for _, h := range m.hosts {
		if h.wildcard {
			out = append(out, "any."+h.host)
		}
		out = append(out, h.host)
	}
	return append(out, "other.example")
}

func (m *match) samplePaths() []string {
	var out []string
	for _, p := range m.paths {
		base := p.path
		if base != "" {
			out = append(out, base)
		}
		out = append(out, strings.TrimSuffix(base, "/")+"/x", strings.TrimSuffix(base, "/")+"/")
		if upper := strings.ToUpper(base); upper != base {
			out = append(out, upper)
		}
	}
	if len(out) == 0 {
		out = append(out, "/", "/x")
	}
	return out
}

func sampleMethods(methods []string) []string {
	out := slices.Clone(methods)
	for _, method := range []string{"GET", "POST"} {
		if !slices.Contains(out, method) {
			out = append(out, method)
		}
	}
	return out
}

func (m *match) sampleQueries() []string {
	if len(m.query) == 0 {
		return []string{""}
	}
	q := make(url.Values)
	for _, c := range m.query {
		value := "1"
		if len(c.values) > 0 {
			value = c.values[0]
		}
		q.Set(c.key, value)
	}
	return []string{q.Encode(), ""}
}

func (m *match) sampleHeaders() []map[string][]string {
	if len(m.headers) == 0 {
		return []map[string][]string{nil}
	}
	h := make(map[string][]string)
	for _, c := range m.headers {
		h[c.name] = c.values[:1]
	}
	return []map[string][]string{h, nil}
}

func (m *match) sampleAddresses() []netip.Addr {
	if len(m.nets) == 0 {
		return []netip.Addr{{}}
	}
	out := []netip.Addr{netip.MustParseAddr("203.0.113.1")}
	for _, n := range m.nets {
		out = append(out, n.Addr())
	}
	return out
}

// visitor is somebody who tries every request.
type visitor struct {
	name    string
	subject *Subject
}

// sampleVisitors are nobody, and people with just what some requirement asks for: fresh, and a
// moment too old. Of the users and groups that rules name there is one each.
func sampleVisitors(now time.Time, policies ...*Policy) []visitor {
	out := []visitor{{name: "nobody"}}
	seen := make(map[string]bool)
	add := func(name string, s Subject) {
		if !seen[name] && len(out) < maxVisitors {
			seen[name] = true
			s.StartedAt = now
			out = append(out, visitor{name: name, subject: &s})
		}
	}
	var everything []Factor
	for _, name := range names {
		everything = append(everything, proofs([]Need{{Factor: name}}, now)...)
	}
	add("password", Subject{ID: "user", Email: "user@example.com", Factors: proofs([]Need{{Factor: "password"}}, now)})
	add("every factor", Subject{ID: "user", Email: "user@example.com", Factors: everything})
	for _, p := range policies {
		for _, r := range slices.Concat(p.rules, p.floors, []*rule{&p.fallback}) {
			for _, g := range r.match.groups {
				add("group "+g+", every factor", Subject{ID: "user", Email: "user@example.com", Groups: []string{g}, Factors: everything})
			}
			for _, u := range r.match.users {
				add("user "+u+", every factor", Subject{ID: u, Email: u, Factors: everything})
			}
		}
	}
	for _, p := range policies {
		for _, r := range slices.Concat(p.rules, p.floors, []*rule{&p.fallback}) {
			for _, set := range r.required.Missing(nil, now) {
				fresh, late := proofs(set, now), proofs(set, now)
				var names []string
				aged := false
				for i, n := range set {
					names = append(names, n.Factor)
					if n.MaxAge > 0 {
						late[i].At, aged = now.Add(-n.MaxAge-time.Second), true
					}
				}
				name := strings.Join(names, " and ")
				add(name, Subject{ID: "user", Email: "user@example.com", Factors: fresh})
				if aged {
					add(name+", "+set[0].MaxAge.String()+" and a second ago", Subject{ID: "user", Email: "user@example.com", Factors: late})
				}
			}
		}
	}
	return out
}
