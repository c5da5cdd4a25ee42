package e2e

import (
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
)

// join accepts the invitation of the demonstration with a password.
func (b tab) join(d *demo) {
	b.T.Helper()
	b.Open(d.invite)
	b.Sees("you@example.com")
	b.Fill("password", goodPassword)
	b.Press("Create the account")
	b.Sees("Welcome to Acme Office")
}

func (b tab) signOut(d *demo) {
	b.T.Helper()
	b.Open(d.base + "/.stepgate/sign-out")
	b.Press("Sign out")
	b.Sees("You are signed out")
}

// A passkey is enrolled on the way to a page that wants one, opens that page, signs in by
// itself, and is forgotten by the browser once it was removed.
func TestPasskey(t *testing.T) {
	b, ok := openBrowser(t)
	if !ok {
		return
	}
	d := startDemo(t)
	id := b.Authenticator(webauthn.VirtualAuthenticatorOptions{
		Transport: "internal", HasResidentKey: true, HasUserVerification: true, IsUserVerified: true,
	})
	b.join(d)

	b.Open(d.base + "/admin/")
	b.Sees("One more step for the first time")
	b.Press("Set up: ")
	b.Sees("Add a passkey")
	b.Shot("1-add")
	b.Fill("name", "My laptop")
	b.Press("Create the passkey")
	b.Sees("You proved a passkey within the last 5 minutes")

	b.Open(d.base + "/.stepgate/account")
	b.Sees("My laptop")
	b.Shot("2-account")

	b.signOut(d)
	b.Open(d.base + "/admin/")
	b.Sees("You proved a passkey within the last 5 minutes") // autofill: nothing was typed or pressed

	// Changing factors takes two different proofs.
	b.Open(d.base + "/.stepgate/account/passkeys/new?type=platform")
	b.Sees("Confirm it’s you")
	b.Fill("password", goodPassword)
	b.Press("Confirm")
	b.Sees("Add a passkey")
	b.Press("Create the passkey")
	b.Sees("This device or key is already in your list.")
	b.Shot("3-twice")

	b.Open(d.base + "/.stepgate/account")
	b.Press("Manage")
	b.Fill("passkey_name", "Old laptop")
	b.Press("Rename")
	b.Sees("Old laptop")
	b.Press("Manage")
	b.Click(`details[open] button[value="remove"]`)
	b.Sees("Remove “Old laptop”?")
	b.Press("Remove it")
	b.Sees("Fingerprint, face or screen lock")
	for deadline := time.Now().Add(10 * time.Second); len(b.Credentials(id)) != 0; {
		if time.Now().After(deadline) {
			t.Fatal("the browser still keeps the removed passkey")
		}
	}
}

// A security key that keeps no account and verifies nobody is a second factor, and with the
// e-mail address a first one. It does not stand for a passkey.
func TestSecurityKey(t *testing.T) {
	b, ok := openBrowser(t)
	if !ok {
		return
	}
	d := startDemo(t)
	b.Authenticator(webauthn.VirtualAuthenticatorOptions{Transport: "usb"})
	b.join(d)
	b.Open(d.base + "/.stepgate/account")
	b.Press("Add a security key")
	b.Sees("Add a security key")
	b.Press("Add the security key")
	b.Sees("Where you are signed in")
	b.Sees("Security key")

	b.Open(d.base + "/payments")
	b.Press("Make the payment")
	b.Sees("The payment was made.") // the key was proven when it was added

	b.signOut(d)
	b.Open(d.base + "/payments")
	b.Sees("Sign in")
	b.Press("Use a passkey")
	b.Sees("That did not work")
	b.Shot("1-none")
	b.Fill("email", "you@example.com")
	b.Press("Use a passkey")
	b.Sees("Coffee Roasters")

	b.Open(d.base + "/admin/")
	b.Sees("One more step for the first time") // a key without verification is no passkey

	// After a password it is the second factor.
	b.signOut(d)
	b.Open(d.base + "/payments")
	b.Sees("Sign in")
	b.Fill("email", "you@example.com")
	b.Fill("password", goodPassword)
	b.Click(`button[value="password"]`)
	b.Sees("Coffee Roasters")
	b.Press("Make the payment")
	b.Sees("Confirm it’s you")
	b.Shot("2-challenge")
	b.Press("Use a security key")
	b.Sees("Coffee Roasters")
	b.Press("Make the payment")
	b.Sees("The payment was made.")
}
