package portal_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/wallet"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/policy"
)

// everyFactor asks at /NAME for the factor of that name.
func everyFactor(t *testing.T) func() *policy.Policy {
	t.Helper()
	var text strings.Builder
	text.WriteString("version: 1\nrules:\n")
	for _, p := range factors.Products() {
		name := string(p)
		text.WriteString("  - {name: " + name + ", match: {path: /" + name + "}, require: {factor: " + name + ", max_age: 10m}}\n")
	}
	text.WriteString("  - {name: any, match: {path: /any_of}, require: {any_of: [password, magic_link, email_otp, sms_otp, whatsapp_otp, oauth, totp, webauthn, passkey, crypto_wallet], max_age: 1s}}\n")
	text.WriteString("  - {name: part, match: {path: /part}, require: {all_of: [totp, whatsapp_otp]}}\ndefault: {require: signed_in}\n")
	p, err := policy.Load("p", []byte(text.String()))
	must(t, err)
	return func() *policy.Policy { return p }
}

var formOf = regexp.MustCompile(`<form method="post" action="([^"]+)">(?s:(.*?))</form>`)

// setUp are the forms of a page that set something up: address and fields.
func setUp(p page) (out []struct {
	path   string
	fields url.Values
}) {
	for _, m := range formOf.FindAllStringSubmatch(p.body, -1) {
		if !strings.Contains(m[2], "Set up: ") {
			continue
		}
		fields := make(url.Values)
		for _, f := range regexp.MustCompile(`name="([^"]+)" value="([^"]*)"`).FindAllStringSubmatch(m[2], -1) {
			fields.Set(f[1], html.UnescapeString(f[2]))
		}
		out = append(out, struct {
			path   string
			fields url.Values
		}{html.UnescapeString(m[1]), fields})
	}
	return out
}

// Whoever lacks a factor that is offered can set it up from the challenge.
func TestEveryFactorCanBeSetUpFromAChallenge(t *testing.T) {
	s := newSite(t, func(c *flow.Config) {
		c.Options.Offered = []factors.Product{
			factors.Password, factors.EmailOTP, factors.MagicLink, factors.SMSOTP, factors.TOTP, factors.WebAuthn, factors.Passkey, factors.CryptoWallet,
		}
		c.Options.Chains = []wallet.Chain{"solana"}
	})
	s.gate.Policy = everyFactor(t)
	s.user(alice, true)
	b := s.browser()
	b.signIn(alice)
	for _, c := range []struct{ factor, path string }{
		{"sms_otp", "/.stepgate/account/phones"}, {"totp", "/.stepgate/account/totp"}, {"recovery_code", "/.stepgate/account/totp"},
		{"webauthn", "/.stepgate/account/passkeys"}, {"passkey", "/.stepgate/account/passkeys"}, {"crypto_wallet", "/.stepgate/account/wallets"},
	} {
		on := b.follow(b.get("/"+c.factor, "Sec-Fetch-Mode", "navigate"))
		forms := setUp(on)
		if on.status != http.StatusForbidden || len(forms) != 1 || forms[0].path != c.path {
			t.Errorf("%s: %d, forms %v", c.factor, on.status, forms)
			continue
		}
		if p := b.follow(b.post(on, forms[0].path, forms[0].fields)); p.status != http.StatusOK {
			t.Errorf("%s: setting it up is %d", c.factor, p.status)
		}
	}
	// What the user has is asked for instead.
	for _, factor := range []string{"email_otp", "magic_link"} {
		if on := b.follow(b.get("/"+factor, "Sec-Fetch-Mode", "navigate")); on.status != http.StatusOK || !strings.Contains(on.body, `value="send"`) {
			t.Errorf("%s: %d", factor, on.status)
		}
	}
}

