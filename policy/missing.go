package policy

import (
	"cmp"
	"encoding/json"
	"slices"
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
}

// MarshalJSON writes {factor, max_age}, the age in seconds and only when it matters.
func (n Need) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Factor string `json:"factor"`
		MaxAge int64  `json:"max_age,omitempty"`
	}{n.Factor, int64(n.MaxAge / time.Second)})
}

// Missing lists the alternatives that would meet the requirement: sets of factors, each of
// which is enough. The list is empty when the requirement is met. Sets that contain another
// set are left out; the smallest come first.
func (r *Requirement) Missing(fs []Factor, now time.Time) [][]Need {
	if r == nil || r.satisfied(fs, now, 0) {
		return nil
	}
	sets := r.alternatives(fs, now, 0)
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
func (r *Requirement) alternatives(fs []Factor, now time.Time, outer time.Duration) [][]Need {
	if r.satisfied(fs, now, outer) {
		return [][]Need{{}}
	}
	age := tighter(r.maxAge, outer)
	switch r.kind {
	case kindSignedIn:
		return singles(age, func(string) bool { return true })
	case kindFactor:
		s := r.factor
		return [][]Need{{{
			Factor: s.display(), MaxAge: age, UserVerified: s.userVerified, NoRecovery: s.noRecovery, Attachment: s.attachment,
		}}}
	case kindAll:
		out := [][]Need{{}}
		for _, c := range r.children {
			out = product(out, c.alternatives(fs, now, age))
		}
		return out
	case kindAny:
		var out [][]Need
		for _, c := range r.children {
			out = append(out, c.alternatives(fs, now, age)...)
		}
		return out
	case kindCount:
		return r.combinations(proven(fs, now, age), age)
	}
	return nil
}

func singles(age time.Duration, wanted func(string) bool) [][]Need {
	var out [][]Need
	for _, name := range names {
		if name != "recovery_code" && wanted(name) {
			out = append(out, []Need{{Factor: name, MaxAge: age}})
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
				if !slices.Contains(joined, n) {
					joined = append(joined, n)
				}
			}
			out = append(out, joined)
		}
	}
	return out
}

// combinations lists the ways to complete a secure combination of r.count factors.
func (r *Requirement) combinations(have categorySet, age time.Duration) [][]Need {
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
			if names[i] == "recovery_code" || added.size(r.count) == set.size(r.count) {
				continue
			}
			grow(added, i+1, append(needs, Need{Factor: names[i], MaxAge: age}))
		}
	}
	grow(have, 0, nil)
	return out
}
