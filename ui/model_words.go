package ui

import (
	"net/http"
	"strconv"
	"strings"
)

// The small texts that the templates take from their models.

// EmailAutocomplete lets browsers offer passkeys in the e-mail field.
func (m SignIn) EmailAutocomplete() string {
	if m.Passkey {
		return "username webauthn"
	}
	return "username"
}

// PasswordAutocomplete likewise for the password field.
func (m SignIn) PasswordAutocomplete() string {
	if m.Passkey {
		return "current-password webauthn"
	}
	return "current-password"
}

// ForgotLink is the address of "Forgot it?", or "".
func (m SignIn) ForgotLink() string {
	if m.Forgot {
		return PathForgot
	}
	return ""
}

// NeedsEmail reports whether a sign-in by the method needs the e-mail address.
func (m Method) NeedsEmail() bool { return m.Factor == "email_otp" || m.Factor == "magic_link" }

// CodeName is what the code is called.
func (m SignInCode) CodeName() string { return codeName(m.Channel) }

// CodeLabel is the label of its field.
func (m SignInCode) CodeLabel() string { return upper(codeName(m.Channel)) }

// Icon is the picture of the channel.
func (m SignInCode) Icon() string {
	switch m.Channel {
	case "sms":
		return "phone"
	case "whatsapp":
		return "chat"
	}
	return "mail"
}

// CodeLabel is the label of the field of a code that was sent.
func (m Challenge) CodeLabel() string { return upper(m.Method.CodeName()) }

// MethodField is the hidden field that names the method.
func (m Challenge) MethodField() []Field { return []Field{{"method", m.Method.Value}} }

// StepList is one class per step.
func (m Challenge) StepList() []string {
	out := make([]string, min(max(m.Steps, 0), 4))
	for i := range out {
		switch {
		case i+1 < m.Step:
			out[i] = "past"
		case i+1 == m.Step:
			out[i] = "now"
		default:
			out[i] = "next"
		}
	}
	return out
}

// RememberText is the offer to remember this browser; empty when there is none.
func (m Challenge) RememberText() string {
	if m.Rememberable <= 0 {
		return ""
	}
	return "Do not ask for a second factor in this browser for " + duration(m.Rememberable)
}

// LastsText says how long the confirmation holds.
func (m Challenge) LastsText() string {
	switch {
	case m.Once:
		return "This confirms one action. The next one asks again."
	case m.Lasts > 0:
		return "You will not be asked again for " + duration(m.Lasts) + "."
	}
	return "You will not be asked again until you sign out."
}

// IDField is the hidden field that names the address.
func (m ConfirmEmail) IDField() []Field { return []Field{{"email_id", m.ID}} }

func guidance(minimum int) string {
	if minimum <= 0 {
		minimum = 8
	}
	return "At least " + strconv.Itoa(minimum) + " characters. A few unrelated words are easy to remember and hard to guess."
}

// Guidance says what a good password is.
func (m Password) Guidance() string { return guidance(m.Minimum) }

// Heading is the heading of the page.
func (m Password) Heading() string { return m.title() }

// Guidance says what a good password is.
func (m ResetPassword) Guidance() string { return guidance(m.Minimum) }

// Guidance says what a good password is.
func (m Invite) Guidance() string { return guidance(m.Minimum) }

// Icon is the picture of the page.
func (m Invite) Icon() string {
	if m.Setup {
		return "shield"
	}
	return "wave"
}

// Heading is the heading of the page.
func (m Expired) Heading() string { return m.title() }

// Lead is the paragraph below the heading.
func (m Expired) Lead() string {
	switch m.Reason {
	case "session":
		return "It had reached its full length. Sign in again and you go on where you were."
	case "idle":
		return "You were away for a while, so it was closed for your safety. Sign in again and you go on where you were."
	case "revoked":
		return "It was signed out from another place, by you or by the people who run this service."
	case "invite":
		return "An invitation works once and for a limited time. Ask the person who invited you for a new one."
	case "reset":
		return "It works once and for a limited time. Ask for a new one, and use the mail that comes last."
	case "link":
		return "A sign-in link works once and for a limited time. Ask for a new one, and use the mail that comes last."
	case "held":
		return "What you entered was sent already, or waited longer than 10 minutes. Nothing was sent again."
	}
	return "It was open for too long, or you finished it in another tab. Start again from the page you wanted."
}

// NextText is the text of the main link.
func (m Expired) NextText() string {
	switch m.Reason {
	case "session", "idle", "revoked", "invite":
		return "Sign in"
	case "reset", "link":
		return "Ask for a new link"
	case "held":
		return "Back to the page"
	}
	return "Start again"
}

// Heading is the heading of the page.
func (m Error) Heading() string { return m.title() }

// Icon is the picture of the page.
func (m Error) Icon() string {
	switch m.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return "clock"
	case http.StatusForbidden:
		return "stop"
	}
	return "alert"
}

// Tone is the colour of the picture.
func (m Error) Tone() string {
	if m.Status >= 500 || m.Status == http.StatusForbidden {
		return "bad"
	}
	return "warn"
}

// ChannelName is the channel in words.
func (s Sent) ChannelName() string {
	switch s.Channel {
	case "email":
		return "E-mail"
	case "sms":
		return "Text message"
	case "whatsapp":
		return "WhatsApp"
	}
	return s.Channel
}

// FactorText names what is enrolled.
func (u User) FactorText() string {
	if len(u.Factors) == 0 {
		return "nothing set up yet"
	}
	nouns := make([]string, len(u.Factors))
	for i, f := range u.Factors {
		nouns[i] = methods[f].Noun
	}
	return strings.Join(nouns, ", ")
}

// Initial is the first letter for the round mark.
func (u User) Initial() string { return Identity{Email: u.Email, Name: u.Name}.Initial() }

func upper(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}

// Noun is what was sent.
func (m SignInCode) Noun() string {
	if m.Link {
		return "link"
	}
	return "code"
}

// Noun is what was sent.
func (m Challenge) Noun() string {
	if m.Method.Factor == "magic_link" {
		return "link"
	}
	return "code"
}
