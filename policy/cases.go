package policy

import (
	"net/netip"
	"slices"
	"time"
)

// Case is one example of a file of cases: a request, a visitor, and what is expected.
type Case struct {
	Name string
	// Line is where the case stands in its file.
	Line int
	// Method, URL, ClientIP and Header are the request. The zero Addr is an unknown address.
	Method   string
	URL      string
	ClientIP netip.Addr
	Header   map[string][]string
	// Subject is nil for an anonymous visitor.
	Subject *Subject
	Now     time.Time
	// Expect is allow, deny, sign_in, step_up or refused.
	Expect string
	// Rule and Floor are the names expected; empty when the case does not say.
	Rule, Floor string
	// Missing are the alternative sets expected, each sorted, in sorted order; nil when the case
	// does not say.
	Missing [][]string
}

// LoadCases reads a file of cases. name is the file's name for messages, now the time of cases
// that give none. The error is a *LoadError that lists every mistake found.
func LoadCases(name string, data []byte, now time.Time) ([]Case, error) {
	l := &loader{problems: problems{file: name}}
	root, problem := parseYAML(data)
	if problem != nil {
		l.report(*problem)
		return nil, l.err()
	}
	out := l.cases(root, now.UTC())
	return out, l.err()
}

func (l *loader) cases(root *node, now time.Time) []Case {
	top := l.fields(root, casesKeys)
	if n := top["now"]; n != nil {
		now = l.instant(n)
	}
	list := top["cases"]
	if list == nil || list.kind != listNode || len(list.items) == 0 {
		l.add(root, "expected “cases:” with a list of at least one case")
		return nil
	}
	var out []Case
	lines := make(map[string]int)
	for _, item := range list.items {
		c := l.oneCase(item, now)
		if line := lines[c.Name]; line != 0 && c.Name != "" {
			l.add(item, "the name %q is taken by the case on line %d", c.Name, line)
		}
		lines[c.Name] = c.Line
		out = append(out, c)
	}
	return out
}

var outcomes = []string{"allow", "deny", "sign_in", "step_up", "refused"}

func (l *loader) oneCase(n *node, now time.Time) Case {
	c := Case{Line: n.line, Method: "GET", Now: now}
	if n.kind != mapNode {
		l.add(n, "a case is a map with name, request and expect")
		return c
	}
	f := l.fields(n, caseKeys)
	l.text(f["name"], &c.Name)
	l.text(f["rule"], &c.Rule)
	l.text(f["floor"], &c.Floor)
	l.text(f["expect"], &c.Expect)
	switch {
	case c.Name == "":
		l.add(n, "the case has no name")
	case f["expect"] == nil:
		l.add(n, "the case does not say what it expects: %s", choices(outcomes))
	case !slices.Contains(outcomes, c.Expect):
		l.add(f["expect"], "unknown outcome %q; expected one of %s", c.Expect, choices(outcomes))
	}
	if v := f["now"]; v != nil {
		c.Now = l.instant(v)
	}
	if v := f["request"]; v != nil {
		l.caseRequest(v, &c)
	} else {
		l.add(n, "the case has no request")
	}
	if v := f["missing"]; v != nil {
		c.Missing = l.sets(v)
	}
	l.visitor(f, &c)
	return c
}

// text reads a text that may be absent.
func (l *loader) text(n *node, into *string) {
	if n == nil {
		return
	}
	if n.kind != scalarNode || n.text == "" || n.tag == "!!null" {
		l.add(n, "expected a text")
		return
	}
	*into = n.text
}

func (l *loader) instant(n *node) time.Time {
	t, err := time.Parse(time.RFC3339, n.text)
	if n.kind != scalarNode || err != nil {
		l.add(n, "expected a time such as 2026-03-14T12:00:00Z")
	}
	return t.UTC()
}

