package ui

import "time"

// Challenge asks for one missing factor: "Confirm it's you to open …". The
// portal chooses Method (the strongest enrolled one that satisfies the rule)
// and lists in Others only methods that would satisfy it too.
//
// POST [PathChallenge]: csrf, flow, method (Value of Method) and action:
//   - action=verify with password, or with code (e-mail code, SMS or WhatsApp
//     code, authenticator code, recovery code);
//   - action=send sends or resends the code or link of Method;
//   - action=start leaves for the provider of an oauth Method;
//   - action=choose with method = Value of one of Others;
//   - action=continue after a script has proven the factor by the JSON API
//     (webauthn, passkey, crypto_wallet);
//   - action=cancel drops the flow and what it holds, and leads to a safe page.
//
// verify, start and continue take remember=yes when the page offers it.
//
// The link "Not you?" posts csrf, flow, action=switch to [PathSignOut].
type Challenge struct {
	Common
	Target   Target
	Identity Identity
	// Method is the way that the page shows now.
	Method Method
	// Sent is set when the code or link of Method is on its way; before that
	// the page shows the button that sends it.
	Sent bool
	Waiting
	// Others are the further ways, strongest first.
	Others []Method
	// Step and Steps count the factors that are asked for, from 1; Steps below
	// 2 shows nothing.
	Step, Steps int
	// Lasts says how long the confirmation holds; 0 is until sign-out.
	Lasts time.Duration
	// Once is set when the confirmation holds for this one request only.
	Once bool
	// Rememberable is for how long this browser can be remembered instead of asking for the
	// second factor; 0 offers nothing. Remember is set when it was ticked.
	Rememberable time.Duration
	Remember     bool
	// HeldUntil is until when what was entered is kept, to be sent after the challenge; the zero
	// time when nothing is. Target is then where it goes.
	HeldUntil time.Time
	// Assure is "verified" when the key must check fingerprint, face or PIN.
	Assure string
}

func (Challenge) name() string { return "challenge" }
func (m Challenge) title() string {
	switch {
	case !m.Target.Known():
		return "Confirm it’s you"
	case !m.HeldUntil.IsZero():
		return "Confirm it’s you to send to " + m.Target.Short()
	}
	return "Confirm it’s you to open " + m.Target.Short()
}

// Kind groups the methods by the panel that the page shows for them.
func (m Challenge) Kind() string {
	switch m.Method.Factor {
	case "email_otp", "sms_otp", "whatsapp_otp", "magic_link":
		if m.Sent {
			return "code"
		}
		return "send"
	case "passkey", "webauthn":
		return "webauthn"
	}
	return m.Method.Factor
}

// NoFactor is shown when no factor of the account can satisfy the rule.
//
// With Options: one form for each, POST to its Action: csrf, flow and the
// hidden fields given. Without Options it is a refusal with Reference. The
// button "Use another account" posts csrf, flow, action=switch to
// [PathSignOut]; the button "Cancel" posts csrf, flow, action=cancel to
// [PathChallenge].
type NoFactor struct {
	Common
	Target   Target
	Identity Identity
	Options  []Enrolment
	// Reference is the id that support finds in the log.
	Reference string
}

// Enrolment is a factor that the user may set up now.
type Enrolment struct {
	Factor string // as Method.Factor
	Label  string // as Method.Label
	Action string // one of the Path constants below the account
	Fields []Field
}

// Field is a hidden form field.
type Field struct{ Name, Value string }

func (NoFactor) name() string { return "no-factor" }
func (m NoFactor) title() string {
	if len(m.Options) > 0 {
		return "Set up one more way to confirm it’s you"
	}
	return "You cannot open this page yet"
}
