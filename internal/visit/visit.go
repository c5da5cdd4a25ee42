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
	// DeviceCookieName and LoopbackDeviceCookieName are those of the cookie by which a
	// remembered device is known. It stands in for one factor at most, and signs nobody in.
	DeviceCookieName         = "__Host-Http-stepgate-device"
	LoopbackDeviceCookieName = "stepgate-device"
)

// browserLife is how long a browser keeps its id: as long as browsers keep any cookie.
const browserLife = 400 * 24 * time.Hour

// Visit is one request as the gate understood it.
type Visit struct {
	// Session is nil for a visitor who is not signed in.
	Session *session.Session
	// Browser is the id that the browser keeps; empty when it has none yet.
	Browser string
	// Device is the value by which the browser shows that it is remembered; empty when it
	// shows none.
	Device string
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

	// unnamed is set while the browser does not know the id that it was given.
	unnamed bool
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
// session's limits are kept by the gateway (NIST SP 800-63B-4, section 5.1.1). With it goes the
// id of a browser that has none yet.
func (v *Visit) SetCookie(w http.ResponseWriter, value string) {
	http.SetCookie(w, v.cookie(value))
	v.SetBrowser(w)
}

// ClearCookie takes the session from the browser.
func (v *Visit) ClearCookie(w http.ResponseWriter) {
	c := v.cookie("") //nolint:gosec // Secure is off on plain-http loopback hosts only
	c.MaxAge = -1
	http.SetCookie(w, c)
}

// NameBrowser gives the browser an id of its own, which SetBrowser or SetCookie hands over.
func (v *Visit) NameBrowser(id string) { v.Browser, v.unnamed = id, true }

// SetBrowser hands the browser the id that it does not know yet.
func (v *Visit) SetBrowser(w http.ResponseWriter) {
	if !v.unnamed {
		return
	}
	v.unnamed = false
	c := v.cookie(v.Browser) //nolint:gosec // Secure is off on plain-http loopback hosts only
	c.Name = CookieNames(v.Plain).Browser
	c.MaxAge = int(browserLife / time.Second)
	http.SetCookie(w, c)
}

// SetDevice gives the browser the value by which it is remembered for so long.
func (v *Visit) SetDevice(w http.ResponseWriter, value string, life time.Duration) {
	c := v.cookie(value) //nolint:gosec // Secure is off on plain-http loopback hosts only
	c.Name = CookieNames(v.Plain).Device
	c.MaxAge = int(life / time.Second)
	http.SetCookie(w, c)
	v.Device = value
}

// Cookies are the names, or the values, of our cookies.
type Cookies struct{ Session, Browser, Device string }

// CookieNames are the names of our cookies.
func CookieNames(plain bool) Cookies {
	if plain {
		return Cookies{LoopbackCookieName, LoopbackBrowserCookieName, LoopbackDeviceCookieName}
	}
	return Cookies{CookieName, BrowserCookieName, DeviceCookieName}
}

func (v *Visit) cookie(value string) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure is off on plain-http loopback hosts only
		Name: CookieNames(v.Plain).Session, Value: value, Path: "/", HttpOnly: true, Secure: !v.Plain, SameSite: http.SameSiteLaxMode,
	}
}