// Whoever was sent from a challenge to add a number or an address comes back to it afterwards, and
// whoever gives up too; a number that is no number is said on the page itself.
func TestAddingAnAddressLeadsBack(t *testing.T) {
	s := newSite(t, texting)
	s.gate.Policy = everyFactor(t)
	s.user(alice, true)
	const other = "alice@home.example"
	for _, c := range []struct{ page, field, wrong, right string }{
		{"emails", "email", "nonsense", other}, {"phones", "phone_number", "nonsense", "+44 7400 123456"},
	} {
		path := "/.stepgate/account/" + c.page
		add := func(value string) url.Values { return url.Values{"action": {"add"}, c.field: {value}} }
		b := s.browser()
		b.signIn(alice)
		challenge := b.get("/sms_otp", "Sec-Fetch-Mode", "navigate").header.Get("Location")
		on := b.follow(b.post(b.get(challenge), path, url.Values{"action": {"new"}}))
		if !strings.Contains(on.body, `href="`+html.EscapeString(challenge)+`">Cancel`) {
			t.Errorf("%s: no way back on %s", c.page, on.body)
		}
		on = b.post(on, path, add(c.wrong))
		if on.status != http.StatusBadRequest || !strings.Contains(on.body, `name="`+c.field+`"`) || !strings.Contains(on.body, c.wrong) {
			t.Errorf("%s: %d %s", c.page, on.status, on.body)
		}
		on = b.follow(b.post(on, path, add(c.right)))
		if p := b.post(on, path, url.Values{"action": {"remove"}}); p.header.Get("Location") != challenge {
			t.Errorf("%s: giving up leads to %q", c.page, p.header.Get("Location"))
		}
		to := map[string]string{"phones": mobile, "emails": other}[c.page]
		if p := b.post(on, path, url.Values{"action": {"verify"}, "code": {s.mail(to).Code}}); p.header.Get("Location") != challenge {
			t.Errorf("%s: after the code to %q", c.page, p.header.Get("Location"))
		}
		if p := b.follow(b.get(challenge)); c.page == "phones" && p.body != "application: /sms_otp" {
			t.Errorf("the challenge does not go on: %s", p.body)
		}
		s.clock.Advance(31 * time.Second)
	}
}

// A mailbox that is not verified yet can be proven in a challenge like any other.
func TestAnUnverifiedMailboxIsNoDeadEnd(t *testing.T) {
	s := newSite(t, nil)
	s.gate.Policy = everyFactor(t)
	s.user(alice, false)
	b := s.browser()
	b.signIn(alice)
	on := b.follow(b.get("/email_otp", "Sec-Fetch-Mode", "navigate"))
	if on.status != http.StatusOK {
		t.Fatalf("the challenge is %d", on.status)
	}
	on = b.follow(b.post(on, "/.stepgate/challenge", url.Values{"action": {"send"}}))
	s.queue.Deliver(t.Context())
	p := b.post(on, "/.stepgate/challenge", url.Values{"action": {"verify"}, "code": {s.outbox.List()[0].Code}})
	if p.status != http.StatusSeeOther || p.header.Get("Location") != "/email_otp" {
		t.Errorf("after the code: %d to %q", p.status, p.header.Get("Location"))
	}
}

// Where nothing helps, the page says whom to ask, and with which reference: that of the request
// that was not let pass, which the log of decisions has. A factor that would not be enough is
// not offered.
func TestARefusalHasAReference(t *testing.T) {
	s := newSite(t, nil) // offers no WhatsApp
	s.gate.Policy = everyFactor(t)
	s.user(alice, true)
	b := s.browser()
	b.signIn(alice)
	for _, path := range []string{"/whatsapp_otp", "/part", "/oauth", "/crypto_wallet"} {
		first := b.get(path, "Sec-Fetch-Mode", "navigate")
		id := first.header.Get("Stepgate-Request-Id")
		on := b.follow(first)
		if on.status != http.StatusForbidden || len(setUp(on)) != 0 {
			t.Errorf("%s: %d, forms %v", path, on.status, setUp(on))
		}
		if id == "" || !strings.Contains(on.body, id) || !strings.Contains(on.body, "Ask the people who run this service") {
			t.Errorf("%s: the page does not name the reference %q", path, id)
		}
	}
}
