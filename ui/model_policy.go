package ui

import "time"

// AdminPolicy shows the policies in force and explains what one decides about a request.
//
// GET [PathAdminPolicy]?policy=…&method=…&url=…&user=…&factors=…&client_ip=…
type AdminPolicy struct {
	Common
	Identity Identity
	Policies []PolicyInForce
	// Policy, Method, URL, User, Factors and ClientIP are what was asked.
	Policy, Method, URL, User, Factors, ClientIP string
	// Why is the answer; nil when nothing was asked.
	Why *Explained
}

// PolicyInForce is one policy.
type PolicyInForce struct {
	Name  string
	Rules int
	// Refused are the mistakes for which the newest content of the file is not in force.
	Refused []string
}

// Explained is a decision, rule by rule.
type Explained struct {
	// Outcome is a name of the policy: allow, deny, sign_in, step_up, refused.
	Outcome, Rule, Floor, Reason string
	// Required is what was asked for, in the form of the policy file.
	Required string
	// Missing are alternative sets of factors, each of which would be enough.
	Missing [][]Lacking
	Rules   []RuleWhy
	Floors  []RuleWhy
}

// Lacking is one factor that is missing, by its name in the policy; MaxAge is how old its proof may
// be, 0 when that does not matter.
type Lacking struct {
	Factor string
	MaxAge time.Duration
}

// RuleWhy says whether a rule or floor matched, and why or why not.
type RuleWhy struct {
	Name, Why string
	Hit       bool
	// Would is what a rule that is only reported would have done; empty for others.
	Would string
}

func (AdminPolicy) name() string  { return "admin-policy" }
func (AdminPolicy) title() string { return "Policy" }

// AdminRefusals lists the latest refusals.
//
// GET [PathAdminRefusals]?reference=… finds one.
type AdminRefusals struct {
	Common
	Identity Identity
	// Reference is what was looked for and not found; empty when nothing was.
	Reference string
	// Findable is set when Reference looks like one, so that it can stand in a command.
	Findable bool
	Refusals []Refusal
}

// Refusal is one request that was not forwarded.
type Refusal struct {
	Reference string
	At        time.Time
	Outcome   string
	Method    string
	Host      string
	Path      string
	Rule      string
	// Who is empty for somebody who was not signed in.
	Who, Address string
}

func (AdminRefusals) name() string  { return "admin-refusals" }
func (AdminRefusals) title() string { return "Refused requests" }

// AdminRefusal explains one refusal.
type AdminRefusal struct {
	Common
	Identity Identity
	Refusal  Refusal
	// Proven are the factors of the session, with their ages.
	Proven []string
	Policy string
	Why    Explained
}

func (AdminRefusal) name() string  { return "admin-refusal" }
func (AdminRefusal) title() string { return "Why it was refused" }

// OutcomeText says an outcome in words.
func OutcomeText(outcome string) string {
	switch outcome {
	case "allow":
		return "Let through"
	case "deny":
		return "Denied"
	case "sign_in":
		return "Asked to sign in"
	case "step_up":
		return "Asked for more proof"
	case "refused":
		return "Refused before any rule"
	}
	return outcome
}

// AdminReadiness tells who could not meet the rules of a policy.
//
// GET [PathAdminReadiness]?policy=…
type AdminReadiness struct {
	Common
	Identity Identity
	// Policies are the names of those in force, Policy the one that is shown.
	Policies []string
	Policy   string
	// Users counts accounts, Locked those that an administrator locked.
	Users, Locked int
	Rules         []RuleReady
}

// RuleReady is who could meet one rule with what is enrolled.
type RuleReady struct {
	Name           string
	Floor          bool
	ReportOnly     bool
	Ready, Unready int
	Lacking        []UserLacking
}

// UserLacking is a user who could not meet a rule.
type UserLacking struct {
	ID, Email string
	Locked    bool
	// NoWayIn is set when the user cannot even sign in.
	NoWayIn bool
	// Enrol are sets of factor names, of which one would help.
	Enrol [][]string
}

func (AdminReadiness) name() string  { return "admin-readiness" }
func (AdminReadiness) title() string { return "Readiness" }
