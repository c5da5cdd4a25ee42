package portal_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stepgate/stepgate/policy"
)

// The box on the challenge counts whether a form or a script proves the last factor, and only
// when it is ticked.
func TestTheBoxThatRemembers(t *testing.T) {
	p, err := policy.Load("p", []byte("version: 1\ndefault: {require: {factors: 2, remember_device: 30d}}\n"))
	must(t, err)
	for _, byScript := range []bool{false, true} {
		for _, ticked := range []bool{false, true} {
			s := newSite(t, nil)
			s.gate.Policy = func() *policy.Policy { return p }
			u := s.user(alice, true)
			b := s.browser()
			b.signIn(alice)
			code, _ := b.enrolApp()
			s.clock.Advance(2 * time.Minute)
			b = s.browser()
			b.signIn(alice)
			challenge := b.follow(b.get("/two/x", "Sec-Fetch-Mode", "navigate"))
			form := url.Values{"action": {"verify"}, "method": {"totp"}, "code": {code()}}
			if byScript {
				b.api(http.MethodPost, "totps/authenticate", map[string]string{"code": code(), "flow": challenge.field("flow")})
				form = url.Values{"action": {"continue"}, "method": {"totp"}}
			}
			if ticked {
				form.Set("remember", "yes")
			}
			done := b.post(challenge, "/.stepgate/challenge", form)
			if n := len(s.reread(u).Devices); done.status != http.StatusSeeOther || (n == 1) != ticked {
				t.Errorf("by a script %v, ticked %v: status %d, %d devices", byScript, ticked, done.status, n)
			}
		}
	}
}
