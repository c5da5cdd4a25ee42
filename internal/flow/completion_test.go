package flow

import (
	"testing"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/account"
)

// An app whose enrolment began is judged again when its first code comes: the account may have
// grown stronger, and the session older, since.
func TestEnrolmentIsJudgedWhenItEnds(t *testing.T) {
	for name, c := range map[string]struct {
		later func(h *house, userID string)
		want  *Error
	}{
		"another factor was added": {func(h *house, _ string) { h.phone(as(h.signIn("alice@example.com")), mobile) }, &Error{Type: "insufficient_factors"}},
		"the session is old":       {func(h *house, _ string) { h.clock.Advance(time.Hour + time.Millisecond) }, &Error{Type: "stale_factors"}},
		"the address is not proven": {func(h *house, id string) {
			h.edit(id, func(u *account.User) { u.Emails = []account.Email{{ID: u.Emails[0].ID, Address: u.Emails[0].Address}} })
		}, ErrEmailNotVerified},
	} {
		t.Run(name, func(t *testing.T) {
			h := newSwitchboard(t)
			u := h.user("alice@example.com", true)
			v := as(h.signIn("alice@example.com"))
			_, err := h.StartTOTP(t.Context(), v)
			ok(t, err)
			c.later(h, u.ID)
			_, err = h.AuthenticateTOTP(t.Context(), v, h.totp(u.ID))
			refused(t, err, c.want)
			if must(h.Operator(false).Find(t.Context(), u.ID)).TOTP != nil {
				t.Error("the app counts")
			}
		})
	}
}

// An enrolment that nobody finished in a day is over, and so is one of a user whose app was taken
// away meanwhile, with the recovery codes.
func TestEnrolmentThatIsOver(t *testing.T) {
	h := newHouse(t)
	u := h.user("alice@example.com", true)
	_, err := h.StartTOTP(t.Context(), as(h.signIn("alice@example.com")))
	ok(t, err)
	h.clock.Advance(24 * time.Hour)
	_, err = h.AuthenticateTOTP(t.Context(), as(h.signIn("alice@example.com")), h.totp(u.ID))
	refused(t, err, ErrTOTPNotFound)

	r, codes := h.enrol(as(h.signIn("alice@example.com")))
	pending, err := h.StartTOTP(t.Context(), as(r))
	ok(t, err)
	ok(t, h.RemoveFactor(t.Context(), as(r), must(h.Operator(false).Find(t.Context(), u.ID)).TOTP.ID, true))
	fresh := as(h.signIn("alice@example.com"))
	_, err = h.AuthenticateTOTP(t.Context(), fresh, codeFor(t, pending.Secret, h.clock.Now()))
	refused(t, err, ErrTOTPNotFound)
	_, err = h.AuthenticateRecoveryCode(t.Context(), fresh, codes[0])
	refused(t, err, ErrRecoveryIncorrect)
}

// Who may add a number is asked before the text is sent, and again when its code comes.
func TestWhoMayAddANumber(t *testing.T) {
	h := newSwitchboard(t)
	u := h.user("alice@example.com", true)
	v := as(h.signIn("alice@example.com"))
	id, err := h.AddPhone(t.Context(), v, factors.SMSOTP, mobile)
	ok(t, err)
	code := h.newest(mobile).Code
	unproven := []account.Email{{ID: u.Emails[0].ID, Address: u.Emails[0].Address}}
	h.edit(u.ID, func(u *account.User) { u.Emails = unproven })
	_, err = h.AuthenticateCode(t.Context(), v, id, code)
	refused(t, err, ErrEmailNotVerified)
	_, err = h.AddPhone(t.Context(), v, factors.SMSOTP, "+447400123456")
	refused(t, err, ErrEmailNotVerified)
	h.edit(u.ID, func(now *account.User) { now.Emails = u.Emails })

	h.enrol(as(h.signIn("alice@example.com")))
	_, err = h.AddPhone(t.Context(), as(h.signIn("alice@example.com")), factors.SMSOTP, "+447400123457")
	refused(t, err, &Error{Type: "insufficient_factors"})
	if n := h.messages("+447400123457"); n != 0 {
		t.Errorf("%d texts", n)
	}
}

// An invitation is spent by the account that it made, also when that is gone; a set-up link is
// worth nothing once somebody has an account, though its form was opened before.
func TestInvitationsMakeOneAccount(t *testing.T) {
	h := newHouse(t)
	setup, err := h.Setup(t.Context(), "https://app.test")
	ok(t, err)
	link, _, err := h.Operator(false).Invite(t.Context(), "https://app.test", account.NewUser{Email: "eve@example.com"})
	ok(t, err)
	r, err := h.AcceptInvite(t.Context(), anon(), last(link), Acceptance{Password: secret})
	ok(t, err)
	hash := *must(h.Operator(false).Find(t.Context(), r.Session.UserID)).Password
	_, err = h.acceptance(t.Context(), account.SetupTicket, last(setup), account.NewUser{Email: "mallory@example.com"}, hash)
	refused(t, err, ErrLinkNotFound)
	ok(t, h.Operator(true).Delete(t.Context(), r.Session.UserID))
	_, err = h.AcceptInvite(t.Context(), anon(), last(link), Acceptance{Password: secret})
	refused(t, err, ErrLinkNotFound)
}

// A locked account gets no new password, not even by a link that was made after the lock.
func TestLockedAccountsGetNoPassword(t *testing.T) {
	h := newHouse(t)
	u := h.user("alice@example.com", true)
	ok(t, h.Operator(false).Lock(t.Context(), u.ID))
	h.clock.Advance(time.Second)
	link, _, err := h.Operator(false).ResetLink(t.Context(), "https://app.test", u.ID)
	ok(t, err)
	refused(t, h.Reset(t.Context(), anon(), last(link), "eight loud lamps under water"), ErrLinkNotFound)
	ok(t, h.Operator(false).Unlock(t.Context(), u.ID))
	h.signIn("alice@example.com")
}

// Apps are told of proven addresses only.
func TestTheMainAddressIsProven(t *testing.T) {
	h := newHouse(t)
	u := h.user("alice@example.com", true)
	h.edit(u.ID, func(u *account.User) {
		u.Emails = append(u.Emails[:1:1], account.Email{ID: "email-not", Address: "ceo@example.com"})
	})
	refused(t, h.MakePrimary(t.Context(), as(h.signIn("alice@example.com")), "email-not"), ErrNotFound)
}
