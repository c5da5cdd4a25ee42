package policyimport

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stepgate/stepgate/policy"
)

// proxyModel is what oauth2-proxy does, as its documentation says of the options.
type proxyModel struct {
	preflight                          bool
	regexes, routes, trusted           []string
	domains, groups, addresses, rarely []string
}

func (m *proxyModel) decide(method, rawURL string, ip netip.Addr, v *visitor) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		panic(err)
	}
	open := m.preflight && method == "OPTIONS" ||
		slices.ContainsFunc(m.regexes, func(re string) bool { return regexp.MustCompile(re).MatchString(u.Path) }) ||
		slices.ContainsFunc(m.routes, func(route string) bool { return routeMatches(route, method, u.Path) }) ||
		slices.ContainsFunc(m.trusted, func(n string) bool {
			clean, _ := network(n)
			return clean == ip.String() || strings.Contains(clean, "/") && netip.MustParsePrefix(clean).Contains(ip)
		})
	switch {
	case open:
		return "allow"
	case len(m.domains)+len(m.addresses) == 0:
		return "deny"
	case v.factors == 0:
		return "sign_in"
	case !m.mayEnter(v):
		return "deny"
	}
	return "allow"
}

func routeMatches(route, method, path string) bool {
	pattern, negated := route, false
	if before, after, ok := strings.Cut(route, "="); ok {
		before, negated = strings.CutSuffix(before, "!")
		if before != "" && before != method {
			return false
		}
		pattern = after
	}
	return regexp.MustCompile(pattern).MatchString(path) != negated
}

func (m *proxyModel) mayEnter(v *visitor) bool {
	email := strings.ToLower(v.email)
	known := slices.Contains(m.addresses, email) || slices.ContainsFunc(m.domains, func(d string) bool {
		_, host, _ := strings.Cut(email, "@")
		return d == "*" || d == host || strings.HasPrefix(d, ".") && strings.HasSuffix(host, d) || strings.HasPrefix(d, "*.") && strings.HasSuffix(host, d[1:])
	})
	in := func(groups []string) bool {
		return len(groups) == 0 || slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(v.groups, g) })
	}
	return known && in(m.groups) && in(m.rarely)
}

func some(t *rapid.T, what string, from ...string) []string {
	n := rapid.IntRange(0, 2).Draw(t, what)
	out := []string{}
	for range n {
		out = append(out, rapid.SampledFrom(from).Draw(t, what))
	}
	return out
}

// A policy decides as oauth2-proxy does. For members that only the provider knows, it asks for
// the group that stands for them.
func TestImportedProxiesDecideAlike(t *testing.T) {
	methods := []string{"GET", "POST", "OPTIONS"}
	paths := []string{"/", "/p", "/p/", "/p/x", "/P", "/x/p", "/q.js", "/qxjs", "/z?p=/p"}
	rapid.Check(t, func(t *rapid.T) {
		m := proxyModel{
			preflight: rapid.Bool().Draw(t, "preflight"),
			regexes:   some(t, "regex", `^/p$`, `^/p(/.*)?$`, `p`, `\.js$`, `^/q\.js$`, `^/p(/|$)`),
			routes:    some(t, "route", `GET=^/p$`, `POST=/p`, `GET!=^/p`, `!=^/(p|q)`, `GET!=^/p$`, `^/p/`, `OPTIONS=^/$`),
			trusted:   some(t, "trusted", "10.0.0.0/8", "203.0.113.1", "10.1.2.3/16"),
			domains:   some(t, "domain", "*", "a.test", ".a.test", "*.b.test"),
			groups:    some(t, "group", "g", "h"),
			addresses: some(t, "address", "x@c.test", "y@a.test"),
			rarely:    some(t, "rarely", "o"),
		}
		text := fmt.Sprintf("skip_auth_preflight = %v\n", m.preflight)
		for key, list := range map[string][]string{
			"skip_auth_regex": m.regexes, "skip_auth_routes": m.routes, "trusted_ips": m.trusted,
			"email_domains": m.domains, "allowed_groups": m.groups, "gitlab_groups": m.rarely,
		} {
			quoted := make([]string, len(list))
			for i := range list {
				quoted[i] = "'" + list[i] + "'"
			}
			text += fmt.Sprintf("%s = [%s]\n", key, strings.Join(quoted, ", "))
		}
		if len(m.addresses) > 0 {
			text += "authenticated_emails_file = 'f'\n"
		}
		r, err := OAuth2Proxy("c", []byte(text), func(string) ([]byte, error) { return []byte(strings.Join(m.addresses, "\n")), nil })
		if err != nil {
			t.Fatal(err)
		}
		p, err := policy.Load("p", []byte(r.Policy))
		if err != nil {
			t.Fatal(err)
		}
		for _, method := range methods {
			for _, path := range paths {
				for _, ip := range []string{"203.0.113.1", "10.200.1.1", "10.1.9.9", "192.0.2.1"} {
					for _, v := range []visitor{
						{}, {name: "1", email: "X@c.test", factors: 1}, {name: "2", email: "y@a.test", groups: []string{"g", "o"}, factors: 1},
						{name: "3", email: "z@s.a.test", groups: []string{"h"}, factors: 1}, {name: "4", email: "z@b.test", groups: []string{"o", "g"}, factors: 1},
					} {
						address := netip.MustParseAddr(ip)
						was, now := m.decide(method, "https://h.test"+path, address, &v), decided(p, method, "https://h.test"+path, address, &v)
						if was != now {
							t.Fatalf("%s %s from %s by %+v: was %s, is %s\n%s\n%s", method, path, ip, v, was, now, text, r.Policy)
						}
					}
				}
			}
		}
	})
}
