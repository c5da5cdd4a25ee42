package portal_test

import (
	"net/http"
	"testing"
)

// The first sign-in in a browser makes it known by the cookie that it got then, which outlives the
// session; strangers, who have another, lock only themselves out.
func TestStrangersLockOnlyThemselvesOut(t *testing.T) {
	s := newSite(t, nil)
	s.user(alice, true)
	home, stranger := s.browser(), s.browser()
	home.signIn(alice)
	if p, _ := home.api(http.MethodDelete, "session", nil); p.status >= 300 {
		t.Fatal(p.status, p.body)
	}
	for range 11 {
		if p, _ := stranger.api(http.MethodPost, "passwords/authenticate", map[string]string{"email": alice, "password": "wrong"}); p.status != http.StatusUnauthorized {
			t.Fatal(p.status, p.body)
		}
	}
	right := map[string]string{"email": alice, "password": goodPassword}
	if p, _ := s.browser().api(http.MethodPost, "passwords/authenticate", right); p.status != http.StatusUnauthorized {
		t.Errorf("a new browser: %d", p.status)
	}
	if p, _ := home.api(http.MethodPost, "passwords/authenticate", right); p.status != http.StatusOK {
		t.Errorf("the browser of the owner: %d %s", p.status, p.body)
	}
}
