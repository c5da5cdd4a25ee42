package ui

import "time"

// SignIn is the first page of a sign-in.
//
// POST [PathSignIn]: csrf, flow, email, password, action. The action is
// "password" for the main button, else the Value of one of Others (for
// example "email_otp", "magic_link", "oauth:google"); then password is empty
// or to be ignored. The passkey button and autofill use the JSON API
// (webauthn/authenticate/start and webauthn/authenticate with {flow}) and then
// post csrf, flow, action=continue.
type SignIn struct {
	Common
	Target Target
	// Email fills the e-mail field again.
	Email string
	// Password shows the password field and its button.
	Password bool
	// Passkey shows the passkey button and offers passkeys in autofill.
	Passkey bool
	// Others are the further ways to start a session; Value is the action.
	Others []Method
	// Forgot shows the link to [PathForgot].
	Forgot bool
}

func (SignIn) name() string { return "sign-in" }
func (m SignIn) title() string {
	if m.Target.Known() {
		return "Sign in to open " + m.Target.Short()
	}
	return "Sign in"
}

// SignInCode asks for the code that was sent to start a session. It looks the
// same whether or not the account exists.
//
// POST [PathSignIn]: csrf, flow, action=verify, code; action=resend;
// action=restart (other address, other way).
type SignInCode struct {
	Common
	Target Target
	// Channel is "email", "sms" or "whatsapp".
	Channel string
	// To is the address as the visitor typed it.
	To string
	// Link is set when a link was mailed: then the code is the short code that
	// the link shows in another browser.
	Link bool
	Waiting
}

func (SignInCode) name() string { return "sign-in-code" }
func (m SignInCode) title() string {
	if m.Link {
		return "Open the link in your mail to sign in"
	}
	return "Enter the " + codeName(m.Channel) + " to sign in"
}

// Invite is where an invited person, or the first administrator, sets up the
// account.
//
// POST [PathInvite] followed by Token: csrf, name, email (only when
// EmailOpen), password, action=password or the Value of one of Others (for
// example "email_otp").
type Invite struct {
	Common
	Token string
	// Setup makes it the page of the first administrator.
	Setup bool
	// Email is the invited address; with EmailOpen it can be typed.
	Email     string
	EmailOpen bool
	Name      string
	// InvitedBy is the name or address of the inviting person; may be empty.
	InvitedBy string
	// Host is the host that the invitation is for; may be empty.
	Host string
	// ExpiresAt is when the link stops working; zero shows nothing.
	ExpiresAt time.Time
	// Password shows the password field; Minimum is its least length.
	Password bool
	Minimum  int
	Others   []Method
}

func (Invite) name() string { return "invite" }
func (m Invite) title() string {
	if m.Setup {
		return "Set up the first administrator"
	}
	return "Accept your invitation"
}

// MagicLink is what the mailed sign-in link shows. Opening it spends nothing.
//
// POST [PathLink] followed by Token: csrf, action=sign_in. With Code set there
// is no form: the link was opened in another browser than the one that asked,
// and the code is to be typed there.
type MagicLink struct {
	Common
	Token  string
	Target Target
	Email  string
	// Code is the short code for the browser that asked; empty in that browser.
	Code string
}

func (MagicLink) name() string { return "link" }
func (m MagicLink) title() string {
	if m.Code != "" {
		return "Type this code where you asked for the link"
	}
	return "Finish signing in"
}

// SignOut asks before it ends sessions; opening it changes nothing.
//
// POST [PathSignOut]: csrf, action=here or action=everywhere.
type SignOut struct {
	Common
	Identity Identity
	// Cancel is the path of the page to go back to.
	Cancel string
}

func (SignOut) name() string  { return "sign-out" }
func (SignOut) title() string { return "Sign out?" }

// SignedOut follows a sign-out. It has no form.
type SignedOut struct {
	// Everywhere is set when all sessions of the user were ended.
	Everywhere bool
	// SignIn is the path of the link "Sign in again"; empty shows none.
	SignIn string
}

func (SignedOut) name() string  { return "signed-out" }
func (SignedOut) title() string { return "You are signed out" }

// Expired is shown when a session, a flow, a link or a request that waited is over. It has no form.
type Expired struct {
	// Reason is "session", "idle", "revoked", "flow", "invite", "reset", "link" or "held".
	Reason string
	Target Target
	// Next is the path of the main link; empty shows none.
	Next string
}

func (Expired) name() string { return "expired" }
func (m Expired) title() string {
	switch m.Reason {
	case "session", "idle", "revoked":
		return "Your session has ended"
	case "invite", "reset", "link":
		return "This link no longer works"
	case "held":
		return "There is nothing left to send"
	}
	return "This page has expired"
}

// Done ends a flow that a script of an app opened in a window of its own:
// stepgate.js opens the challenge_url with the query "window=1", and such a flow
// ends here instead of at the page that was wanted. It has no form; it tells the
// app and closes itself.
type Done struct {
	Target Target
	Flow   string
}

func (Done) name() string  { return "done" }
func (Done) title() string { return "Confirmed. You can close this window" }
