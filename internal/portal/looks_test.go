package portal_test

import (
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/browsertest"
)

// enrolsEverything gives alice one of each product, and signs her in.
func (p *person) enrolsEverything(corp *idp) {
	p.T.Helper()
	b := p.s.browser()
	b.signIn(alice)
	b.enrolPhone()
	p.code, p.recovery = b.enrolApp()
	b.follow(b.connect(corp))
	p.s.clock.Advance(31 * time.Second)
	p.key = p.Authenticator(phoneWithPasskeys)
	p.Wallets()
	p.goes("/.stepgate/account/passkeys/new?type=platform", "Sign in")
	p.signInByPassword()
	p.Sees("Confirm it’s you")
	p.Fill("code", p.code())
	p.Press("Create the passkey")
	p.Sees("Where you are signed in")
	for _, name := range []string{"Test Ether Wallet", "Test Sun Wallet"} {
		p.Open(origin + "/.stepgate/account/wallets/new")
		p.Press(name)
		p.Sees("Where you are signed in")
	}
}

// fits looks at the page on a telephone and on a desk, light and dark: nothing runs out of it.
func (p *person) fits(name string) {
	p.T.Helper()
	for _, scheme := range []string{"light", "dark"} {
		p.Scheme(scheme)
		for _, window := range []struct {
			name          string
			width, height int64
		}{{"phone", 360, 740}, {"desk", 1000, 760}} {
			p.Viewport(window.width, window.height)
			if over := browsertest.Eval[int](p.Tab, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); over > 0 {
				p.T.Errorf("%s on a %s: %d px too wide", name, window.name, over)
			}
			p.Shot(name + "-" + window.name + "-" + scheme)
		}
	}
}

// The pages of somebody who has everything, on a site that offers everything.
func TestEverythingAtOnceInABrowser(t *testing.T) {
	v, ok := openVenue(t)
	if !ok {
		return
	}
	s, corp := newEverything(t)
	u := s.user(alice, true)
	p := v.visit(t, s)
	p.goes("/any", "Sign in with a wallet")
	p.fits("sign-in")
	p.enrolsEverything(corp)
	p.Open(origin + "/.stepgate/account")
	p.Sees("Where you are signed in")
	p.fits("account")
	removable := len(s.reread(u).Phones) + len(s.reread(u).Wallets) + len(s.reread(u).Identities) + 2 // the password and the app
	if n := browsertest.Eval[int](p.Tab, `document.querySelectorAll('.item > .do button[value="remove"]').length`); n != removable || n != 6 {
		t.Errorf("%d buttons that remove something, for %d", n, removable)
	}
	s.clock.Advance(2 * time.Second) // what was proven is too old for this rule
	p.goes("/any_of", "Confirm it’s you")
	p.fits("challenge")
	p.Press("Try another way")
	p.Sees("Use a recovery code")
	p.fits("challenge-ways")
}
