package policyimport

import (
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// visitor is who asks, as both gateways see one. Authelia knows people by a name, a policy by
// their address.
type visitor struct {
	name, email string
	groups      []string
	factors     int // 0 is nobody
}

// said is what is made of a request: allow, sign_in, step_up or deny.
func said(l level, v *visitor, hasSubject bool) string {
	switch {
	case l == open:
		return "allow"
	case l == denied && (v.factors > 0 || !hasSubject):
		return "deny"
	case v.factors == 0:
		return "sign_in"
	case l == mfa && v.factors < 2:
		return "step_up"
	}
	return "allow"
}

// decide is what Authelia does, as its documentation says: the first rule of which all criteria
// match decides; one that asks for a subject matches who is not signed in yet.
func (c *autheliaConfig) decide(method, rawURL string, ip netip.Addr, v *visitor) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		panic(err)
	}
	for i := range c.rules {
		r := &c.rules[i]
		if r.matches(c, strings.ToUpper(method), u, ip, v) {
			l, _ := autheliaLevel(r.policy)
			return said(l, v, len(r.subjects) > 0 || slices.ContainsFunc(r.domainRegex, named))
		}
	}
	l, _ := autheliaLevel(c.defaultPolicy)
	return said(l, v, false)
}

func (r *autheliaRule) matches(c *autheliaConfig, method string, u *url.URL, ip netip.Addr, v *visitor) bool {
	host := strings.ToLower(u.Hostname())
	resource := u.Path
	if u.RawQuery != "" {
		resource += "?" + u.RawQuery
	}
	return (len(r.domains)+len(r.domainRegex) == 0 || slices.ContainsFunc(r.domains, func(d string) bool { return domainMatches(d, host, v) }) ||
		slices.ContainsFunc(r.domainRegex, func(re string) bool { return patternMatches(re, host, v) })) &&
		(len(r.resources) == 0 || slices.ContainsFunc(r.resources, func(re string) bool { return patternMatches(re, resource, v) })) &&
		(len(r.query) == 0 || slices.ContainsFunc(r.query, func(all []autheliaQuery) bool {
			return !slices.ContainsFunc(all, func(q autheliaQuery) bool { return !q.matches(u.Query()) })
		})) &&
		(len(r.methods) == 0 || slices.ContainsFunc(r.methods, func(m string) bool { return strings.ToUpper(m) == method })) &&
		(len(r.networks) == 0 || slices.ContainsFunc(r.networks, func(n string) bool {
			list, ok := c.networks[n]
			if !ok {
				list = []string{n}
			}
			return slices.ContainsFunc(list, func(text string) bool {
				clean, ok := network(text)
				if !ok || !ip.IsValid() {
					return false
				}
				if !strings.Contains(clean, "/") {
					return netip.MustParseAddr(clean) == ip
				}
				return netip.MustParsePrefix(clean).Contains(ip)
			})
		})) &&
		(len(r.subjects) == 0 || v.factors == 0 || slices.ContainsFunc(r.subjects, func(all []string) bool {
			return !slices.ContainsFunc(all, func(s string) bool {
				kind, name, _ := strings.Cut(s, ":")
				is := kind == "user" && name == v.name || kind == "group" && slices.Contains(v.groups, name)
				return !is
			})
		}))
}

func domainMatches(d, host string, v *visitor) bool {
	d = strings.ToLower(d)
	switch {
	case strings.HasPrefix(d, "*."):
		return strings.HasSuffix(host, d[1:])
	case strings.HasPrefix(d, "{user}."):
		return host == v.name+"."+d[7:]
	case strings.HasPrefix(d, "{group}."):
		first, rest, _ := strings.Cut(host, ".")
		return rest == d[8:] && slices.ContainsFunc(v.groups, func(g string) bool { return strings.EqualFold(g, first) })
	}
	return d == host
}

func patternMatches(text, value string, v *visitor) bool {
	re := regexp.MustCompile(text)
	if !named(text) {
		return re.MatchString(value)
	}
	found := re.FindStringSubmatch(value)
	if found == nil {
		return false
	}
	if v.factors == 0 {
		return true
	}
	for i, name := range re.SubexpNames() {
		if name == "User" && !strings.EqualFold(found[i], v.name) ||
			name == "Group" && !slices.ContainsFunc(v.groups, func(g string) bool { return strings.EqualFold(g, found[i]) }) {
			return false
		}
	}
	return true
}

func (q *autheliaQuery) matches(values url.Values) bool {
	switch q.operator {
	case "present":
		return values.Has(q.key)
	case "absent":
		return !values.Has(q.key)
	case "equal":
		return values.Get(q.key) == q.value
	case "not equal":
		return values.Get(q.key) != q.value
	case "pattern":
		return regexp.MustCompile(q.value).MatchString(values.Get(q.key))
	}
	return !regexp.MustCompile(q.value).MatchString(values.Get(q.key))
}
