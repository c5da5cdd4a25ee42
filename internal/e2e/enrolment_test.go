package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// The secret of an authenticator app is the gateway's own, whatever a client proposes,
// and nothing tells it again once the app is confirmed.
func TestTheSecretIsShownOnce(t *testing.T) {
	d := startDemo(t)
	c := d.signedIn("alice@example.com")
	const proposed = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	start := c.do("POST", "/.stepgate/api/v1/totps", "application/json", `{"secret":"`+proposed+`","verified":true}`)
	secret, _ := start.json["secret"].(string)
	if start.status != 200 || secret == "" || secret == proposed {
		t.Fatalf("%d %s", start.status, start.body)
	}
	if start.header.Get("Cache-Control") != "no-store" {
		t.Errorf("the answer with the secret may be kept: %q", start.header.Get("Cache-Control"))
	}
	if a := c.api(200, http.MethodGet, "user", nil); strings.Contains(a.body, `"verified":true,"secret"`) || strings.Contains(a.body, secret) {
		t.Errorf("before the first code: %s", a.body)
	}
	c.api(401, http.MethodPost, "totps/authenticate", map[string]string{"code": totpCode(t, proposed, time.Now())})
	c.api(200, http.MethodPost, "totps/authenticate", map[string]string{"code": totpCode(t, secret, time.Now())})
	for _, path := range []string{"api/v1/user", "api/v1/session", "api/v1/sessions", "account", "admin/users"} {
		if a := c.get("/.stepgate/"+path, "Accept", "text/html"); strings.Contains(a.body, secret) {
			t.Errorf("%s tells the secret", path)
		}
	}
	again := c.api(200, http.MethodPost, "totps", nil)
	if strings.Contains(again.body, secret) {
		t.Error("a new enrolment tells the old secret")
	}
	if out, _ := d.run("", "users", "show", "alice@example.com", "--json"); strings.Contains(out, secret) {
		t.Error("a command tells the secret")
	}
}

// No request makes an address verified but the code that was sent to it.
func TestNobodyCallsAnAddressVerified(t *testing.T) {
	d := startDemo(t)
	c := d.signedIn("alice@example.com")
	c.do("POST", "/.stepgate/api/v1/emails", "application/json", `{"email":"other@example.com","verified":true,"email_verified":true}`)
	csrf := token(t, c.get("/.stepgate/account", "Accept", "text/html").body)
	c.do("POST", "/.stepgate/account/emails", form, "action=add&email=third@example.com&verified=true&csrf="+csrf, "Accept", "text/html")
	for _, method := range []string{"PUT", "PATCH", "POST"} {
		if a := c.do(method, "/.stepgate/api/v1/user", "application/json", `{"emails":[{"email":"other@example.com","verified":true}]}`); a.status != http.StatusMethodNotAllowed {
			t.Errorf("%s user: %d", method, a.status)
		}
	}
	a := c.api(200, http.MethodGet, "user", nil)
	if strings.Contains(a.body, "other@example.com") || strings.Contains(a.body, "third@example.com") {
		t.Errorf("an address that nobody proved is in the account: %s", a.body)
	}
}
