package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// signInByPassword signs in on the page that is shown.
func (b *tab) signInByPassword(email string) {
	b.t.Helper()
	b.sees("Sign in")
	b.fill("email", email)
	b.fill("password", goodPassword)
	b.do(chromedp.Click(chromedp.CSS(`button[value="password"]`)))
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

	b.open(d.base + "/reports")
	b.signInByPassword("ada@example.com")
	b.sees("Do not ask for a second factor in this browser for 30 days")
	b.shot("1-box")
	b.do(chromedp.Click(chromedp.CSS(`#remember`)))
	b.fill("code", totpCode(t, secret, now.Add(30*time.Second)))
	b.sees("payments are in the books")

	b.signOut(d)
	b.open(d.base + "/reports")
	b.signInByPassword("ada@example.com")
	b.sees("payments are in the books") // a password, and the browser

	if a := d.mail("ada@example.com", func(m message) bool { return m.Code == "" && m.Link == "" && m.Subject != "" }); a.Subject == "" {
		t.Error("the owner was not told")
	}
	b.open(d.base + "/.stepgate/account")
	b.sees("Remembered devices")
	b.do(chromedp.EmulateViewport(360, 740))
	b.shot("2-account")
	b.press("Forget")
	for deadline := time.Now().Add(10 * time.Second); strings.Contains(b.text(), "Remembered devices"); {
		if time.Now().After(deadline) {
			t.Fatal("the device is still remembered")
		}
	}
	b.open(d.base + "/reports")
	b.sees("Confirm it’s you")
}
