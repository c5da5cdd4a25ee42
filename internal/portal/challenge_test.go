package portal_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// A challenge offers what the rule takes and nothing weaker, and whatever a form says of other
// ways, of steps and of the end, it leads nowhere else.
func TestAChallengeTakesOnlyWhatTheRuleTakes(t *testing.T) {
	s := newSite(t, mailing)
	u := s.user(alice, true)
	b := s.browser()
	b.signIn(alice)
	cookie := b.cookie()
	on := b.follow(b.get("/linked/report"))
	for _, weaker := range []string{`value="password"`, `value="email_otp`, `name="password"`, `value="totp"`} {
		if on.status != http.StatusOK || strings.Contains(on.body, weaker) {
			t.Fatalf("%d: %s is offered: %s", on.status, weaker, on.body)
		}
	}
	code := "email_otp/" + u.Emails[0].ID
	for _, fields := range []url.Values{
		{"action": {"continue"}}, {"action": {"continue"}, "satisfied": {"true"}, "step": {"2"}, "factors": {"magic_link"}, "remember": {"yes"}},
		{"action": {"choose"}, "method": {"password"}}, {"action": {"choose"}, "method": {code}},
		{"action": {"verify"}, "method": {"password"}, "password": {goodPassword}}, {"action": {"verify"}, "method": {"passkey"}, "credential": {"{}"}},
		{"action": {"send"}, "method": {code}}, {"action": {"start"}, "method": {"oauth:corp"}}, {"action": {"finish"}}, {},
	} {
		p := b.post(on, "/.stepgate/challenge", fields)
		if to := p.header.Get("Location"); to != "" && !strings.HasPrefix(to, "/.stepgate/challenge?flow=") {
			t.Errorf("%v leads to %s", fields, to)
		}
		if p = b.follow(p); strings.Contains(p.body, `name="password"`) || strings.Contains(p.body, `value="`+code) {
			t.Errorf("%v: another way is offered", fields)
		}
	}
	if m := s.mail(alice); m.Code != "" || m.Link == "" {
		t.Errorf("a code was sent for a link: %+v", m)
	}
	if _, proven := b.who(); !slices.Equal(proven, []string{"knowledge"}) || b.cookie() != cookie || s.served.Load() != 0 {
		t.Errorf("%v is proven, the application was reached %d times", proven, s.served.Load())
	}
}
