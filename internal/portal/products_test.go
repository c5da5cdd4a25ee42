package portal_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/browsertest"
)

const (
	primary   = "PRIMARY"
	secondary = "SECONDARY"
)

// scenario is how a person proves a product in a browser.
type scenario struct {
	product factors.Product
	role    string
	// how tells several scenarios of a product and role apart.
	how string
	// enrol gives the person what it takes; nil when every account has it. It ends signed out.
	enrol func(*person, *idp)
	// prove starts at the page that asks, and ends when it is answered.
	prove func(*person)
}

// wire is how a session tells of a product: type and delivery_method.
var wire = map[factors.Product][2]string{
	factors.Password: {"password", "knowledge"}, factors.MagicLink: {"magic_link", "email"}, factors.EmailOTP: {"otp", "email"},
	factors.SMSOTP: {"otp", "sms"}, factors.WhatsAppOTP: {"otp", "whatsapp"}, factors.OAuth: {"oauth", "oauth_oidc"},
	factors.TOTP: {"totp", "authenticator_app"}, factors.RecoveryCode: {"recovery_codes", "recovery_code"},
	factors.WebAuthn: {"webauthn", "webauthn_registration"}, factors.Passkey: {"webauthn", "webauthn_registration"},
	factors.CryptoWallet: {"crypto", "crypto_wallet"},
}

var scenarios = []scenario{
	{product: factors.Password, role: primary, prove: (*person).signInByPassword},
	{product: factors.Password, role: secondary, prove: func(p *person) {
		p.Fill("password", goodPassword)
		p.Press("Confirm")
	}},
	{product: factors.EmailOTP, role: primary, prove: (*person).signInByMail},
	{product: factors.EmailOTP, role: secondary, prove: func(p *person) {
		p.Press("Send the e-mail code")
		p.types(alice)
	}},
	{product: factors.MagicLink, role: primary, prove: func(p *person) {
		p.Fill("email", alice)
		p.Click(`button[value="magic_link"]`)
		p.Sees("Look into your mail")
		p.Open(p.s.mail(alice).Link)
		p.Press("Sign in")
	}},
	{product: factors.MagicLink, role: primary, how: "opened elsewhere", prove: func(p *person) {
		p.Fill("email", alice)
		p.Click(`button[value="magic_link"]`)
		p.Sees("Look into your mail")
		p.typesWhatTheLinkShows("Sign in")
	}},
	{product: factors.MagicLink, role: secondary, prove: func(p *person) {
		p.Press("Send the link")
		p.Sees("The link is on its way")
		p.Open(p.s.mail(alice).Link)
		p.Press("Sign in")
	}},
	{product: factors.MagicLink, role: secondary, how: "opened elsewhere", prove: func(p *person) {
		p.Press("Send the link")
		p.Sees("The link is on its way")
		p.typesWhatTheLinkShows("Confirm")
	}},
	{product: factors.SMSOTP, role: primary, enrol: phone, prove: func(p *person) { p.signInByPhone("sms_otp") }},
	{product: factors.SMSOTP, role: secondary, enrol: phone, prove: func(p *person) {
		p.Press("Send the text message code")
		p.types(mobile)
	}},
	{product: factors.WhatsAppOTP, role: primary, enrol: phone, prove: func(p *person) { p.signInByPhone("whatsapp_otp") }},
	{product: factors.WhatsAppOTP, role: secondary, enrol: phone, prove: func(p *person) {
		p.Press("Send the WhatsApp code")
		p.types(mobile)
	}},
	{product: factors.OAuth, role: primary, enrol: identity, prove: func(p *person) { p.Click(`button[value="oauth:corp"]`) }},
	{product: factors.OAuth, role: secondary, enrol: identity, prove: func(p *person) { p.Click(`button[value="start"]`) }},
	{product: factors.TOTP, role: secondary, enrol: app, prove: func(p *person) { p.Fill("code", p.code()) }},
	{product: factors.RecoveryCode, role: secondary, enrol: app, prove: func(p *person) {
		p.usesRecoveryCode(p.recovery[0])
	}},
	{product: factors.RecoveryCode, role: secondary, how: "in the place of the app", enrol: app, prove: func(p *person) {
		p.Open(origin + "/totp")
		p.Press("Try another way")
		p.Press("recovery code")
		p.usesRecoveryCode(p.recovery[1])
		p.arrives("/totp")
		p.Open(origin + "/recovery_code")
	}},
	{product: factors.WebAuthn, role: primary, enrol: securityKey, prove: func(p *person) {
		p.Fill("email", alice)
		p.Press("Use a passkey")
	}},
	{product: factors.WebAuthn, role: secondary, enrol: securityKey, prove: func(p *person) { p.Press("Use a security key") }},
	{product: factors.Passkey, role: primary, enrol: passkey, prove: func(*person) {}}, // autofill: nothing is typed or pressed
	{product: factors.Passkey, role: secondary, enrol: passkey, prove: func(p *person) { p.Press("Use a passkey") }},
	{product: factors.CryptoWallet, role: primary, enrol: wallets, prove: func(p *person) {
		p.Click(`button[value="crypto_wallet"]`)
		p.Press("Test Sun Wallet")
	}},
	{product: factors.CryptoWallet, role: secondary, enrol: wallets, prove: func(p *person) { p.Press("Test Sun Wallet") }},
}

