package e2e

import (
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// authenticator puts a virtual authenticator into the tab.
func (b *tab) authenticator(o webauthn.VirtualAuthenticatorOptions) webauthn.AuthenticatorID {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		b.t.Fatal(err)
	}
	o.Protocol, o.Ctap2version, o.AutomaticPresenceSimulation = "ctap2", "ctap2_1", true
	r, err := chromedp.Call(b.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &o})
	if err != nil {
		b.t.Fatal(err)
	}
	return r.AuthenticatorID
}

// credentials counts what the authenticator holds.
func (b *tab) credentials(id webauthn.AuthenticatorID) int {
	b.t.Helper()
	r, err := chromedp.Call(b.ctx, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: id})
	if err != nil {
		b.t.Fatal(err)
	}
	return len(r.Credentials)
}

// join accepts the invitation of the demonstration with a password.
func (b *tab) join(d *demo) {
	b.t.Helper()
	b.open(d.invite)
	b.sees("you@example.com")
	b.fill("password", goodPassword)
	b.press("Create the account")
	b.sees("Welcome to Acme Office")
}

func (b *tab) signOut(d *demo) {
	b.t.Helper()
	b.open(d.base + "/.stepgate/sign-out")
	b.press("Sign out")
	b.sees("You are signed out")
}

// A passkey is enrolled on the way to a page that wants one, opens that page, signs in by
// itself, and is forgotten by the browser once it was removed.
func TestPasskey(t *testing.T) {
	b, ok := openBrowser(t)
	if !ok {
		return
	}
	d := startDemo(t)
	id := b.authenticator(webauthn.VirtualAuthenticatorOptions{
		Transport: "internal", HasResidentKey: true, HasUserVerification: true, IsUserVerified: true,
	})
	b.join(d)

	b.open(d.base + "/admin/")
	b.sees("One more step for the first time")
	b.press("Set up: ")
	b.sees("Add a passkey")
	b.shot("1-add")
	b.fill("name", "My laptop")
	b.press("Create the passkey")
	b.sees("You proved a passkey within the last 5 minutes")

	b.open(d.base + "/.stepgate/account")
	b.sees("My laptop")
	b.shot("2-account")

	b.signOut(d)
	b.open(d.base + "/admin/")
	b.sees("You proved a passkey within the last 5 minutes") // autofill: nothing was typed or pressed

	// Changing factors takes two different proofs.
	b.open(d.base + "/.stepgate/account/passkeys/new?type=platform")
	b.sees("Confirm it’s you")
	b.fill("password", goodPassword)
	b.press("Confirm")
	b.sees("Add a passkey")
	b.press("Create the passkey")
	b.sees("This device or key is already in your list.")
	b.shot("3-twice")

	b.open(d.base + "/.stepgate/account")
	b.press("Manage")
	b.fill("passkey_name", "Old laptop")
	b.press("Rename")
	b.sees("Old laptop")
	b.press("Manage")
	b.do(chromedp.Click(chromedp.CSS(`details[open] button[value="remove"]`)))
	b.sees("Remove “Old laptop”?")
	b.press("Remove it")
	b.sees("Fingerprint, face or screen lock")
	for deadline := time.Now().Add(10 * time.Second); b.credentials(id) != 0; {
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
	b.authenticator(webauthn.VirtualAuthenticatorOptions{Transport: "usb"})
	b.join(d)
	b.open(d.base + "/.stepgate/account")
	b.press("Add a security key")
	b.sees("Add a security key")
	b.press("Add the security key")
	b.sees("Where you are signed in")
	b.sees("Security key")

	b.open(d.base + "/payments")
	b.press("Make the payment")
	b.sees("The payment was made.") // the key was proven when it was added

	b.signOut(d)
	b.open(d.base + "/payments")
	b.sees("Sign in")
	b.press("Use a passkey")
	b.sees("That did not work")
	b.shot("1-none")
	b.fill("email", "you@example.com")
	b.press("Use a passkey")
	b.sees("Coffee Roasters")

	b.open(d.base + "/admin/")
	b.sees("One more step for the first time") // a key without verification is no passkey

	// After a password it is the second factor.
	b.signOut(d)
	b.open(d.base + "/payments")
	b.sees("Sign in")
	b.fill("email", "you@example.com")
	b.fill("password", goodPassword)
	b.do(chromedp.Click(chromedp.CSS(`button[value="password"]`)))
	b.sees("Coffee Roasters")
	b.press("Make the payment")
	b.sees("Confirm it’s you")
	b.shot("2-challenge")
	b.press("Use a security key")
	b.sees("Coffee Roasters")
	b.press("Make the payment")
	b.sees("The payment was made.")
}
