package ui

import (
	"net/http"
	"time"
)

// Denied is the 403 page of a rule.
//
// The button "Use another account" posts csrf, flow (when set), action=switch
// to [PathSignOut].
type Denied struct {
	Common
	Target   Target
	Identity Identity // zero: not signed in, then no button
	Rule     string
	// Reference is the request id.
	Reference string
}

func (Denied) name() string { return "denied" }
func (m Denied) title() string {
	return "You are not allowed to open " + m.Target.Short()
}

// Error is every other answer that is not a page of the portal. It has no form.
type Error struct {
	// Status is the HTTP status; it chooses the words: 400, 401, 403, 404, 405, 413,
	// 421, 429, 503, anything else is an error of our own.
	Status int
	// Item and Option name what a refused target contained and the option that
	// would allow it ("encoded_slash"); both may be empty.
	Item, Option string
	// Host is the host asked for, shown with 421.
	Host string
	// Detail is one sentence more; may be empty.
	Detail string
	// RetryAfter is how long to wait, with 429 and 503; 0 shows nothing.
	RetryAfter time.Duration
	// Reference is the request id.
	Reference string
	// Back is the path of a link to a safe page; empty shows none.
	Back string
}

func (Error) name() string { return "error" }
func (m Error) title() string {
	switch m.Status {
	case http.StatusBadRequest:
		if m.Item == "" {
			return "That could not be read"
		}
		return "This address cannot be opened"
	case http.StatusUnauthorized:
		return "You were not signed in"
	case http.StatusForbidden:
		return "This request was refused"
	case http.StatusNotFound:
		return "There is no such page"
	case http.StatusMethodNotAllowed:
		return "This page cannot be used that way"
	case http.StatusRequestEntityTooLarge:
		return "That was too large to send"
	case http.StatusMisdirectedRequest:
		return "This host is not served here"
	case http.StatusTooManyRequests:
		return "Too many attempts. Please wait a little"
	case http.StatusServiceUnavailable:
		return "Sign-in is not available right now"
	}
	return "Something went wrong"
}

// Lead is the paragraph below the heading.
func (m Error) Lead() string {
	switch m.Status {
	case http.StatusBadRequest:
		if m.Item == "" {
			return "Nothing was changed. Go back, load the page again, and repeat what you did."
		}
		return "The address contains something that programs read in different ways, so it was stopped before it reached the application."
	case http.StatusUnauthorized:
		return "Nothing was changed. Open the page that you wanted and try again."
	case http.StatusForbidden:
		return "It came from another site, or the page was open for too long. Go back, load the page again, and repeat what you did."
	case http.StatusNotFound:
		return "The address may be misspelled, or what it led to is over."
	case http.StatusMethodNotAllowed:
		return "Open it from the link or button that belongs to it."
	case http.StatusRequestEntityTooLarge:
		return "Nothing was changed. Try again with less."
	case http.StatusMisdirectedRequest:
		return "This gateway does not know the host that was asked for. Check the address."
	case http.StatusTooManyRequests:
		return "Nothing is wrong with your account. Waiting keeps others from guessing their way in."
	case http.StatusServiceUnavailable:
		return "Nothing of yours was lost. To be safe, protected pages stay closed until this is repaired."
	}
	return "It is not your fault, and nothing was changed. Please try again."
}
