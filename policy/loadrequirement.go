package policy

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	chains      = []string{"ethereum", "solana"}
	variantName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	uuidText    = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
)

// parseFactorName reads a factor as policies name it.
func parseFactorName(s string) (factorSpec, bool) {
	base, variant, has := strings.Cut(s, ":")
	spec := factorSpec{name: base, variant: variant}
	switch {
	case !slices.Contains(names, base):
		return factorSpec{}, false
	case !has:
		return spec, true
	case base == "oauth":
		return spec, variantName.MatchString(variant)
	case base == "crypto_wallet":
		return spec, slices.Contains(chains, variant)
	}
	return factorSpec{}, false
}

// requirement reads a requirement: a name, or a map. It returns nil after a mistake.
func (l *loader) requirement(n *node) *Requirement {
	switch n.kind {
	case scalarNode:
		return l.requirementName(n)
	case listNode:
		l.add(n, "expected a requirement; write all_of or any_of before the list")
		return nil
	}
	known := requirementMapKeys
	if l.bound {
		known = append(slices.Clone(known), key{name: "rule"})
	}
	f := l.fields(n, known)
	r := l.requirementBody(n, f)
	if r == nil {
		return nil
	}
	if v := f["max_age"]; v != nil {
		r.maxAge = l.maxAge(v, r)
	}
	if v := f["once"]; v != nil {
		l.once(v, f["rule"], r)
	}
	if v := f["remember_device"]; v != nil {
		l.remember(v, r)
	}
	for _, key := range factorKeys.names() {
		if v := f[key]; v != nil {
			l.attribute(key, v, r)
		}
	}
	return l.short(n, r)
}

func (l *loader) requirementName(n *node) *Requirement {
	if r := builtins[n.text]; r != nil {
		return r
	}
	if s, ok := parseFactorName(n.text); ok {
		return one(s)
	}
	if l.named[n.text] != nil {
		l.used[n.text] = true
		return l.resolve(n.text)
	}
	known := slices.Clone(names)
	for name := range builtins {
		known = append(known, name)
	}
	for name := range l.named {
		known = append(known, name)
	}
	l.add(n, "unknown requirement %q; expected one of %s", n.text, choices(known))
	return nil
}

func (l *loader) requirementBody(n *node, f map[string]*node) *Requirement {
	var r *Requirement
	count := 0
	for _, key := range requirementBodyKeys.names() {
		v := f[key]
		if v == nil {
			continue
		}
		count++
		switch key {
		case "factor":
			s, ok := parseFactorName(v.text)
			if v.kind != scalarNode || !ok {
				l.add(v, "factor takes the name of one factor: %s", choices(names))
				continue
			}
			r = one(s)
		case "factors":
			number, err := strconv.Atoi(v.text)
			if v.tag != "!!int" || err != nil || number < 1 || number > 4 {
				l.add(v, "factors must be a number from 1 to 4")
				continue
			}
			r = &Requirement{kind: kindCount, count: number}
		default:
			r = l.list(key, v)
		}
	}
	if count != 1 {
		l.add(n, "expected exactly one of factor, all_of, any_of, factors, found %d", count)
		return nil
	}
	return r
}

func (l *loader) list(key string, n *node) *Requirement {
	if n.kind != listNode || len(n.items) == 0 {
		l.add(n, "%s must be a list of at least one requirement", key)
		return nil
	}
	r := &Requirement{kind: kindAll}
	if key == "any_of" {
		r.kind = kindAny
	}
	ok := true
	for _, item := range n.items {
		c := l.requirement(item)
		ok = ok && c != nil
		r.children = append(r.children, c)
	}
	if !ok {
		return nil
	}
	return r
}

// attribute reads what else is asked of a factor.
func (l *loader) attribute(key string, v *node, r *Requirement) {
	webauthn := r.kind == kindFactor && (r.factor.name == "webauthn" || r.factor.name == "passkey")
	switch {
	case key == "provider":
		if r.kind != kindFactor || r.factor.name != "oauth" || r.factor.variant != "" || !variantName.MatchString(v.text) {
			l.add(v, "provider belongs to “factor: oauth” and takes the name given in the configuration")
			return
		}
		r.factor.variant = v.text
	case key == "recovery":
		if r.kind != kindFactor || r.factor.name != "totp" || v.tag != "!!bool" {
			l.add(v, "recovery belongs to “factor: totp” and is true or false")
			return
		}
		r.factor.noRecovery = !isTrue(v.text)
	case !webauthn:
		l.add(v, "%s belongs to “factor: webauthn” or “factor: passkey”", key)
	case key == "user_verification":
		if v.text != "required" {
			l.add(v, "user_verification can only be “required”")
			return
		}
		r.factor.userVerified = true
	case key == "attachment":
		if !slices.Contains(attachments, v.text) {
			l.add(v, "attachment is “platform” or “cross-platform”")
			return
		}
		r.factor.attachment = v.text
	case key == "aaguid":
		for _, t := range l.texts(v) {
			if !uuidText.MatchString(t.text) {
				l.add(t, "%q is not a UUID", t.text)
				continue
			}
			r.factor.aaguid = append(r.factor.aaguid, strings.ToLower(t.text))
		}
	}
}

// ParseRequirement reads back what String wrote.
func ParseRequirement(text string) (*Requirement, error) {
	l := &loader{problems: problems{file: "requirement"}, bound: true}
	n, problem := parseYAML([]byte(text))
	if problem != nil {
		l.report(*problem)
		return nil, l.err()
	}
	r := l.requirement(n)
	if err := l.err(); err != nil {
		return nil, err
	}
	return r, nil
}

// String is the requirement as JSON that ParseRequirement reads, with every named requirement
// written out, and beside each “once” the rule that it belongs to.
func (r *Requirement) String() string {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Sprintf("%q", err.Error())
	}
	return string(b)
}

// MarshalJSON writes a name where a name says it all, else a map as in a policy file.
func (r *Requirement) MarshalJSON() ([]byte, error) {
	if r == nil {
		return []byte("null"), nil
	}
	if b := builtins[r.label]; b != nil {
		if b.maxAge == r.maxAge {
			return json.Marshal(r.label)
		}
		return nil, fmt.Errorf("built-in %q with another age", r.label)
	}
	m := make(map[string]any)
	switch r.kind {
	case kindFactor:
		r.factor.describe(m)
	case kindAll:
		m["all_of"] = r.children
	case kindAny:
		m["any_of"] = r.children
	case kindCount:
		m["factors"] = r.count
	default:
		return nil, fmt.Errorf("a requirement that nobody can meet")
	}
	if r.maxAge != 0 {
		m["max_age"] = r.maxAge.String()
	}
	if r.remember != 0 {
		m["remember_device"] = r.remember.String()
	}
	if r.once {
		m["once"] = true
		if r.rule != "" {
			m["rule"] = r.rule
		}
	}
	if len(m) == 1 && r.kind == kindFactor && m["factor"] != nil {
		return json.Marshal(m["factor"])
	}
	return json.Marshal(m)
}

func (s *factorSpec) describe(m map[string]any) {
	m["factor"] = s.display()
	if s.userVerified {
		m["user_verification"] = "required"
	}
	if s.attachment != "" {
		m["attachment"] = s.attachment
	}
	if len(s.aaguid) > 0 {
		m["aaguid"] = s.aaguid
	}
	if s.noRecovery {
		m["recovery"] = false
	}
}
