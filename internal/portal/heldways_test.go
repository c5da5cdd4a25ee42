package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/held"
	"github.com/stepgate/stepgate/policy"
)

// what waits in the tests below, and reaches the application as it is.
const entered = "amount=100&secret=tulip"

// payments puts one rule in front of the form.
func (s *site) payments(require string) {
	s.t.Helper()
	p, err := policy.Load("p", []byte("version: 1\nrules:\n  - {name: pay, match: {path: /pay}, require: "+require+"}\ndefault: {require: signed_in}\n"))
	must(s.t, err)
	s.gate.Policy = func() *policy.Policy { return p }
	s.served.Store(0)
}

// asks sends the form and returns the page that asks for a proof.
func (b *browser) asks() page {
	b.s.t.Helper()
	p := b.follow(b.form("application/x-www-form-urlencoded", entered))
	if p.status != http.StatusOK || !p.says("What you entered is kept for 10 minutes") {
		b.s.t.Fatalf("not held: %d %s", p.status, p.body)
	}
	return p
}

// sends demands that a page has the form sent on, which then reaches the application as it was, once.
func (b *browser) sends(end page) {
	b.s.t.Helper()
	id := end.field(held.Field)
	if end.status != http.StatusOK || id == "" || strings.Contains(end.body, "tulip") {
		b.s.t.Fatalf("the form is not offered: %d %s", end.status, end.body)
	}
	if p := b.form("text/plain", held.Field+"="+id+"\r\n"); p.body != "application: /pay" || b.s.served.Load() != 1 {
		b.s.t.Fatalf("%d requests were served: %d %s", b.s.served.Load(), p.status, p.body)
	}
	if got, _ := b.s.body.Load().(string); got != entered {
		b.s.t.Errorf("the application got %q", got)
	}
	if p := b.form("text/plain", held.Field+"="+id+"\r\n"); p.status != http.StatusGone || b.s.served.Load() != 1 {
		b.s.t.Errorf("a second time: %d, %d requests were served", p.status, b.s.served.Load())
	}
}

// A form waits while its sender is at an identity provider.
func TestAFormWaitsForAProvider(t *testing.T) {
	s, corp, _ := newCorp(t)
	s.payments("{factor: oauth, provider: corp}")
	b := s.browser()
	b.signIn(alice)
	challenge := b.asks()
	p := b.post(challenge, "/.stepgate/challenge", url.Values{"action": {"start"}, "method": {challenge.field("method")}})
	if p.leads() == "" {
		t.Fatalf("not sent to the provider: %d %s", p.status, p.body)
	}
	b.sends(b.follow(b.back(corp, p.leads())))
}

// A link as the second factor ends in the form where it was asked for, whether it is opened there
// or shows a code elsewhere.
func TestAFormWaitsForALink(t *testing.T) {
	for name, end := range map[string]func(b *browser, waiting page, link string) page{
		"opened here": func(b *browser, _ page, link string) page {
			return b.post(b.get(link), strings.TrimPrefix(link, origin), url.Values{"action": {"sign_in"}})
		},
		"opened elsewhere": func(b *browser, waiting page, link string) page {
			code := shown.FindStringSubmatch(b.s.browser().get(link).body)[1]
			return b.post(waiting, "/.stepgate/challenge", url.Values{"action": {"verify"}, "method": {waiting.field("method")}, "code": {code}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, mailing)
			s.payments("magic_link")
			s.user(alice, true)
			b := s.browser()
			b.signIn(alice)
			challenge := b.asks()
			waiting := b.follow(b.post(challenge, "/.stepgate/challenge", url.Values{"action": {"send"}, "method": {challenge.field("method")}}))
			b.sends(b.follow(end(b, waiting, s.mail(alice).Link)))
		})
	}
}

// twoFactors is alice with a mailbox and an app, signed in by the password a while after she proved
// anything else.
func twoFactors(t *testing.T, require string) (b *browser, code func() string) {
	t.Helper()
	s := newSite(t, nil)
	s.user(alice, true)
	b = s.browser()
	b.signIn(alice)
	code, _ = b.enrolApp()
	s.clock.Advance(2 * time.Minute)
	b = s.browser()
	b.signIn(alice)
	s.payments(require)
	return b, code
}

