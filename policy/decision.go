package policy

import "time"

// Outcome is what happens to a request.
type Outcome uint8

// The outcomes. The zero value denies.
const (
	Deny Outcome = iota
	Allow
	// SignIn asks an anonymous visitor to sign in.
	SignIn
	// StepUp asks a session for further factors.
	StepUp
	// Refuse is for a request that two programs could read in different ways.
	Refuse
)

// String is the name of the outcome in tests, logs and commands.
func (o Outcome) String() string {
	switch o {
	case Allow:
		return "allow"
	case SignIn:
		return "sign_in"
	case StepUp:
		return "step_up"
	case Refuse:
		return "refused"
	}
	return "deny"
}

// Decision is the answer to one request. Its zero value denies, and only this package can
// make one that allows.
type Decision struct {
	outcome Outcome
	rule    string
	floor   string
	reason  string
	asked   asked
	subject *Subject
	now     time.Time
}

// Outcome is what happens to the request.
func (d *Decision) Outcome() Outcome { return d.outcome }

// Rule is the name of the rule that decided; "default" when none did.
func (d *Decision) Rule() string { return d.rule }

// Floor is the name of the first floor that is missing something; empty when none is.
func (d *Decision) Floor() string { return d.floor }

// Reason is a stable word for why.
func (d *Decision) Reason() string { return d.reason }

// Requirement is what the rule and the floors that matched ask for together; nil when none asks
// for anything.
func (d *Decision) Requirement() *Requirement { return d.asked.together() }

// Missing lists the alternative sets of factors that would let the request pass.
func (d *Decision) Missing() [][]Need { return d.Requirement().MissingFor(d.subject, d.now) }

// The reasons of decisions.
const (
	reasonAllowed     = "allowed_by_rule"
	reasonDenied      = "denied_by_rule"
	reasonAnonymous   = "not_signed_in"
	reasonMet         = "requirement_met"
	reasonMissing     = "factors_missing"
	reasonRepeatedKey = "repeated_query_key"
)
