package policy

import (
	"net/netip"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"
)

func (l *loader) match(n *node, m *match) {
	f := l.fields(n, matchKeys)
	if v := f["host"]; v != nil {
		l.hosts(v, m)
	}
	if v := f["path"]; v != nil {
		l.paths(v, m)
	}
	if v := f["path_regexp"]; v != nil {
		l.regexps(v, m)
	}
	if v := f["method"]; v != nil {
		for _, t := range l.texts(v) {
			if !httpguts.ValidHeaderFieldName(t.text) {
				l.add(t, "%q is not an HTTP method", t.text)
				continue
			}
			if t.text != strings.ToUpper(t.text) {
				l.add(t, "methods are compared exactly; write %q", strings.ToUpper(t.text))
				continue
			}
			m.methods = append(m.methods, t.text)
		}
	}
	if v := f["query"]; v != nil {
		l.query(v, m)
	}
	if v := f["header"]; v != nil {
		l.headers(v, m)
	}
	if v := f["client_ip"]; v != nil {
		l.nets(v, m)
	}
	if v := f["user"]; v != nil {
		for _, t := range l.texts(v) {
			m.users = append(m.users, userName(t.text))
		}
	}
	if v := f["group"]; v != nil {
		for _, t := range l.texts(v) {
			m.groups = append(m.groups, t.text)
		}
	}
}

// userName folds an e-mail address; ids are exact.
func userName(s string) string {
	if strings.Contains(s, "@") {
		return fold(s)
	}
	return s
}

func (l *loader) hosts(n *node, m *match) {
	for _, t := range l.texts(n) {
		host, wildcard := strings.CutPrefix(fold(t.text), "*.")
		host = strings.TrimSuffix(host, ".")
		if !validHost(host) {
			l.add(t, "%q is not a host name; write one like “erp.example.com” or “*.example.com”, without scheme, port or path, and international names in their xn-- form", t.text)
			continue
		}
		m.hosts = append(m.hosts, hostPattern{host: host, wildcard: wildcard})
	}
}

func validHost(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	if ip, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return ip.IsValid()
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

func (l *loader) paths(n *node, m *match) {
	for _, t := range l.texts(n) {
		path, prefix := strings.CutSuffix(t.text, "/*")
		if why := badPath(path, prefix); why != "" {
			l.add(t, "path %q %s", t.text, why)
			continue
		}
		m.paths = append(m.paths, pathPattern{path: path, folded: fold(path), prefix: prefix})
	}
}

// ownPath is the path below which the gateway serves its own pages and asks no policy.
const ownPath = "/.stepgate/"

// badPath says what is wrong with a path pattern; empty when nothing is.
func badPath(path string, prefix bool) string {
	if path == "" && prefix || path == "/" && !prefix {
		return ""
	}
	switch {
	case !strings.HasPrefix(path, "/"):
		return "must begin with “/”"
	case strings.HasPrefix(fold(path)+"/", ownPath):
		return "is one of the gateway's own, about which no policy is asked; who may administer does not depend on this file"
	case strings.Contains(path, "*"):
		return "has a “*” that is not at the end after a “/”; use path_regexp for other patterns"
	case strings.Contains(path, "%"):
		return "has an escape; write the character itself"
	case strings.ContainsAny(path, "?#"):
		return "has a query or fragment; use match.query"
	case strings.ContainsAny(path, "\\;") || !utf8.ValidString(path) || strings.IndexFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0:
		return "has a character that the gateway refuses in requests, so it could never match"
	case strings.HasSuffix(path, "/"):
		return "ends in “/”; leave it off, or end it in “/*”"
	}
	for part := range strings.SplitSeq(path[1:], "/") {
		if part == "" || part == "." || part == ".." {
			return "has an empty or dot segment, which the gateway refuses in requests"
		}
	}
	return ""
}

func (l *loader) regexps(n *node, m *match) {
	for _, t := range l.texts(n) {
		if len(t.text) > maxPattern {
			l.add(t, "the regular expression is longer than %d characters", maxPattern)
			continue
		}
		flags := "(?i)"
		if m.exact {
			flags = ""
		}
		re, err := regexp.Compile(flags + `\A(?:` + t.text + `)\z`)
		if err != nil {
			l.add(t, "not a regular expression: %v", err)
			continue
		}
		m.regexps = append(m.regexps, re)
	}
}

func (l *loader) query(n *node, m *match) {
	if n.kind != mapNode || len(n.items) == 0 {
		l.add(n, "expected a map from query keys to values")
		return
	}
	l.pairs(n, func(key, value *node) {
		c := queryCondition{key: key.text}
		if value.tag == "!!bool" && isTrue(value.text) {
			m.query = append(m.query, c)
			return
		}
		for _, t := range l.texts(value) {
			c.values = append(c.values, t.text)
		}
		m.query = append(m.query, c)
	})
}

func (l *loader) headers(n *node, m *match) {
	if m.exact {
		l.add(n, "match.header cannot stand beside allow: clients choose their headers")
		return
	}
	if n.kind != mapNode || len(n.items) == 0 {
		l.add(n, "expected a map from header names to values")
		return
	}
	l.pairs(n, func(key, value *node) {
		if !httpguts.ValidHeaderFieldName(key.text) {
			l.add(key, "%q is not a header name", key.text)
			return
		}
		c := headerCondition{name: headerName(key.text)}
		for _, t := range l.texts(value) {
			c.values = append(c.values, t.text)
		}
		m.headers = append(m.headers, c)
	})
}

func (l *loader) nets(n *node, m *match) {
	for _, t := range l.texts(n) {
		p, err := parseNet(t.text)
		if err != nil {
			l.add(t, "%v", err)
			continue
		}
		m.nets = append(m.nets, p)
	}
}
