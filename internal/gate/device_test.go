package gate

import (
	"net/http"
	"testing"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/session"
	"github.com/stepgate/stepgate/policy"
)

const devicePolicy = `
version: 1
rules:
  - {name: strict, match: {path: /strict/*}, require: {all_of: [password, totp]}}
default: {require: {all_of: [password, totp], remember_device: 30d}}
`

const deviceCookie = "; __Host-Http-stepgate-device="

// A remembered device opens what rules with remember_device guard, and nothing else; its cookie
// never reaches the application.
func TestRememberedDevice(t *testing.T) {
	y := newYard(t)
	p, err := policy.Load("p", []byte(devicePolicy))
	if err != nil {
		t.Fatal(err)
	}
	y.Policy = func() *policy.Policy { return p }
	y.users.change(func(i *session.Identity) {
		i.Devices = []session.Device{{Secret: "known", ProvenAt: y.clock.Now(), ExpiresAt: y.clock.Now().Add(time.Hour)}}
	})
	cookie := y.signIn(factors.Password)
	y.blocked(http.StatusUnauthorized, req("GET", "/app", with(cookie)...))
	y.blocked(http.StatusUnauthorized, req("GET", "/app", with(cookie+deviceCookie+"unknown")...))
	y.blocked(http.StatusUnauthorized, req("GET", "/strict/1", with(cookie+deviceCookie+"known")...))
	y.blocked(http.StatusUnauthorized, req("GET", "/app", "Cookie", "__Host-Http-stepgate-device=known"))
	// Twice, or in another spelling, it is none.
	y.blocked(http.StatusUnauthorized, req("GET", "/app", with(cookie+deviceCookie+"known"+deviceCookie+"known")...))
	y.blocked(http.StatusUnauthorized, req("GET", "/app", with(cookie+"; __host-http-stepgate-device=known")...))
	r := y.forwarded(req("GET", "/app", with(cookie+deviceCookie+"known; theme=dark")...))
	if got := r.Header.Get("Cookie"); got != "theme=dark" {
		t.Errorf("upstream got the cookies %q", got)
	}
	// Forgotten from the next request on.
	y.users.change(func(i *session.Identity) { i.Devices = nil })
	y.manager.UserChanged("user-1")
	y.blocked(http.StatusUnauthorized, req("GET", "/app", with(cookie+deviceCookie+"known")...))
}
