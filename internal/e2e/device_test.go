package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// signInByPassword signs in on the page that is shown.
func (b tab) signInByPassword(email string) {
	b.T.Helper()
	b.Sees("Sign in")
	b.Fill("email", email)
	b.Fill("password", goodPassword)
	b.Click(`button[value="password"]`)
}

// Whoever ticks the box is not asked for the second factor again in that browser, until the
// device is forgotten.
func TestRememberedDeviceInABrowser(t *testing.T) {
	b, ok := openBrowser(t)
	if !ok {
		return
	}
	d := startDemo(t)
	c := d.signedIn("ada@example.com")
	secret := c.api(200, http.MethodPost, "totps", nil).json["secret"].(string)
	now := time.Now()
	c.api(200, http.MethodPost, "totps/authenticate", map[string]string{"code": totpCode(t, secret, now)})

	b.Open(d.base + "/reports")
	b.signInByPassword("ada@example.com")
	b.Sees("Do not ask for a second factor in this browser for 30 days")
	b.Shot("1-box")
	b.Click(`#remember`)
	b.Fill("code", totpCode(t, secret, now.Add(30*time.Second)))
	b.Sees("payments are in the books")

	b.signOut(d)
	b.Open(d.base + "/reports")
	b.signInByPassword("ada@example.com")
	b.Sees("payments are in the books") // a password, and the browser

	if a := d.mail("ada@example.com", func(m message) bool { return m.Code == "" && m.Link == "" && m.Subject != "" }); a.Subject == "" {
		t.Error("the owner was not told")
	}
	b.Open(d.base + "/.stepgate/account")
	b.Sees("Remembered devices")
	b.Viewport(360, 740)
	b.Shot("2-account")
	b.Press("Forget")
	for deadline := time.Now().Add(10 * time.Second); strings.Contains(b.Text(), "Remembered devices"); {
		if time.Now().After(deadline) {
			t.Fatal("the device is still remembered")
		}
	}
	b.Open(d.base + "/reports")
	b.Sees("Confirm it’s you")
}
