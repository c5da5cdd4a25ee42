package policy

import (
	"math"
	"strings"
	"time"
)

// A requirement with “remember_device” is met in two ways: by its factors, or, within that time
// after the device was remembered, by all of them but one. What stands in for the missing one
// is the proof that was complete when the device was remembered; so at least one factor is
// always proven anew in the session, and a requirement of one factor cannot be remembered away.
// Requirements that ask for something stronger than a secure combination, or for something
// recent, cannot be remembered at all: that is a mistake in the file (loadremember.go).

const (
	minRemember = time.Hour
	maxRemember = 90 * 24 * time.Hour
	// minRememberAge is the smallest max_age that goes together with a remembered device.
	minRememberAge = time.Hour
)

// nobody is more factors than anybody lacks: what nobody can meet lacks that many.
const nobody = math.MaxInt32

// recalled tells whether a remembered device makes up for what is missing.
func (r *Requirement) recalled(e *evidence, outer scope) bool {
	return r.remember != 0 && e.recalls(r.remember) && r.lacking(e, outer) <= 1
}

// Remembers is the longest time for which the requirement lets a remembered device stand in for
// a factor, anywhere in it; 0 when it never does.
func (r *Requirement) Remembers() time.Duration {
	if r == nil {
		return 0
	}
	longest := r.remember
	for _, c := range r.children {
		longest = max(longest, c.Remembers())
	}
	return longest
}

// recalls tells whether the device was remembered within a span. A device that was remembered
// in the future was not.
func (e *evidence) recalls(span time.Duration) bool {
	return !e.remembered.IsZero() && e.fresh(e.remembered, span)
}

// lacking is the least number of factors that would meet the requirement without a remembered
// device. It may count a factor twice that serves two parts, and so asks for more, never less.
func (r *Requirement) lacking(e *evidence, outer scope) int {
	in := outer.into(r)
	if r.proper(e, in) {
		return 0
	}
	switch r.kind {
	case kindSignedIn, kindFactor:
		return 1
	case kindCount:
		return r.count - proven(e, in).size(r.count)
	case kindAll:
		sum := 0
		for _, c := range r.children {
			sum = min(sum+c.lacking(e, in), nobody)
		}
		if len(r.children) > 0 {
			return sum
		}
	case kindAny:
		least := nobody
		for _, c := range r.children {
			least = min(least, c.lacking(e, in))
		}
		return least
	}
	return nobody
}

// within lists, on a remembered device, what is enough of each set: all of it but one.
func (r *Requirement) within(sets [][]Need, e *evidence, outer scope) [][]Need {
	var out [][]Need
	for _, set := range sets {
		for i := range set {
			rest := make([]Need, 0, len(set)-1)
			rest = append(append(rest, set[:i]...), set[i+1:]...)
			after := *e
			after.factors = append(after.factors[:len(after.factors):len(after.factors)], proofs(rest, e.now)...)
			if len(out) < maxAlternatives && r.satisfied(&after, outer) {
				out = append(out, rest)
			}
		}
	}
	return append(out, sets...)
}

// proofs are the factors that somebody has who proves what is needed.
func proofs(needs []Need, now time.Time) []Factor {
	return proofsOf(needs, func(*Need) time.Time { return now })
}

// proofsOf are the factors that somebody has who proved each need at its time. A proof that was
// made for a rule counts as an ordinary one too.
func proofsOf(needs []Need, at func(*Need) time.Time) []Factor {
	var out []Factor
	for i := range needs {
		n := &needs[i]
		s, _ := parseFactorName(n.Factor)
		f := Factor{Name: s.name, Variant: s.variant, At: at(n), UserVerified: n.UserVerified, Attachment: n.Attachment}
		f.AAGUID, _, _ = strings.Cut(n.AAGUIDs, " ")
		if s.name == "passkey" {
			f.Name, f.Discoverable, f.UserVerified = "webauthn", true, true
		}
		out = append(out, f)
		if n.ForRule != "" {
			f.ForRule = n.ForRule
			out = append(out, f)
		}
	}
	return out
}
