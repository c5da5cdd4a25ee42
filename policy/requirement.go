package policy

import (
	"slices"
	"strings"
	"time"
)

type requirementKind uint8

const (
	kindNever requirementKind = iota // the zero Requirement is met by nobody
	kindSignedIn
	kindFactor
	kindAll
	kindAny
	kindCount
)

// Requirement is what a session must have proven. It is immutable. The zero value is met by
// nobody.
type Requirement struct {
	kind     requirementKind
	children []*Requirement
	factor   factorSpec
	count    int
	// maxAge holds for everything below; 0 means that age does not matter.
	maxAge time.Duration
	// once counts, for everything below, only proofs that were made for one rule; rule is its
	// name. Before a rule is bound, nobody meets it.
	once bool
	rule string
	// remember is how long a remembered device may stand in for the second factor; 0 is never.
	remember time.Duration
	// label is the name of a built-in, which stands for the whole.
	label string
}

// factorSpec is one factor with what else is asked of it.
type factorSpec struct {
	name, variant string
	userVerified  bool
	attachment    string
	aaguid        []string
	// noRecovery refuses recovery codes in place of totp.
	noRecovery bool
	// deviceBound asks for a credential that cannot be backed up. Only aal3 does.
	deviceBound bool
}

func anyOf(rs ...*Requirement) *Requirement { return &Requirement{kind: kindAny, children: rs} }
func allOf(rs ...*Requirement) *Requirement { return &Requirement{kind: kindAll, children: rs} }
func one(s factorSpec) *Requirement         { return &Requirement{kind: kindFactor, factor: s} }

// The built-in requirements. aal2 and aal3 follow NIST SP 800-63B-4, sections 2.2 and 2.3.
var (
	signedIn = &Requirement{kind: kindSignedIn, label: "signed_in"}
	mfa      = &Requirement{kind: kindCount, count: 2, label: "mfa"}
	phishing = &Requirement{kind: kindFactor, factor: factorSpec{name: "webauthn"}, label: "phishing_resistant"}
	aal2     = labelled("aal2", 24*time.Hour, anyOf(
		one(factorSpec{name: "webauthn", userVerified: true}),
		allOf(one(factorSpec{name: "password"}), anyOf(
			one(factorSpec{name: "totp"}), one(factorSpec{name: "sms_otp"}), one(factorSpec{name: "webauthn"})))))
	aal3 = labelled("aal3", 12*time.Hour, anyOf(
		one(factorSpec{name: "webauthn", userVerified: true, deviceBound: true}),
		allOf(one(factorSpec{name: "password"}), one(factorSpec{name: "webauthn", deviceBound: true}))))

	builtins = map[string]*Requirement{
		"signed_in": signedIn, "mfa": mfa, "phishing_resistant": phishing, "aal2": aal2, "aal3": aal3,
	}
)

func labelled(name string, maxAge time.Duration, r *Requirement) *Requirement {
	r.label, r.maxAge = name, maxAge
	return r
}

// SignedIn is the requirement that any valid session meets.
func SignedIn() *Requirement { return signedIn }

// Both is the requirement that meets a and b; either may be nil.
func Both(a, b *Requirement) *Requirement {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return allOf(a, b)
}

