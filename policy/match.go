package policy

import (
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// match holds the conditions of a rule. Every condition that is set must hold; within one, any
// of its values is enough. The zero match holds for every request.
type match struct {
	hosts   []hostPattern
	paths   []pathPattern
	regexps []*regexp.Regexp
	methods []string
	query   []queryCondition
	headers []headerCondition
	nets    []netip.Prefix
	users   []string
	groups  []string
	// when is the expression beside the match.
	when *condition
	// exact is set for rules that allow: they compare paths exactly and take nothing for
	// granted that is unknown. All others protect, and match broadly.
	exact bool
}

// hostPattern is a host, or with wildcard all hosts below it at any depth.
type hostPattern struct {
	host     string
	wildcard bool
}

func (p hostPattern) matches(host string) bool {
	if !p.wildcard {
		return host == p.host
	}
	return len(host) > len(p.host)+1 && strings.HasSuffix(host, p.host) && host[len(host)-len(p.host)-1] == '.'
}

// pathPattern is a path, or with prefix the path and everything below it.
type pathPattern struct {
	path   string // as written, without "/*"
	folded string
	prefix bool
}

func (p pathPattern) matches(path, folded string, exact bool) bool {
	pattern := p.folded
	if exact {
		pattern, folded = p.path, path
	}
	rest, ok := strings.CutPrefix(folded, pattern)
	switch {
	case !ok:
		return false
	case p.prefix:
		return rest == "" || rest[0] == '/' || pattern == ""
	case exact:
		return rest == ""
	}
	return rest == "" || rest == "/"
}

type queryCondition struct {
	key string
	// values are those that match; empty means that the key must be present.
	values []string
}

type headerCondition struct {
	name   string
	values []string
}

// held is what a condition says about a request.
type held uint8

const (
	no held = iota
	yes
	// ambiguous is a request that repeats a query key which the condition reads.
	ambiguous
	// nameless is a request that the condition holds for or not, depending on who makes it,
	// and nobody is signed in.
	nameless
)

// request judges everything but who the visitor is.
func (m *match) request(r *Request, folded string) held {
	switch {
	case len(m.hosts) > 0 && !slices.ContainsFunc(m.hosts, func(p hostPattern) bool { return p.matches(r.Host) }),
		!m.path(r.Path, folded),
		len(m.methods) > 0 && !slices.Contains(m.methods, r.Method),
		len(m.nets) > 0 && !m.clientIP(r.ClientIP),
		!m.header(r.Header):
		return no
	}
	return m.queryHolds(r.RawQuery)
}

func (m *match) path(path, folded string) bool {
	if len(m.paths) == 0 && len(m.regexps) == 0 {
		return true
	}
	for i := range m.paths {
		if m.paths[i].matches(path, folded, m.exact) {
			return true
		}
	}
	for _, re := range m.regexps {
		if re.MatchString(path) {
			return true
		}
	}
	return false
}

func (m *match) clientIP(ip netip.Addr) bool {
	if !ip.IsValid() {
		return !m.exact
	}
	ip = ip.Unmap().WithZone("")
	for _, n := range m.nets {
		if n.Contains(ip) {
			return true
		}
	}
	return false
}

func (m *match) header(h map[string][]string) bool {
	for _, c := range m.headers {
		if !slices.ContainsFunc(h[c.name], func(v string) bool { return slices.Contains(c.values, v) }) {
			return false
		}
	}
	return true
}

func (m *match) queryHolds(raw string) held {
	out := yes
	for i := range m.query {
		values, n := lookup(raw, m.query[i].key)
		switch {
		case n > 1:
			return ambiguous
		case n == 0, len(m.query[i].values) > 0 && !slices.Contains(m.query[i].values, values):
			out = no
		}
	}
	return out
}

// lookup returns the value of a query key and how often the key occurs. A part that cannot
// be decoded counts as an occurrence: programs differ in what they make of it.
func lookup(raw, key string) (value string, n int) {
	for raw != "" {
		var part string
		part, raw, _ = strings.Cut(raw, "&")
		name, text, _ := strings.Cut(part, "=")
		decoded, ok := unescape(name)
		if !ok {
			n += 2
			continue
		}
		if decoded != key {
			continue
		}
		n++
		if value, ok = unescape(text); !ok {
			n++
		}
	}
	return value, n
}

func unescape(s string) (string, bool) {
	if !strings.ContainsAny(s, "%+;") {
		return s, true
	}
	if strings.Contains(s, ";") {
		return "", false
	}
	out, err := url.QueryUnescape(s)
	return out, err == nil
}

// identity tells whether the match asks who the visitor is.
func (m *match) identity() bool {
	return len(m.users) > 0 || len(m.groups) > 0 || m.when != nil && m.when.identity
}

// subject judges the user and group of a visitor who is signed in.
func (m *match) subject(s *Subject) bool {
	if len(m.users) > 0 && !slices.Contains(m.users, s.ID) && !slices.Contains(m.users, fold(s.Email)) {
		return false
	}
	return len(m.groups) == 0 || slices.ContainsFunc(m.groups, func(g string) bool { return slices.Contains(s.Groups, g) })
}
