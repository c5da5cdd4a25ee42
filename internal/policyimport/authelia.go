package policyimport

import (
	"fmt"
	"slices"
)

// Authelia makes a policy of the section access_control of Authelia's configuration, as its
// documentation describes it (configuration/security/access-control). name is the file's name
// for messages. users are the e-mail addresses of Authelia's users, by their names: policies
// know people by their addresses. It may be nil. The error is ErrInput for a file that is none.
func Authelia(name string, data []byte, users map[string]string) (Result, error) {
	config, err := readAuthelia(name, data)
	if err != nil {
		return Result{}, err
	}
	a := &autheliaImport{config: config, users: users}
	a.header = []string{
		"Made by “stepgate policy import authelia” from the section access_control of " + name + ".",
		"bypass became allow, one_factor signed_in, two_factor mfa.",
	}
	for i := range config.rules {
		a.rule(name, i+1, &config.rules[i])
	}
	fallback := config.defaultPolicy
	if fallback == "" {
		fallback = "deny"
	}
	var known bool
	if a.fallback.level, known = autheliaLevel(fallback); !known {
		a.fallback.differ("default_policy %q is unknown and denies", fallback)
	}
	return a.finish()
}

// autheliaLevel is what a policy of Authelia asks for. An unknown one denies, as there.
func autheliaLevel(policy string) (l level, known bool) {
	switch policy {
	case "bypass":
		return open, true
	case "one_factor":
		return signedIn, true
	case "two_factor":
		return mfa, true
	}
	return denied, policy == "deny"
}

type autheliaImport struct {
	document
	config *autheliaConfig
	users  map[string]string
}

// draft is a rule in the making.
type draft struct {
	entry
	// resources are alternatives, of which one expression may not hold all.
	resources []string
	// whole is set when a condition was lost, part when some kinds of visitors were; known are
	// those that were not.
	whole, part bool
	known       int
}

// lose notes a condition that a policy cannot say.
func (e *draft) lose(format string, args ...any) {
	e.differ(format, args...)
	e.whole = true
}

func (a *autheliaImport) rule(file string, number int, r *autheliaRule) {
	e := &draft{entry: entry{name: fmt.Sprintf("rule %d", number), notes: []string{fmt.Sprintf("%s:%d", file, r.line)}}}
	if len(r.domains) > 0 && len(r.domains[0]) < 100 {
		e.name += " (" + r.domains[0] + ")"
	}
	var known bool
	if e.level, known = autheliaLevel(r.policy); !known {
		e.differ("policy %q is unknown and denies", r.policy)
	}
	for _, key := range r.unknown {
		e.lose("%q is unknown to the import", key)
	}
	e.domains(r)
	e.methods(r)
	a.networks(e, r)
	e.query(r)
	e.paths(r)
	lost := e.whole
	// Who the visitor is comes last: a floor for everybody is what stands here without it.
	everybody := e.entry
	everybody.match, everybody.when = slices.Clone(e.match), slices.Clone(e.when)
	a.subjects(e, r)
	everybody.differs = e.differs
	base := e.entry
	if e.part {
		base = everybody
	}
	if e.level == open && len(r.subjects) > 0 {
		base.differ("bypass cannot know who the visitor is")
		lost = true
	}
	switch {
	case lost, e.part && (e.known == 0 || e.level == denied):
		a.split(e, &base, a.strict)
	case e.part:
		kept := e.entry
		kept.differs = nil
		a.split(e, &kept, a.keep)
		base.name += " strict"
		a.split(e, &base, a.strict)
	default:
		a.split(e, &base, a.keep)
	}
}

// split adds an entry, once for each part of the resources that fits one expression.
func (a *autheliaImport) split(e *draft, base *entry, add func(*entry)) {
	parts := chunks(e.resources)
	if len(parts) == 0 {
		parts = [][]string{nil}
	}
	for i, part := range parts {
		one := *base
		one.differs, one.when = slices.Clone(base.differs), slices.Clone(base.when)
		if len(part) > 0 {
			one.when = append(one.when, anyOf(part))
		}
		if len(parts) > 1 {
			one.name += fmt.Sprintf(" part %d", i+1)
		}
		if len(one.when) > 0 && !accepted("when: "+expression(one.when)) {
			one.when = nil
			one.differ("its conditions are more than a policy takes")
			a.strict(&one)
			continue
		}
		add(&one)
	}
}
