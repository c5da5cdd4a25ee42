package policy

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// This file makes the requests and visitors on which two policies are compared.

// sample is a request, and the pattern that it was made for.
type sample struct {
	Request
	pattern string
}

// samples are requests around the conditions of both policies.
func samples(policies ...*Policy) []sample {
	var out []sample
	seen := make(map[string]bool)
	add := func(r sample) {
		key := strings.Join([]string{r.Method, r.url(), r.with()}, "\x00")
		if !seen[key] && len(out) < maxSamples {
			seen[key] = true
			out = append(out, r)
		}
	}
	add(sample{Request{Method: "GET", Host: otherHost, Path: "/"}, "/"})
	for _, p := range policies {
		for _, r := range slices.Concat(p.rules, p.floors) {
			r.match.samples(add)
		}
	}
	return out
}

// samples adds requests that the match is for, and such that miss it in one point.
func (m *match) samples(add func(sample)) {
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
							r := Request{Method: method, Host: host.value, Path: path.value, RawQuery: query, Header: header, ClientIP: ip}
							add(sample{r, pattern(host, path, query)})
						}
					}
				}
			}
		}
	}
}

// otherHost is a host that no rule names.
const otherHost = "other.example"

// facet is a value of a request, and what it stands for.
type facet struct{ value, pattern string }

// pattern is what a request stands for.
func pattern(host, path facet, query string) string {
	out := host.pattern + path.pattern
	if of, spelled := strings.CutPrefix(path.pattern, otherSpelling); spelled {
		out = otherSpelling + host.pattern + of
	}
	if query != "" {
		out += "?" + query
	}
	return out
}

// otherSpelling stands before the path whose other spellings are meant.
const otherSpelling = "other spellings of "

func (m *match) sampleHosts() []facet {
	if len(m.hosts) == 0 {
		return []facet{{otherHost, ""}}
	}
	var out []facet
	for _, h := range m.hosts {
		if h.wildcard {
			out = append(out, facet{"any." + h.host, "*." + h.host})
		}
		out = append(out, facet{h.host, h.host})
	}
	return append(out, facet{otherHost, ""})
}

func (m *match) samplePaths() []facet {
	var out []facet
	for _, p := range m.paths {
		base, whole := p.path, p.path
		if p.prefix {
			whole += "/*"
		}
		others := otherSpelling + whole
		if base != "" {
			out = append(out, facet{base, whole})
		}
		below := facet{strings.TrimSuffix(base, "/") + "/x", base + "/x"}
		slash := facet{strings.TrimSuffix(base, "/") + "/", others}
		if p.prefix {
			below.pattern, slash.pattern = whole, whole
		}
		out = append(out, below, slash)
		if upper := strings.ToUpper(base); upper != base {
			out = append(out, facet{upper, others})
		}
	}
	if len(out) == 0 {
		out = append(out, facet{"/", "/"}, facet{"/x", "/x"})
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
				fresh, late := proofs(set, now), tooLate(set, now)
				var names []string
				aged := false
				for _, n := range set {
					names = append(names, n.Factor)
					aged = aged || n.MaxAge > 0
				}
				slices.Sort(names)
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

// tooLate are the proofs of what is needed, each made a second too long ago where that matters.
func tooLate(set []Need, now time.Time) []Factor {
	return proofsOf(set, func(n *Need) time.Time {
		if n.MaxAge == 0 {
			return now
		}
		return now.Add(-n.MaxAge - time.Second)
	})
}
