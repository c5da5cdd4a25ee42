package policyimport

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// This file turns the criteria of Authelia's rules into conditions. One that cannot be said
// completely is left away as a whole, so that what remains holds for more requests.

// domains is any of the names and patterns.
func (e *draft) domains(r *autheliaRule) {
	var hosts, expressions []string
	lost := false
	for _, d := range r.domains {
		folded := strings.ToLower(d)
		if base, ok := strings.CutPrefix(folded, "{group}."); ok && e.level != open {
			expressions = append(expressions, fmt.Sprintf(`user.groups.exists(g, !g.contains(".") && request.host == g.lowerAscii() + %s)`, quote("."+base)))
			e.differ("%q asks visitors who are not signed in to sign in, in place of going on to the next rule", d)
			continue
		}
		for _, who := range []string{"{user}.", "{group}."} {
			if base, ok := strings.CutPrefix(folded, who); ok {
				e.lose("the domain %q depends on who the visitor is", d)
				folded = "*." + base
			}
		}
		if !accepted("match: {host: " + scalar(folded) + "}") {
			e.lose("the domain %q is no host name", d)
			lost = true
			continue
		}
		hosts = append(hosts, folded)
	}
	for _, re := range r.domainRegex {
		if why := usable(re); why != "" {
			e.lose("domain_regex %q: %s", re, why)
			lost = true
			continue
		}
		if named(re) {
			e.lose("domain_regex %q compares a part of the domain with the visitor", re)
		}
		expressions = append(expressions, "request.host.matches("+pattern(re)+")")
	}
	if lost {
		return // without a condition that is not complete, it holds for more
	}
	if len(expressions) == 0 {
		e.add("host", hosts)
		return
	}
	for _, h := range hosts {
		if below, ok := strings.CutPrefix(h, "*."); ok {
			expressions = append(expressions, "request.host.endsWith("+quote("."+below)+")")
		} else {
			expressions = append(expressions, "request.host == "+quote(h))
		}
	}
	e.when = append(e.when, anyOf(expressions))
}

// add puts a condition under match.
func (e *entry) add(key string, values []string) {
	if len(values) > 0 {
		e.match = append(e.match, condition{key, values})
	}
}

func (e *draft) methods(r *autheliaRule) {
	var out []string
	lost := false
	for _, m := range r.methods {
		upper := strings.ToUpper(m)
		if !accepted("match: {method: " + scalar(upper) + "}") {
			e.lose("%q is no method", m)
			lost = true
		}
		out = append(out, upper)
	}
	if !lost {
		e.add("method", out)
	}
}

func (a *autheliaImport) networks(e *draft, r *autheliaRule) {
	var out []string
	lost := false
	for _, n := range r.networks {
		list, named := a.config.networks[n]
		if !named {
			list = []string{n}
		}
		for _, text := range list {
			net, ok := network(text)
			if !ok {
				e.lose("%q is no network, and no name of one", text)
				lost = true
				continue
			}
			if !slices.Contains(out, net) {
				out = append(out, net)
			}
		}
	}
	if !lost {
		e.add("client_ip", out)
	}
}

// network is an address or network in the form of the policy: without bits of the host.
func network(text string) (string, bool) {
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
		return ip.Unmap().String(), true
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return "", false
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return "", false
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked().String(), true
}

func (e *draft) query(r *autheliaRule) {
	var alternatives []string
	for _, all := range r.query {
		var parts []string
		for _, q := range all {
			x, why := q.expression()
			if why != "" {
				e.lose("query: %s", why)
				continue
			}
			parts = append(parts, x)
		}
		if len(parts) == 0 {
			return // one that asks for nothing is always there
		}
		alternatives = append(alternatives, strings.Join(parts, " && "))
	}
	if len(alternatives) > 0 {
		e.when = append(e.when, anyOf(alternatives))
	}
}

// expression is the rule in CEL. Authelia compares the first value of a key, and an empty text
// where there is none.
func (q *autheliaQuery) expression() (text, why string) {
	key := quote(q.key)
	has := key + " in request.query"
	first := "request.query[" + key + "][0]"
	equal := "(" + has + " && " + first + " == " + quote(q.value) + ")"
	if q.value == "" {
		equal = "(!(" + has + ") || " + first + ` == "")`
	}
	switch q.operator {
	case "present":
		return has, ""
	case "absent":
		return "!(" + has + ")", ""
	case "equal":
		return equal, ""
	case "not equal":
		return "!" + equal, ""
	case "pattern", "not pattern":
		if why := usable(q.value); why != "" {
			return "", fmt.Sprintf("%q: %s", q.value, why)
		}
		matches := "(" + has + " ? " + first + ` : "").matches(` + pattern(q.value) + ")"
		if q.operator == "not pattern" {
			return "!" + matches, ""
		}
		return matches, ""
	}
	return "", fmt.Sprintf("the operator %q is unknown", q.operator)
}

// paths is any of the resources. A rule that allows says so in the policy's own terms where the
// pattern is as simple as that.
func (e *draft) paths(r *autheliaRule) {
	var simple, all []string
	lost := false
	for _, re := range r.resources {
		if why := usable(re); why != "" {
			e.lose("resource %q: %s", re, why)
			lost = true
			continue
		}
		if named(re) {
			e.lose("resource %q compares a part of the path with the visitor", re)
		}
		all = append(all, resource(re))
		for _, tail := range queryTails[:2] {
			if start, ok := strings.CutSuffix(re, tail); ok {
				if path, ok := openPath(start + belowTails[0]); ok {
					simple = append(simple, path)
				}
			}
		}
	}
	if lost {
		return
	}
	if e.level == open && len(simple) == len(all) {
		e.add("path", simple)
		return
	}
	e.resources = all
}

// subjects is any of the alternatives, each of which may ask for several things.
func (a *autheliaImport) subjects(e *draft, r *autheliaRule) {
	var groups, users, expressions []string
	for _, all := range r.subjects {
		var parts []string
		lost := false
		for _, s := range all {
			kind, name, _ := strings.Cut(s, ":")
			name = strings.Trim(name, " ")
			switch kind {
			case "group":
				parts = append(parts, quote(name)+" in user.groups")
				if len(all) == 1 {
					groups = append(groups, name)
				}
			case "user":
				email, known := a.users[name]
				if !known && strings.Contains(name, "@") {
					email, known = name, true
				}
				if !known {
					e.differ("the address of %q is unknown; give --users, or write the e-mail address", s)
					lost = true
					continue
				}
				parts = append(parts, "user.email.lowerAscii() == "+quote(strings.ToLower(email)))
				if len(all) == 1 {
					users = append(users, strings.ToLower(email))
				}
			default:
				e.differ("the subject %q is no user and no group", s)
				lost = true
			}
		}
		if lost {
			e.part = true
			continue
		}
		expressions = append(expressions, strings.Join(parts, " && "))
	}
	e.known = len(expressions)
	switch {
	case e.known == 0:
	case len(groups) == len(expressions):
		e.add("group", groups)
	case len(users) == len(expressions):
		e.add("user", users)
	default:
		e.when = append(e.when, anyOf(expressions))
	}
}
