package flow

import (
	"errors"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/policy"
)

// A factor that a rule needs goes only when that is confirmed, and the last way in never goes.
func TestRemovingWhatARuleNeeds(t *testing.T) {
	h := newHouse(t)
	p, err := policy.Load("p", []byte("version: 1\nrules:\n  - {name: vault, match: {path: /vault/*}, require: {all_of: [password, totp]}}\ndefault: {require: signed_in}\n"))
	ok(t, err)
	h.policies = func() []*policy.Policy { return []*policy.Policy{p} }
	u := h.user("alice@example.com", true)
	r, _ := h.enrol(as(h.signIn("alice@example.com")))
	got, _, err := h.accounts.Get(t.Context(), u.ID)
	ok(t, err)
	app, mail := got.TOTP.ID, got.Emails[0].ID
	rules, err := h.NeededBy(t.Context(), as(r), app)
	ok(t, err)
	if len(rules) != 1 || rules[0] != "vault" {
		t.Errorf("needed by %v", rules)
	}
	err = h.RemoveFactor(t.Context(), as(r), app, false)
	var e *Error
	if !errors.As(err, &e) || e.Type != "factor_needed_by_rule" || !strings.Contains(e.Detail, "vault") {
		t.Fatal(err)
	}
	if got, _, _ = h.accounts.Get(t.Context(), u.ID); got.TOTP == nil {
		t.Fatal("it is gone all the same")
	}
	refused(t, h.RemoveFactor(t.Context(), as(r), mail, true), ErrLastWayIn) // the only address
	ok(t, h.RemoveFactor(t.Context(), as(r), app, true))
	if got, _, _ = h.accounts.Get(t.Context(), u.ID); got.TOTP != nil {
		t.Error("it stayed")
	}
}
