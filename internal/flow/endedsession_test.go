package flow

import (
	"testing"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/store"
)

// A request that was let in before its session ended changes nothing after it: the owner who
// signs everybody out, or resets the password, has the last word.
func TestEndedSessionsChangeNothing(t *testing.T) {
	for name, act := range map[string]func(h *house, v Visitor) error{
		"set a password": func(h *house, v Visitor) error {
			return h.SetPassword(t.Context(), v, "eight loud lamps under water")
		},
		"remove a factor": func(h *house, v Visitor) error {
			return h.RemoveFactor(t.Context(), v, account.PasswordID(v.Session.UserID), true)
		},
		"renew recovery codes": func(h *house, v Visitor) error {
			_, err := h.RenewRecoveryCodes(t.Context(), v)
			return err
		},
		"begin an authenticator app": func(h *house, v Visitor) error {
			_, err := h.StartTOTP(t.Context(), v)
			return err
		},
		"begin a passkey": func(h *house, v Visitor) error {
			_, err := h.StartRegistration(t.Context(), v, "")
			return err
		},
		"change the name": func(h *house, v Visitor) error {
			return h.Rename(t.Context(), v, "Alice")
		},
		"forget a device": func(h *house, v Visitor) error {
			return h.ForgetDevice(t.Context(), v, "device-1")
		},
		"name a key": func(h *house, v Visitor) error {
			return h.RenameKey(t.Context(), v, "webauthn-registration-1", "Mine")
		},
		"choose the main address": func(h *house, v Visitor) error {
			return h.MakePrimary(t.Context(), v, h.accounts.EmailID("alice@example.com"))
		},
	} {
		for how, end := range map[string]func(h *house, v Visitor) error{
			"ended": func(h *house, v Visitor) error { return h.sessions.RevokeAll(t.Context(), v.Session.UserID, nil) },
			"rotated away": func(h *house, v Visitor) error {
				_, err := h.AuthenticateTOTP(t.Context(), v, h.totp(v.Session.UserID))
				return err
			},
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				h := newHouse(t)
				h.opts.Offered = append(h.opts.Offered, factors.WebAuthn, factors.Passkey)
				h.user("alice@example.com", true)
				r, _ := h.enrol(as(h.signIn("alice@example.com")))
				v := as(r)
				ok(t, end(h, v))
				before, rev, err := h.accounts.Get(t.Context(), v.Session.UserID)
				ok(t, err)
				refused(t, act(h, v), ErrSessionChanged)
				if _, now, err := h.accounts.Get(t.Context(), before.ID); err != nil || now != rev {
					t.Errorf("the account changed: %v", err)
				}
			})
		}
	}
}

// An account that gains a factor between the look and the edit is judged as it is then.
func TestChangesAreJudgedWhenWritten(t *testing.T) {
	h := newHouse(t)
	h.user("alice@example.com", true)
	thief := as(h.signIn("alice@example.com"))
	h.enrol(as(h.signIn("alice@example.com")))
	_, err := h.change(t.Context(), thief, time.Hour, func(*account.User, *store.Change) error {
		t.Error("edited by one factor")
		return nil
	})
	refused(t, err, &Error{Type: "insufficient_factors"})
}

// A lock holds from the moment when it is written, before it has ended the sessions.
func TestLockedAccountsChangeNothing(t *testing.T) {
	h := newHouse(t)
	u := h.user("alice@example.com", true)
	v := as(h.signIn("alice@example.com"))
	h.edit(u.ID, func(u *account.User) { u.LockedAt = h.clock.Now() })
	refused(t, h.Rename(t.Context(), v, "Eve"), ErrNoSession)
}
