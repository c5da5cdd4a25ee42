package e2e

import (
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/browsertest"
)

// tab is a tab of somebody who uses the demonstration.
type tab struct{ *browsertest.Tab }

func openBrowser(t *testing.T) (tab, bool) {
	t.Helper()
	b, ok := browsertest.Start(t)
	return tab{b}, ok
}

// TestNewcomer does in a browser what the demonstration invites to: accept the invitation,
// step up for a payment, set up an authenticator app for the admin area, lose a live
// connection by signing out, and sign in again.
func TestNewcomer(t *testing.T) {
	b, ok := openBrowser(t)
	if !ok {
		return
	}
	d := startDemo(t)

	b.Open(d.invite)
	b.Sees("you@example.com")
	b.Fill("name", "Robin")
	b.Fill("password", "password12345678")
	b.Press("Create the account")
	b.Sees("easy to guess")
	b.Shot("1-invitation-refused")
	b.Fill("password", goodPassword)
	b.Press("Create the account")
	b.Sees("Welcome to Acme Office")
	b.Sees("Remote-User")

	b.Open(d.base + "/payments")
	b.Press("Make the payment")
	b.Sees("Confirm it’s you")
	b.Shot("2-challenge")
	b.Press("Send the e-mail code")
	b.Sees("Six digits are on their way")
	b.Fill("code", "000000")
	b.Sees("This code is not right")
	b.Shot("3-wrong-code")
	b.Fill("code", d.code("you@example.com"))
	b.Sees("The payment was made.")
	if b.Location() != d.base+"/payments?paid=1" {
		t.Fatalf("returned to %s", b.Location())
	}

	b.Open(d.base + "/admin/")
	b.Sees("One more step for the first time")
	b.Shot("4-no-factor")
	b.Open(d.base + "/.stepgate/account")
	b.Press("Set up the authenticator app")
	b.Sees("Scan this picture")
	b.Scheme("dark")
	b.Shot("5-enrol-dark")
	b.Scheme("light")
	secret := browsertest.Eval[string](b.Tab, `document.querySelector('.secret').textContent.replace(/^.*Key:/s, '').replace(/\s/g, '')`)
	b.Fill("code", totpCode(t, secret, time.Now()))
	b.Sees("Save your recovery codes")
	b.Shot("6-recovery-codes")
	b.Click(`input[name="saved"]`)
	b.Press("Done")
	b.Sees("Welcome to Acme Office")

	b.Open(d.base + "/.stepgate/account")
	b.Sees("Where you are signed in")
	b.Viewport(360, 740)
	b.Shot("7-account-phone")
	b.Viewport(1000, 760)
	b.Shot("8-account")

	b.Press("Remove the authenticator app")
	b.Sees("Remove your authenticator app?")
	b.Shot("8-remove")
	b.Press("Keep it")
	b.Sees("Where you are signed in")

	b.Open(d.base + "/live")
	b.Sees("you@example.com")
	browsertest.Eval[int](b.Tab, `fetch('/.stepgate/api/v1/session', {method: 'DELETE'}).then(r => r.status)`)
	b.Sees("The connection was ended.")

	b.Open(d.base + "/payments")
	b.Sees("Sign in")
	b.Shot("9-sign-in")
	b.Fill("email", "you@example.com")
	b.Fill("password", "not the password at all")
	b.Click(`button[value="password"]`)
	b.Sees("do not match")
	b.Fill("password", goodPassword)
	b.Click(`button[value="password"]`)
	b.Sees("Night Shift Cleaning")

	b.Open(d.base + "/.stepgate/sign-out")
	b.Press("Sign out")
	b.Sees("You are signed out")
	b.Open(d.base + "/.stepgate/outbox")
	b.Sees("Your code for")
	b.Shot("10-outbox")
}
