package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// What a client says about its own steps, factors and levels decides nothing, and a
// weaker way than the rule asks for is neither offered nor taken.
func TestTheClientDecidesNothing(t *testing.T) {
	d := startDemo(t)
	c := d.signedIn("alice@example.com")
	secret := c.api(200, http.MethodPost, "totps", nil).json["secret"].(string)
	now := time.Now()
	c.api(200, http.MethodPost, "totps/authenticate", map[string]string{"code": totpCode(t, secret, now)})
	html := []string{"Accept", "text/html"}
	closed := func(what string) string {
		t.Helper()
		a := c.get("/admin/?acr_values=urn:stepgate:aal3&factors=passkey&prompt=none&satisfied=true", html...)
		to := a.header.Get("Location")
		if a.status != http.StatusSeeOther || !strings.HasPrefix(to, "/.stepgate/challenge?flow=") {
			t.Fatalf("%s: %d %q", what, a.status, to)
		}
		return to
	}
	page := c.get(closed("at first"), html...)
	for _, weaker := range []string{"Authenticator code", "e-mail code", `name="code"`, `name="password"`} {
		if strings.Contains(page.body, weaker) {
			t.Errorf("the challenge offers %q", weaker)
		}
	}
	csrf := token(t, page.body)
	_, flow, _ := strings.Cut(closed("before"), "flow=")
	next := totpCode(t, secret, now.Add(30*time.Second))
	for _, body := range []string{
		"action=verify&method=totp&code=" + next, "action=verify&method=password&password=" + goodPassword, "action=choose&method=email_otp", "action=continue",
		"action=continue&satisfied=true&step=2&steps=2&factors=passkey&remember=yes", "action=verify&method=passkey&credential=%7B%7D",
	} {
		a := c.do("POST", "/.stepgate/challenge", form, body+"&flow="+flow+"&csrf="+csrf, html...)
		if to := a.header.Get("Location"); to == "/admin/" || strings.HasPrefix(to, "/admin") {
			t.Errorf("%s: leads on to %s", body, to)
		}
		closed(body)
	}
	for _, in := range []map[string]any{
		{"code": "000000", "flow": flow, "satisfied": true}, {"code": "000000", "acr": "aal3"}, {"code": "000000", "user_verified": true, "type": "webauthn"},
	} {
		c.api(401, http.MethodPost, "totps/authenticate", in)
		closed("after the API")
	}
}
