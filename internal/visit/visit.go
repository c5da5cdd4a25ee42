// Package visit carries what the gate found out about a request to the pages and the API:
// who is asking, from where, on which site. Only the gate makes a Visit; nothing in it is
// taken from headers that a client controls.
package visit

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/stepgate/stepgate/internal/session"
)

// Names of the session cookie.
const (
	// CookieName is used wherever the browser keeps Secure cookies. The prefixes make
	// browsers refuse it from scripts and from other hosts (draft-ietf-httpbis-rfc6265bis
	// and its layered successor).
	CookieName = "__Host-Http-stepgate"
	// LoopbackCookieName is used on plain-http loopback hosts only.
	LoopbackCookieName = "stepgate"
	// BrowserCookieName and LoopbackBrowserCookieName are likewise the names of the cookie
	// that tells one browser from another. It signs nobody in.
	BrowserCookieName         = "__Host-Http-stepgate-browser"
	LoopbackBrowserCookieName = "stepgate-browser"
)

// browserLife is how long a browser keeps its id: as long as browsers keep any cookie.
const browserLife = 400 * 24 * time.Hour

// Visit is one request as the gate understood it.
type Visit struct {
	// Session is nil for a visitor who is not signed in.
	Session *session.Session
	// Browser is the id that the browser keeps; empty when it has none yet.
	Browser string
	// IP is the client's address; the zero Addr when it is unknown.
	IP netip.Addr
	// Host is the canonical host, in lower case, with its port when that is not the default.
	Host string
	// Origin is the origin of the site, such as "https://wiki.example.com".
	Origin string
	// Plain is set on plain-http loopback hosts, where the cookie cannot be Secure.
	Plain bool
	// Loopback is set when both the host and the client are loopback addresses.
	Loopback bool
	// RequestID names the request in answers and logs.
	RequestID string
}

type key struct{}

// With returns a context that carries v.
func With(ctx context.Context, v *Visit) context.Context { return context.WithValue(ctx, key{}, v) }

// From returns the Visit of a request; nil when the request did not come through the gate.
func From(ctx context.Context) *Visit {
	v, _ := ctx.Value(key{}).(*Visit)
	return v
}

// SetCookie hands a session to the browser. The cookie has no expiry of its own: the
// session's limits are kept by the gateway (NIST SP 800-63B-4, section 5.1.1).
func (v *Visit) SetCookie(w http.ResponseWriter, value string) {
	http.SetCookie(w, v.cookie(value))
}

// ClearCookie takes the session from the browser.
func (v *Visit) ClearCookie(w http.ResponseWriter) {
	c := v.cookie("") //nolint:gosec // Secure is off on plain-http loopback hosts only
	c.MaxAge = -1
	http.SetCookie(w, c)
}

// SetBrowser gives the browser an id of its own.
func (v *Visit) SetBrowser(w http.ResponseWriter, id string) {
	c := v.cookie(id) //nolint:gosec // Secure is off on plain-http loopback hosts only
	_, c.Name = CookieNames(v.Plain)
	c.MaxAge = int(browserLife / time.Second)
	http.SetCookie(w, c)
	v.Browser = id
}

// CookieNames are the names of the two cookies.
func CookieNames(plain bool) (session, browser string) {
	if plain {
		return LoopbackCookieName, LoopbackBrowserCookieName
	}
	return CookieName, BrowserCookieName
}

func (v *Visit) cookie(value string) *http.Cookie {
	name, _ := CookieNames(v.Plain)
	return &http.Cookie{ //nolint:gosec // Secure is off on plain-http loopback hosts only
		Name: name, Value: value, Path: "/", HttpOnly: true, Secure: !v.Plain, SameSite: http.SameSiteLaxMode,
	}
}
