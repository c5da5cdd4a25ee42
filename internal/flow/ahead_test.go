package flow

import (
	"testing"
	"time"
)

// Nobody is asked twice within a minute: what lapses so soon is asked for in the same challenge,
// and what was proven in the challenge is not asked for again.
func TestNobodyIsAskedTwiceInAMinute(t *testing.T) {
	const required = `{"all_of":[{"factor":"password","max_age":"10m"},{"factor":"totp","max_age":"1m"}]}`
	h := newHouse(t)
	u := h.user("alice@example.com", true)
	h.enrol(as(h.signIn("alice@example.com")))
	v := as(h.signIn("alice@example.com"))
	h.clock.Advance(9*time.Minute + 1*time.Second)
	missing := func(v Visitor, p Pending) (out []string) {
		t.Helper()
		progress, err := h.Progress(t.Context(), v, p)
		ok(t, err)
		for _, set := range progress.Missing {
			for _, m := range set {
				out = append(out, m.Factor)
			}
		}
		if progress.Satisfied != (out == nil) {
			t.Errorf("satisfied %v, missing %v", progress.Satisfied, out)
		}
		return out
	}
	begin := func() Pending {
		t.Helper()
		id, err := h.Begin(Pending{Host: "app.test", Family: v.Session.Family, Required: required})
		ok(t, err)
		p, err := h.Pending(v, "app.test", id)
		ok(t, err)
		return p
	}
	p := begin()
	if got := missing(v, p); len(got) != 2 {
		t.Fatalf("missing %v at 9m1s", got)
	}
	r, err := h.AuthenticatePassword(t.Context(), v, "alice@example.com", secret)
	ok(t, err)
	if got := missing(as(r), p); len(got) != 1 || got[0] != "totp" {
		t.Errorf("missing %v after the password", got)
	}
	r, err = h.AuthenticateTOTP(t.Context(), as(r), h.totp(u.ID))
	ok(t, err)
	h.clock.Advance(30 * time.Second)
	if got := missing(as(r), p); got != nil {
		t.Errorf("missing %v although both were proven in this challenge", got)
	}
	// Another challenge does ask again, as would the gate in 30 seconds.
	v = as(r)
	if got := missing(v, begin()); len(got) != 1 || got[0] != "totp" {
		t.Errorf("missing %v in a challenge that begins later", got)
	}
}