func (l *loader) caseRequest(n *node, c *Case) {
	f := l.fields(n, caseRequestKeys)
	l.text(f["method"], &c.Method)
	l.text(f["url"], &c.URL)
	if c.URL == "" {
		l.add(n, "the request has no url")
	}
	if v := f["client_ip"]; v != nil {
		ip, err := netip.ParseAddr(v.text)
		if v.kind != scalarNode || err != nil {
			l.add(v, "%q is no address", v.text)
		}
		c.ClientIP = ip
	}
	c.Header = make(map[string][]string)
	if v := f["headers"]; v != nil {
		if v.kind != mapNode {
			l.add(v, "headers is a map of names to a text or a list of texts")
			return
		}
		l.pairs(v, func(key, value *node) {
			for _, t := range l.texts(value) {
				c.Header[headerName(key.text)] = append(c.Header[headerName(key.text)], t.text)
			}
		})
	}
}

// visitor reads who makes the request. Nothing about them is nobody; factors without a user are
// somebody's.
func (l *loader) visitor(f map[string]*node, c *Case) {
	if f["user"] == nil && f["groups"] == nil && f["factors"] == nil {
		if v := f["remembered"]; v != nil {
			l.add(v, "nobody has a remembered device; give factors")
		}
		return
	}
	s := &Subject{ID: "user", Email: "user@example.com", StartedAt: c.Now}
	if v := f["user"]; v != nil {
		l.text(v, &s.ID)
		s.Email = s.ID
	}
	if v := f["groups"]; v != nil {
		for _, t := range l.texts(v) {
			s.Groups = append(s.Groups, t.text)
		}
	}
	if v := f["remembered"]; v != nil {
		if age, ok := l.duration(v); ok {
			s.RememberedAt = c.Now.Add(-age)
		}
	}
	if v := f["factors"]; v != nil {
		if v.kind != listNode {
			l.add(v, "factors is a list of {factor, age}")
			return
		}
		for _, item := range v.items {
			s.Factors = append(s.Factors, l.proven(item, c.Now))
		}
	}
	for i := range s.Factors {
		if s.Factors[i].At.Before(s.StartedAt) {
			s.StartedAt = s.Factors[i].At
		}
	}
	c.Subject = s
}

// proven reads one proven factor: its name, or a map with what a requirement can ask of it.
func (l *loader) proven(n *node, now time.Time) Factor {
	name, f := n, map[string]*node{}
	if n.kind == mapNode {
		f = l.fields(n, provenKeys)
		name = f["factor"]
	}
	if name == nil || name.kind != scalarNode {
		l.add(n, "expected a factor, or a map with factor and age")
		return Factor{}
	}
	list, err := ParseFactors(name.text, now)
	if err != nil || len(list) != 1 {
		l.add(name, "unknown factor %q; expected one of %s", name.text, choices(names))
		return Factor{}
	}
	out := list[0]
	if v := f["age"]; v != nil {
		if age, ok := l.duration(v); ok {
			out.At = now.Add(-age)
		}
	}
	l.text(f["once"], &out.ForRule)
	// What can be asked of a factor can be said of one: the same values, and the same mistakes.
	as := one(factorSpec{name: out.Name, variant: out.Variant})
	for _, key := range factorKeys.names() {
		if v := f[key]; v != nil {
			l.attribute(key, v, as)
		}
	}
	out.Variant, out.Attachment = as.factor.variant, as.factor.attachment
	out.UserVerified = out.UserVerified || as.factor.userVerified
	if n := len(as.factor.aaguid); n > 1 {
		l.add(f["aaguid"], "a factor has one aaguid")
	} else if n == 1 {
		out.AAGUID = as.factor.aaguid[0]
	}
	return out
}

// sets reads alternative sets of factors: a list of lists, or one list of names for one set.
func (l *loader) sets(n *node) [][]string {
	out := [][]string{}
	if n.kind != listNode {
		l.add(n, "missing is a list of sets of factors, such as [[passkey], [webauthn]]")
		return out
	}
	for _, item := range n.items {
		var set []string
		for _, t := range l.texts(item) {
			set = append(set, t.text)
		}
		slices.Sort(set)
		out = append(out, set)
	}
	slices.SortFunc(out, slices.Compare[[]string])
	return out
}
