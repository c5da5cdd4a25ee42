package ui

import (
	"strings"
	"time"
)

// Page is one of the view models of this package. Only types of this package
// satisfy it; each says in its comment which form fields its page posts.
type Page interface {
	// name is the file name of the template without ".html".
	name() string
	// title is what the window title says before the name of the product:
	// what the page is for and why it is shown.
	title() string
}

// Common is the part that pages with a form share. Every form of every page
// posts the hidden field "csrf", and the hidden field "flow" when Flow is set.
type Common struct {
	// CSRF is the token that the hidden field "csrf" carries.
	CSRF string
	// Flow is the id of the flow that the form belongs to; empty for pages
	// outside a flow, then no field "flow" is posted.
	Flow string
	// Problems are shown above the form, and beside the field they name.
	Problems []Problem
	// Notice is one sentence of good news ("Your password was changed.").
	Notice string
}

// Problem is one thing that has to be put right. Text says what happened and
// what to do next. Field is the name of the form field, or "" for the whole form.
type Problem struct {
	Field string
	Text  string
}

func (c Common) common() Common { return c }

// withCommon is satisfied by every model that embeds Common.
type withCommon interface{ common() Common }

// Target is the page that the visitor wants, shown as plain text.
type Target struct {
	// Host is the host name, with the port when it is not the usual one.
	Host string
	// Path is the decoded path without query; "/" or "" is not shown.
	Path string
	// Title is the display name of the rule ("Payroll: delete"); may be empty.
	Title string
}

// Short is the target in one line for headings and window titles.
func (t Target) Short() string {
	if t.Title != "" {
		return clip(t.Title, 80)
	}
	return clip(t.Where(), 80)
}

// Where is host and path; the path "/" is left out.
func (t Target) Where() string {
	if t.Path == "/" {
		return t.Host
	}
	return t.Host + t.Path
}

// Known reports whether there is anything to show.
func (t Target) Known() bool { return t.Host != "" }

// Identity is who the visitor is signed in as. The zero value is nobody.
type Identity struct {
	Email string
	Name  string
}

// Known reports whether somebody is signed in.
func (i Identity) Known() bool { return i.Email != "" || i.Name != "" }

// Label is the e-mail address, or the name of an account without one.
func (i Identity) Label() string {
	if i.Email != "" {
		return i.Email
	}
	return i.Name
}

// Initial is the first letter for the round mark beside the address.
func (i Identity) Initial() string {
	for _, r := range strings.ToUpper(i.Name + i.Email) {
		return string(r)
	}
	return "?"
}

// Method is one way to prove who you are, as a page offers it.
type Method struct {
	// Factor is a factor name of the policy language without its variant:
	// password, magic_link, email_otp, sms_otp, whatsapp_otp, oauth, totp,
	// recovery_code, webauthn, passkey, crypto_wallet.
	Factor string
	// Value is posted when the method is chosen; opaque to the page.
	Value string
	// Label is the display name of the OAuth provider or wallet ("Google"), or
	// the name that the user gave the key ("Blue key"); may be empty.
	Label string
	// Hint is one more detail, such as a masked address ("a•••@example.com").
	Hint string
}

// clip shortens s to n characters, the last of them an ellipsis.
func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// Waiting says how a code that was sent can be used and replaced.
type Waiting struct {
	// ExpiresAt is when the code stops working; zero shows nothing.
	ExpiresAt time.Time
	// ResendAt is when another code may be asked for; zero or past is now.
	ResendAt time.Time
}