// Each product has a scenario for each role that it may have, and none for another.
func TestEveryProductHasAScenario(t *testing.T) {
	roles := func(product factors.Product) (list []string) {
		for _, s := range scenarios {
			if s.product == product && !slices.Contains(list, s.role) {
				list = append(list, s.role)
			}
		}
		return slices.Sorted(slices.Values(list))
	}
	for _, product := range factors.Products() {
		want := []string{primary, secondary}
		if !product.MayStart() {
			want = want[1:]
		}
		if got := roles(product); !slices.Equal(got, want) {
			t.Errorf("%s: there are scenarios for %v, it may be %v", product, got, want)
		}
		if wire[product][0] == "" {
			t.Errorf("%s: nothing says how a session tells of it", product)
		}
	}
}

// Every product, as the first and as a further factor, from the first click to the page of the
// application.
func TestEveryProductInABrowser(t *testing.T) {
	v, ok := openVenue(t)
	if !ok {
		return
	}
	for _, c := range scenarios {
		t.Run(strings.TrimSpace(string(c.product)+" "+c.role+" "+c.how), func(t *testing.T) {
			s, corp := newEverything(t)
			s.user(alice, true)
			p := v.visit(t, s)
			if c.enrol != nil {
				c.enrol(p, corp)
			}
			path, started := "/"+string(c.product), 0
			p.Open(origin + path)
			if c.role == secondary {
				p.startsOtherwise(c.product)
				p.Sees("Confirm it’s you")
				started = 1
			}
			s.served.Store(0)
			c.prove(p)
			p.arrives(path)
			proofs := p.proofs()
			want := proof{Type: wire[c.product][0], Method: wire[c.product][1], Order: c.role}
			want.Discoverable = c.product == factors.Passkey
			want.Verified = want.Discoverable
			if len(proofs) != started+1 || proofs[started] != want {
				t.Errorf("proven %+v, want %+v at %d", proofs, want, started)
			}
		})
	}
}

// startsOtherwise signs in by a factor that is not the product.
func (p *person) startsOtherwise(product factors.Product) {
	p.T.Helper()
	switch product {
	case factors.Password:
		p.signInByMail()
	case factors.Passkey: // which would sign in at once
		p.Agree(p.key, false)
		p.signInByPassword()
		p.Sees("Confirm it’s you")
		p.Agree(p.key, true)
	default:
		p.signInByPassword()
	}
}

// types waits until a code was sent to somebody, and types it. The sixth digit sends the form.
func (p *person) types(to string) {
	p.T.Helper()
	p.Sees("ix digits are on their way")
	p.Fill("code", p.s.mail(to).Code)
}

func (p *person) signInByMail() {
	p.T.Helper()
	p.Fill("email", alice)
	p.Click(`button[value="email_otp"]`)
	p.types(alice)
}

func (p *person) signInByPhone(product string) {
	p.T.Helper()
	p.Click(`button[value="` + product + `"]`)
	p.Fill("phone_number", "+44 7400 123456")
	p.Press("Send the code")
	p.types(mobile)
}

// usesRecoveryCode types a code, and puts away the one that comes in its place.
func (p *person) usesRecoveryCode(code string) {
	p.T.Helper()
	p.Sees("One of the codes you saved") // the page before has a field of that name too
	p.Fill("code", code)
	p.Press("Confirm")
	p.Sees("Save your recovery codes")
	p.Click(`input[name="saved"]`)
	p.Press("Done")
}

// typesWhatTheLinkShows opens the mailed link in the browser of a telephone and types here the
// code that it shows there. Nobody is signed in on the telephone.
func (p *person) typesWhatTheLinkShows(button string) {
	p.T.Helper()
	telephone := p.Another("telephone")
	telephone.Open(p.s.mail(alice).Link)
	telephone.Sees("One step left")
	p.Fill("code", browsertest.Eval[string](telephone, `document.querySelector('.big-code').innerText.trim()`))
	p.Press(button)
	telephone.Open(origin + "/")
	telephone.Sees("Sign in")
}

// phone, identity and app enrol in another browser: the person's own has no part in it.
func phone(p *person, _ *idp) {
	b := p.s.browser()
	b.signIn(alice)
	b.enrolPhone()
}

func identity(p *person, corp *idp) {
	b := p.s.browser()
	b.signIn(alice)
	b.follow(b.connect(corp))
}

func app(p *person, _ *idp) {
	b := p.s.browser()
	b.signIn(alice)
	p.code, p.recovery = b.enrolApp()
	p.s.clock.Advance(31 * time.Second) // the app shows another code
}

// enrols goes to a page of the account, does something there, and signs out.
func (p *person) enrols(page string, do func()) {
	p.T.Helper()
	p.goes("/.stepgate/account/"+page, "Sign in")
	p.signInByPassword()
	do()
	p.Sees("Where you are signed in")
	p.signOut()
}

func securityKey(p *person, _ *idp) {
	p.Authenticator(webauthn.VirtualAuthenticatorOptions{Transport: "usb"})
	p.enrols("passkeys/new?type=cross-platform", func() { p.Press("Add the security key") })
}

func passkey(p *person, _ *idp) {
	p.key = p.Authenticator(phoneWithPasskeys)
	p.enrols("passkeys/new?type=platform", func() { p.Press("Create the passkey") })
}

func wallets(p *person, _ *idp) {
	p.Wallets()
	p.enrols("wallets/new", func() { p.Press("Test Sun Wallet") })
}