// Of two proofs that a rule wants, the second is asked for after the first, and then the form goes.
func TestAFormWaitsForTwoProofs(t *testing.T) {
	b, code := twoFactors(t, "{all_of: [email_otp, totp]}")
	first := b.asks()
	second := b.follow(b.post(first, "/.stepgate/challenge", url.Values{"action": {"verify"}, "method": {first.field("method")}, "code": {code()}}))
	if second.field(held.Field) != "" || !second.says("What you entered is kept for 10 minutes") || b.s.served.Load() != 0 {
		t.Fatalf("after one of two: %d %s", second.status, second.body)
	}
	if p := b.form("text/plain", held.Field+"="+second.field("flow")+"\r\n"); p.status != http.StatusSeeOther || b.s.served.Load() != 0 {
		t.Fatalf("sent too early: %d %s", p.status, p.body)
	}
	b.sends(b.confirm(second))
}

// The policy that has changed meanwhile asks for more, in a challenge of its own, for the same form.
func TestAFormWaitsOnForAnotherRule(t *testing.T) {
	b, code := twoFactors(t, "email_otp")
	end := b.confirm(b.asks())
	b.s.payments("totp")
	again := b.follow(b.form("text/plain", held.Field+"="+end.field(held.Field)+"\r\n"))
	if !again.says("What you entered is kept for 10 minutes") || again.field("flow") == end.field(held.Field) || b.s.served.Load() != 0 {
		t.Fatalf("%d %s", again.status, again.body)
	}
	b.sends(b.follow(b.post(again, "/.stepgate/challenge", url.Values{"action": {"verify"}, "method": {again.field("method")}, "code": {code()}})))
}

// A browser that is remembered in the challenge sends this form on, and the next one at once.
func TestAFormAndARememberedDevice(t *testing.T) {
	b, code := twoFactors(t, "{factors: 2, remember_device: 30d}")
	challenge := b.asks()
	b.sends(b.follow(b.post(challenge, "/.stepgate/challenge", url.Values{
		"action": {"verify"}, "method": {"totp"}, "code": {code()}, "remember": {"yes"},
	})))
	b.post(b.get("/.stepgate/sign-out"), "/.stepgate/sign-out", nil)
	b.signIn(alice)
	if p := b.form("application/x-www-form-urlencoded", entered); p.body != "application: /pay" || b.s.served.Load() != 2 {
		t.Errorf("the next one: %d %s", p.status, p.body)
	}
}

// What ends a session ends what waits in it, also for whoever signs in again in the same browser.
func TestAFormOfASessionThatEnded(t *testing.T) {
	const newPassword = "nine other lamps by the river"
	for name, end := range map[string]func(b, other *browser){
		"a new password": func(_, other *browser) {
			other.post(other.get("/.stepgate/account/password"), "/.stepgate/account/password", url.Values{
				"current_password": {goodPassword}, "password": {newPassword},
			})
		},
		"signed out everywhere": func(_, other *browser) {
			other.post(other.get("/.stepgate/sign-out"), "/.stepgate/sign-out", url.Values{"action": {"everywhere"}})
		},
		"signed out here": func(b, _ *browser) {
			b.post(b.get("/.stepgate/sign-out"), "/.stepgate/sign-out", nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, b, challenge := asked(t)
			other := b.s.browser()
			other.signIn(alice)
			ready := b.confirm(challenge)
			marker := held.Field + "=" + ready.field(held.Field) + "\r\n"
			if marker == held.Field+"=\r\n" {
				t.Fatal(ready.status, ready.body)
			}
			end(b, other)
			if p := b.form("text/plain", marker); p.status != http.StatusGone || strings.Contains(p.body, "tulip") {
				t.Errorf("without a session: %d %s", p.status, p.body)
			}
			b.api(http.MethodPost, "passwords/authenticate", map[string]string{"email": alice, "password": goodPassword})
			b.api(http.MethodPost, "passwords/authenticate", map[string]string{"email": alice, "password": newPassword})
			if who, _ := b.who(); who != alice {
				t.Fatalf("%q is signed in", who)
			}
			if p := b.form("text/plain", marker); p.status != http.StatusGone || b.s.served.Load() != 0 {
				t.Errorf("after a new sign-in: %d, %d requests were served: %s", p.status, b.s.served.Load(), p.body)
			}
		})
	}
}
