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

// asked is somebody with a password and a mailbox whose form waits, and the page that asks.
func asked(t *testing.T) (*site, *browser, page) {
	t.Helper()
	s := newSite(t, nil)
	p, err := policy.Load("p", []byte("version: 1\nrules:\n  - {name: pay, match: {path: /pay}, require: email_otp}\ndefault: {require: signed_in}\n"))
	must(t, err)
	s.gate.Policy = func() *policy.Policy { return p }
	s.user(alice, true)
	b := s.browser()
	b.signIn(alice)
	return s, b, b.follow(b.form("application/x-www-form-urlencoded", "amount=100&secret=tulip"))
}

// form posts to the guarded address as a page of the site does.
func (b *browser) form(kind, body string) page {
	b.s.t.Helper()
	return b.do(http.MethodPost, "/pay?to='a'", kind, body, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "same-origin", "Referer", origin+"/form")
}

// confirm proves the mailbox and returns what follows.
func (b *browser) confirm(challenge page) page {
	b.s.t.Helper()
	method := challenge.field("method")
	sent := b.follow(b.post(challenge, "/.stepgate/challenge", url.Values{"action": {"send"}, "method": {method}}))
	return b.follow(b.post(sent, "/.stepgate/challenge", url.Values{"action": {"verify"}, "method": {method}, "code": {b.s.mail(alice).Code}}))
}

// The challenge says that the form is kept and never shows it; its end is a form that posts to the
// same address.
func TestAChallengeEndsInTheForm(t *testing.T) {
	s, b, challenge := asked(t)
	if !strings.Contains(challenge.body, "What you entered is kept for 10 minutes") || strings.Contains(challenge.body, "tulip") {
		t.Fatal(challenge.body)
	}
	end := b.confirm(challenge)
	if end.status != http.StatusOK || !strings.Contains(end.body, `action="/pay?to=&#39;a&#39;"`) || strings.Contains(end.body, "tulip") {
		t.Fatal(end.status, end.body)
	}
	if end.header.Get("Referrer-Policy") != "strict-origin" || end.header.Get("Cache-Control") != "no-store" {
		t.Error(end.header)
	}
	if done := b.form("text/plain", held.Field+"="+end.field(held.Field)+"\r\n"); done.body != "application: /pay" || s.served.Load() != 1 {
		t.Fatal(done.status, done.body, s.served.Load())
	}
	again := b.form("text/plain", held.Field+"="+end.field(held.Field)+"\r\n")
	if again.status != http.StatusGone || !strings.Contains(again.body, `href="/form"`) || s.served.Load() != 1 {
		t.Error(again.status, again.body)
	}
}

// A form that was given up, or waited too long, is not offered any more.
func TestAFormThatWaitsNoLonger(t *testing.T) {
	_, b, challenge := asked(t)
	b.post(challenge, "/.stepgate/challenge", url.Values{"action": {"cancel"}})
	if p := b.post(challenge, "/.stepgate/challenge", url.Values{"action": {"send"}}); p.status != http.StatusGone {
		t.Error("cancelled:", p.status, p.body)
	}
	s, b, challenge := asked(t)
	address := "/.stepgate/challenge?flow=" + challenge.field("flow")
	s.clock.Advance(held.Life - time.Second)
	if p := b.get(address); p.status != http.StatusOK {
		t.Error("in time:", p.status, p.body)
	}
	s.clock.Advance(time.Second)
	if p := b.get(address); p.status != http.StatusGone || !strings.Contains(p.body, `href="/form"`) {
		t.Error("too late:", p.status, p.body)
	}
}
