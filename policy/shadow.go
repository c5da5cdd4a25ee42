package policy

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// unreachable reports rules that can never match because an earlier rule takes all of their
// requests. The index narrows the earlier rules down to those that could; rules that are only
// reported are not in it, and take nothing.
func (l *loader) unreachable(p *Policy) {
	for j, later := range p.rules {
		host, path := later.match.example()
		var w walk
		p.index.start(&w, host, path)
		for i := w.next(); i >= 0 && i < j; i = w.next() {
			if p.rules[i].match.covers(&later.match) {
				l.report(Problem{Line: l.rules[j].line, Column: l.rules[j].col, Unreachable: true, Message: fmt.Sprintf(
					"rule %q can never match: rule %q on line %d takes all its requests", later.name, p.rules[i].name, p.rules[i].line)})
				break
			}
		}
	}
}

// example is a host and folded path that the match can hold for.
func (m *match) example() (host, path string) {
	if len(m.hosts) > 0 {
		host = m.hosts[0].host
		if m.hosts[0].wildcard {
			host = "any." + host
		}
	}
	if len(m.regexps) > 0 || len(m.paths) == 0 {
		return host, "/"
	}
	if path = m.paths[0].folded; path == "" {
		path = "/"
	}
	return host, path
}

// covers tells whether the match holds for every request that other holds for. It may miss a
// cover, but never sees one that is not there, letter case of paths apart. An expression covers
// nothing: what it says is not looked into.
func (m *match) covers(other *match) bool {
	return m.when == nil && all(other.hosts, m.hosts, coversHost) &&
		m.coversPaths(other) &&
		subset(other.methods, m.methods) &&
		subset(other.users, m.users) && subset(other.groups, m.groups) &&
		all(other.nets, m.nets, func(a, b netip.Prefix) bool { return a.Bits() <= b.Bits() && a.Contains(b.Addr()) }) &&
		m.coversQuery(other) && m.coversHeaders(other)
}

// all tells whether each value of other is covered by one of mine; no condition covers all.
func all[T any](other, mine []T, covers func(a, b T) bool) bool {
	if len(mine) == 0 {
		return true
	}
	if len(other) == 0 {
		return false
	}
	for _, o := range other {
		if !slices.ContainsFunc(mine, func(a T) bool { return covers(a, o) }) {
			return false
		}
	}
	return true
}

func subset(other, mine []string) bool {
	return all(other, mine, func(a, b string) bool { return a == b })
}

func coversHost(a, b hostPattern) bool {
	switch {
	case !a.wildcard:
		return a == b
	case b.wildcard:
		return a.host == b.host || strings.HasSuffix(b.host, "."+a.host)
	}
	return a.matches(b.host)
}

func (m *match) coversPaths(other *match) bool {
	if len(m.paths) == 0 && len(m.regexps) == 0 {
		return true
	}
	everything := slices.ContainsFunc(m.paths, func(p pathPattern) bool { return p.prefix && p.path == "" })
	if everything {
		return true
	}
	if len(other.paths) == 0 && len(other.regexps) == 0 {
		return false
	}
	for _, re := range other.regexps {
		if !slices.ContainsFunc(m.regexps, func(r *regexp.Regexp) bool { return sameRegexp(r.String(), re.String()) }) {
			return false
		}
	}
	for _, o := range other.paths {
		if !slices.ContainsFunc(m.paths, func(a pathPattern) bool { return a.covers(o, m.exact, other.exact) }) {
			return false
		}
	}
	return true
}

func sameRegexp(a, b string) bool {
	return strings.TrimPrefix(a, "(?i)") == strings.TrimPrefix(b, "(?i)")
}

// covers compares patterns without regard to case. An exact pattern that allows leaves the
// spelling with a trailing slash to later rules.
func (p pathPattern) covers(o pathPattern, exact, otherExact bool) bool {
	if !p.prefix {
		return !o.prefix && p.folded == o.folded && (!exact || otherExact || o.folded == "/")
	}
	rest, ok := strings.CutPrefix(o.folded, p.folded)
	return ok && (rest == "" || rest[0] == '/' || p.folded == "")
}

func (m *match) coversQuery(other *match) bool {
	for _, c := range m.query {
		if !slices.ContainsFunc(other.query, func(o queryCondition) bool {
			return o.key == c.key && subset(o.values, c.values)
		}) {
			return false
		}
	}
	return true
}

func (m *match) coversHeaders(other *match) bool {
	for _, c := range m.headers {
		if !slices.ContainsFunc(other.headers, func(o headerCondition) bool {
			return o.name == c.name && subset(o.values, c.values)
		}) {
			return false
		}
	}
	return true
}
