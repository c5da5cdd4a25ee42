package policy

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// maxAlternatives bounds the sets that Missing returns.
const maxAlternatives = 64

// Need is one factor that is still missing.
type Need struct {
	// Factor is named as the rule names it.
	Factor string
	// MaxAge is how old the proof may be; 0 when its age does not matter.
	MaxAge time.Duration
	// UserVerified asks that the authenticator checks its user.
	UserVerified bool
	// NoRecovery refuses a recovery code in place of totp.
	NoRecovery bool
	Attachment string
	// AAGUIDs are the models of authenticator that are accepted, separated by spaces; empty
	// accepts all.
	AAGUIDs string
	// DeviceBound asks for a credential that cannot be backed up.
	DeviceBound bool
	// Once asks for a proof that is made for one rule and spent by one request. ForRule is
	// that rule, or floor; the proof carries its name.
	Once    bool
	ForRule string
}

// MarshalJSON writes {factor, max_age, once}: the age in seconds and only when it matters, and
// once only when it is true.
func (n Need) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Factor string `json:"factor"`
		MaxAge int64  `json:"max_age,omitempty"`
		Once   bool   `json:"once,omitempty"`
	}{n.Factor, int64(n.MaxAge / time.Second), n.Once})
}

// Missing lists the alternatives that would meet the requirement on a device that is not
// remembered: sets of factors, each of which is enough. The list is empty when the requirement
// is met. Sets that contain another set are left out; the smallest come first.
func (r *Requirement) Missing(fs []Factor, now time.Time) [][]Need {
	return r.missing(&evidence{factors: fs, now: now})
}

// MissingFor is Missing for a subject, on the subject's own device.
func (r *Requirement) MissingFor(s *Subject, now time.Time) [][]Need {
	e := s.evidence(now)
	return r.missing(&e)
}

// askAhead is the time in which nobody is to be asked twice.
const askAhead = time.Minute

// MissingAhead is MissingFor in a challenge that began at a time. A proof from before it that
// lapses within a minute is missing too: whoever passes now is not asked again a moment later.
// Proofs made in the challenge count as long as they meet the requirement. can tells which needs
// come into question, for sets that somebody can really prove; nil takes all.
func (r *Requirement) MissingAhead(s *Subject, now, began time.Time, can func(*Need) bool) [][]Need {
	e := s.evidence(now)
	e.since, e.ahead, e.can = began, askAhead, can
	return r.missing(&e)
}

// need adds one to a list of alternatives, if it comes into question.
func (e *evidence) need(sets [][]Need, n Need) [][]Need {
	if e.can != nil && !e.can(&n) {
		return sets
	}
	return append(sets, []Need{n})
}

func (r *Requirement) missing(e *evidence) [][]Need {
	if r == nil || r.satisfied(e, scope{}) {
		return nil
	}
	sets := r.alternatives(e, scope{})
	slices.SortStableFunc(sets, func(a, b []Need) int { return cmp.Compare(len(a), len(b)) })
	var out [][]Need
	for _, s := range sets {
		if len(out) < maxAlternatives && !slices.ContainsFunc(out, func(o []Need) bool { return contains(s, o) }) {
			out = append(out, s)
		}
	}
	return out
}

// contains tells whether every need of small is in big.
func contains(big, small []Need) bool {
	for _, n := range small {
		if !slices.Contains(big, n) {
			return false
		}
	}
	return true
}

// alternatives is the requirement in disjunctive form. A met part asks for the empty set.
func (r *Requirement) alternatives(e *evidence, outer scope) [][]Need {
	if r.satisfied(e, outer) {
		return [][]Need{{}}
	}
	sets := r.properAlternatives(e, outer.into(r))
	if r.remember != 0 && e.recalls(r.remember) {
		return r.within(sets, e, outer)
	}
	return sets
}