// tighter is the smaller of two ages, where 0 stands for no limit.
func tighter(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// fresh judges an age in whole milliseconds. A proof from the future is not fresh.
func fresh(at, now time.Time, maxAge time.Duration) bool {
	age := now.UnixMilli() - at.UnixMilli()
	return age >= 0 && (maxAge == 0 || age <= maxAge.Milliseconds())
}

// evidence is what a session has shown.
type evidence struct {
	factors []Factor
	// remembered is when the device was remembered; the zero time when it was not.
	remembered time.Time
	now        time.Time
	// A proof from before since must hold for ahead more; 0 asks for nothing of the kind.
	since time.Time
	ahead time.Duration
	// can tells which needs come into question when it is asked what is missing; nil takes all.
	can func(*Need) bool
}

// fresh tells whether something proven at a time is new enough for a limit, where 0 stands for
// no limit.
func (e *evidence) fresh(at time.Time, limit time.Duration) bool {
	if limit != 0 && e.ahead != 0 && at.Before(e.since) && !fresh(at, e.now.Add(e.ahead), limit) {
		return false
	}
	return fresh(at, e.now, limit)
}

// evidence is what the subject has shown; nobody has shown nothing.
func (s *Subject) evidence(now time.Time) evidence {
	if s == nil {
		return evidence{now: now}
	}
	return evidence{factors: s.Factors, remembered: s.RememberedAt, now: now}
}

// scope is what the requirements around one ask of everything below them.
type scope struct {
	maxAge time.Duration
	once   bool
	rule   string
}

// into is the scope inside a requirement.
func (o scope) into(r *Requirement) scope {
	o.maxAge = tighter(r.maxAge, o.maxAge)
	if r.once {
		o.once, o.rule = true, r.rule
	}
	return o
}

// counts tells whether a proof is fresh and made for what asks for it.
func (o scope) counts(f *Factor, e *evidence) bool {
	if o.once && (o.rule == "" || f.ForRule != o.rule) || !o.once && f.ForRule != "" {
		return false
	}
	return e.fresh(f.At, o.maxAge)
}

// Met tells whether the factors meet the requirement at a time, on a device that is not
// remembered. An empty list meets nothing.
func (r *Requirement) Met(fs []Factor, now time.Time) bool {
	return r != nil && r.satisfied(&evidence{factors: fs, now: now}, scope{})
}

// MetBy tells whether a subject meets the requirement at a time. Nobody meets nothing.
func (r *Requirement) MetBy(s *Subject, now time.Time) bool {
	if r == nil || s == nil {
		return false
	}
	e := s.evidence(now)
	return r.satisfied(&e, scope{})
}

func (r *Requirement) satisfied(e *evidence, outer scope) bool {
	return r.proper(e, outer.into(r)) || r.recalled(e, outer)
}

// proper judges the factors alone; in is the scope inside the requirement.
func (r *Requirement) proper(e *evidence, in scope) bool {
	switch r.kind {
	case kindSignedIn:
		for i := range e.factors {
			if f := &e.factors[i]; in.counts(f, e) || !in.once && in.maxAge == 0 && fresh(f.At, e.now, 0) {
				return true
			}
		}
	case kindFactor:
		for i := range e.factors {
			if r.factor.accepts(&e.factors[i]) && in.counts(&e.factors[i], e) {
				return true
			}
		}
	case kindAll:
		for _, c := range r.children {
			if !c.satisfied(e, in) {
				return false
			}
		}
		return len(r.children) > 0
	case kindAny:
		for _, c := range r.children {
			if c.satisfied(e, in) {
				return true
			}
		}
	case kindCount:
		return proven(e, in).size(r.count) >= r.count
	}
	return false
}

// proven is the set of categories that count.
func proven(e *evidence, in scope) categorySet {
	var set categorySet
	for i := range e.factors {
		if in.counts(&e.factors[i], e) {
			set |= setOf(CategoryOf(e.factors[i].Name))
		}
	}
	return set
}

// size is how many of the wanted factors a set gives: one factor needs no combination.
func (s categorySet) size(wanted int) int {
	if wanted == 1 && s != 0 {
		return 1
	}
	return s.combined()
}

// accepts tells whether a proven factor is the one that is asked for, its age and use apart.
func (s *factorSpec) accepts(f *Factor) bool {
	switch s.name {
	case "passkey":
		if f.Name != "webauthn" || !f.Discoverable || !f.UserVerified {
			return false
		}
	case "totp":
		if f.Name != "totp" && (f.Name != "recovery_code" || s.noRecovery) {
			return false
		}
	default:
		if f.Name != s.name {
			return false
		}
	}
	switch {
	case s.variant != "" && f.Variant != s.variant,
		s.userVerified && !f.UserVerified,
		s.attachment != "" && f.Attachment != s.attachment,
		s.deviceBound && f.BackupEligible,
		len(s.aaguid) > 0 && !slices.ContainsFunc(s.aaguid, func(a string) bool { return strings.EqualFold(a, f.AAGUID) }):
		return false
	}
	return true
}

// display is the factor as rules name it.
func (s *factorSpec) display() string {
	if s.variant != "" {
		return s.name + ":" + s.variant
	}
	return s.name
}

// MaxAge is the smallest age that the requirement asks for anywhere; 0 when it asks for none.
func (r *Requirement) MaxAge() time.Duration {
	if r == nil {
		return 0
	}
	age := r.maxAge
	for _, c := range r.children {
		age = tighter(age, c.MaxAge())
	}
	return age
}

// ACRValues are the acr_values of RFC 9470 that stand for the requirement, most wanted first.
func (r *Requirement) ACRValues() []string {
	if r == nil {
		return nil
	}
	if r.label != "" {
		return []string{acrOf(r.label)}
	}
	var out []string
	for _, name := range r.factorNames(nil) {
		out = append(out, acrPrefix+"factor:"+name)
	}
	if r.kind == kindCount {
		out = append(out, acrOf("mfa"))
	}
	if len(out) == 0 {
		out = append(out, acrOf("signed_in"))
	}
	return out
}

// acrPrefix begins the names of authentication contexts that no registry has.
const acrPrefix = "urn:stepgate:"

func acrOf(label string) string {
	switch label {
	case "phishing_resistant":
		return "phr" // OpenID Connect EAP ACR Values 1.0
	case "signed_in":
		return acrPrefix + "aal1"
	}
	return acrPrefix + label
}

func (r *Requirement) factorNames(out []string) []string {
	if r.kind == kindFactor && !slices.Contains(out, r.factor.display()) {
		out = append(out, r.factor.display())
	}
	for _, c := range r.children {
		out = c.factorNames(out)
	}
	return out
}
