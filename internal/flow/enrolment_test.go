package flow

import (
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/account"
)

// An app that was never confirmed has no codes that count outside its enrolment, and an app
// that was replaced or removed has none any more; nor have the recovery codes that came with it.
func TestCodesOfAnAppThatIsNotActive(t *testing.T) {
	h := newHouse(t)
	u := h.user("alice@example.com", true)
	v := as(h.signIn("alice@example.com"))
	pending, err := h.StartTOTP(t.Context(), v)
	ok(t, err)
	got, _, err := h.accounts.Get(t.Context(), u.ID)
	ok(t, err)
	if got.TOTP != nil || got.Recovery != nil {
		t.Fatal("an app counts before its first code")
	}
	_, err = h.AuthenticateRecoveryCode(t.Context(), v, "0000-0000-0000-0000")
	refused(t, err, ErrRecoveryIncorrect)
	// Starting anew forgets the first secret.
	_, err = h.StartTOTP(t.Context(), v)
	ok(t, err)
	_, err = h.AuthenticateTOTP(t.Context(), v, codeFor(t, pending.Secret, h.clock.Now()))
	refused(t, err, ErrTOTPIncorrect)

	r, codes := h.enrol(v)
	// The code that activated it is used.
	h.clock.Advance(-31 * time.Second)
	_, err = h.AuthenticateTOTP(t.Context(), as(h.signIn("alice@example.com")), h.totp(u.ID))
	refused(t, err, ErrTOTPUsed)
	h.clock.Advance(31 * time.Second)
	old := must(h.Operator(false).Find(t.Context(), u.ID)).TOTP.SecretText()
	second, err := h.StartTOTP(t.Context(), as(r))
	ok(t, err)
	h.clock.Advance(time.Minute)
	r, err = h.AuthenticateTOTP(t.Context(), as(r), codeFor(t, second.Secret, h.clock.Now()))
	ok(t, err)
	h.clock.Advance(time.Minute)
	fresh := as(h.signIn("alice@example.com"))
	_, err = h.AuthenticateTOTP(t.Context(), fresh, codeFor(t, old, h.clock.Now()))
	refused(t, err, ErrTOTPIncorrect)
	_, err = h.AuthenticateRecoveryCode(t.Context(), fresh, codes[0])
	refused(t, err, ErrRecoveryIncorrect)

	got = must(h.Operator(false).Find(t.Context(), u.ID))
	ok(t, h.RemoveFactor(t.Context(), as(r), got.TOTP.ID, true))
	_, err = h.AuthenticateTOTP(t.Context(), fresh, codeFor(t, second.Secret, h.clock.Now()))
	refused(t, err, ErrTOTPNotFound)
}

// Without the token of a reset link there is no way to a new password, whatever other token
// is in hand and in whatever order.
func TestNoResetWithoutItsToken(t *testing.T) {
	h := newPost(t)
	h.user("alice@example.com", true)
	ok(t, h.StartReset(t.Context(), anon(), "alice@example.com"))
	reset := h.newest("alice@example.com").Link
	invitation, _, err := h.Operator(false).Invite(t.Context(), "https://app.test", account.NewUser{Email: "new@example.com"})
	ok(t, err)
	link, _ := h.link(in("A"), "alice@example.com")
	tokens := map[string]string{
		"none": "", "an invitation": last(invitation), "a magic link": link, "cut": last(reset)[1:], "its own name": "reset/" + last(reset),
	}
	const fresh = "eight loud lamps under water"
	for name, token := range tokens {
		refused(t, h.Reset(t.Context(), anon(), token, fresh), ErrLinkNotFound)
		if _, err := h.AuthenticatePassword(t.Context(), anon(), "alice@example.com", fresh); err == nil {
			t.Fatalf("%s: the password changed", name)
		}
	}
	ok(t, h.Reset(t.Context(), anon(), last(reset), fresh))
	refused(t, h.Reset(t.Context(), anon(), last(reset), secret), ErrLinkNotFound)
}

// last is what follows the last slash.
func last(link string) string { return link[strings.LastIndex(link, "/")+1:] }