func (r *Requirement) properAlternatives(e *evidence, in scope) [][]Need {
	switch r.kind {
	case kindSignedIn:
		return singles(e, in)
	case kindFactor:
		return e.need(nil, r.factor.need(in))
	case kindAll:
		out := [][]Need{{}}
		for _, c := range r.children {
			out = product(out, c.alternatives(e, in))
		}
		return out
	case kindAny:
		var out [][]Need
		for _, c := range r.children {
			out = append(out, c.alternatives(e, in)...)
		}
		return out
	case kindCount:
		return r.combinations(e, proven(e, in), in)
	}
	return nil
}

// need is the factor as something that is missing.
func (s *factorSpec) need(in scope) Need {
	n := in.need(s.display())
	n.UserVerified, n.NoRecovery, n.Attachment, n.DeviceBound = s.userVerified, s.noRecovery, s.attachment, s.deviceBound
	n.AAGUIDs = strings.Join(s.aaguid, " ")
	return n
}

func (o scope) need(name string) Need {
	return Need{Factor: name, MaxAge: o.maxAge, Once: o.once, ForRule: o.rule}
}

func singles(e *evidence, in scope) [][]Need {
	var out [][]Need
	for _, name := range names {
		if name != "recovery_code" {
			out = e.need(out, in.need(name))
		}
	}
	return out
}

// product joins each set of one list with each of another.
func product(a, b [][]Need) [][]Need {
	var out [][]Need
	for _, x := range a {
		for _, y := range b {
			if len(out) == maxAlternatives*maxAlternatives {
				return out
			}
			joined := slices.Clone(x)
			for _, n := range y {
				joined = join(joined, n)
			}
			out = append(out, joined)
		}
	}
	return out
}

// join adds a need to a set. Two needs that one proof meets become one.
func join(set []Need, n Need) []Need {
	for i := range set {
		if one, ok := set[i].with(&n); ok {
			set[i] = one
			return set
		}
	}
	return append(set, n)
}

// with is the need that stands for both, when every credential that is right for one of them is
// right for the other: the fresher, and for one request when either is.
func (n *Need) with(o *Need) (both Need, ok bool) {
	if n.Once && o.Once && n.ForRule != o.ForRule {
		return Need{}, false
	}
	switch {
	case n.narrows(o):
		both = *n
	case o.narrows(n):
		both = *o
	default:
		return Need{}, false
	}
	both.MaxAge = tighter(n.MaxAge, o.MaxAge)
	both.Once, both.ForRule = n.Once || o.Once, cmp.Or(n.ForRule, o.ForRule)
	return both, true
}

// narrows tells whether every credential that n takes is one that o takes.
func (n *Need) narrows(o *Need) bool {
	passkey := n.Factor == "passkey"
	base, _, _ := strings.Cut(n.Factor, ":")
	return (n.Factor == o.Factor || base == o.Factor || passkey && o.Factor == "webauthn") &&
		(!o.UserVerified || n.UserVerified || passkey) &&
		(!o.NoRecovery || n.NoRecovery) &&
		(!o.DeviceBound || n.DeviceBound) &&
		(o.Attachment == "" || o.Attachment == n.Attachment) &&
		(o.AAGUIDs == "" || o.AAGUIDs == n.AAGUIDs)
}

// combinations lists the ways to complete a secure combination of r.count factors.
func (r *Requirement) combinations(e *evidence, have categorySet, in scope) [][]Need {
	if have.size(r.count) >= r.count {
		return [][]Need{{}}
	}
	var out [][]Need
	var grow func(set categorySet, from int, needs []Need)
	grow = func(set categorySet, from int, needs []Need) {
		if set.size(r.count) >= r.count {
			out = append(out, slices.Clone(needs))
			return
		}
		for i := from; i < len(names) && len(out) < maxAlternatives*maxAlternatives; i++ {
			added := set | setOf(CategoryOf(names[i]))
			n := in.need(names[i])
			if names[i] == "recovery_code" || added.size(r.count) == set.size(r.count) || e.can != nil && !e.can(&n) {
				continue
			}
			grow(added, i+1, append(needs, n))
		}
	}
	grow(have, 0, nil)
	return out
}
