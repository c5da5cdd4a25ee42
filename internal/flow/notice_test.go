package flow

import (
	"slices"
	"testing"

	"github.com/stepgate/stepgate/internal/account"
)

// Every change of an account is told to all proven addresses; one that is removed is told too.
func TestEveryChangeIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(h *house, v Visitor, u *account.User) error
		text string
		to   []string
	}{
		"password": {func(h *house, v Visitor, _ *account.User) error {
			return h.SetPassword(h.t.Context(), v, "eight loud lamps under water")
		}, "Your password was changed", nil},
		"authenticator app removed": {func(h *house, v Visitor, u *account.User) error {
			return h.RemoveFactor(h.t.Context(), v, u.TOTP.ID, true)
		}, "Removed from your account", nil},
		"address removed": {func(h *house, v Visitor, u *account.User) error {
			return h.RemoveFactor(h.t.Context(), v, u.Emails[0].ID, true)
		}, "Removed from your account", nil},
		"other main address": {func(h *house, v Visitor, u *account.User) error {
			return h.MakePrimary(h.t.Context(), v, u.Emails[1].ID)
		}, "Your main address is now second@example.com", nil},
		"recovery codes replaced": {func(h *house, v Visitor, _ *account.User) error {
			_, err := h.RenewRecoveryCodes(h.t.Context(), v)
			return err
		}, "Your recovery codes were replaced", nil},
		"address added": {func(h *house, v Visitor, _ *account.User) error {
			id, err := h.AddEmail(h.t.Context(), v, "third@example.com")
			if err != nil {
				return err
			}
			_, err = h.AuthenticateCode(h.t.Context(), v, id, h.newest("third@example.com").Code)
			return err
		}, "Added to your account", []string{"third@example.com"}},
		"password reset": {func(h *house, _ Visitor, _ *account.User) error {
			if err := h.StartReset(h.t.Context(), anon(), "first@example.com"); err != nil {
				return err
			}
			return h.Reset(h.t.Context(), anon(), last(h.newest("first@example.com").Link), "eight loud lamps under water")
		}, "Your password was changed", nil},
		"taken away by an administrator": {func(h *house, _ Visitor, u *account.User) error {
			return h.Operator(false).ResetFactor(h.t.Context(), u.ID, u.Emails[0].ID)
		}, "Removed from your account", nil},
	} {
		h := newHouse(t)
		u := h.user("first@example.com", true)
		h.edit(u.ID, func(u *account.User) {
			u.Emails = append(slices.Clone(u.Emails), account.Email{ID: "email-second", Address: "second@example.com", Verified: true},
				account.Email{ID: "email-not", Address: "unproven@example.com"})
		})
		h.enrol(as(h.signIn("first@example.com")))
		v := h.mfa("first@example.com", "B", "B")
		u, _, err := h.accounts.Get(t.Context(), u.ID)
		ok(t, err)
		if err := c.do(h, v, &u); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, to := range append(c.to, "first@example.com", "second@example.com") {
			if !h.told(to, c.text) {
				t.Errorf("%s: %s is not told", name, to)
			}
		}
		if h.told("unproven@example.com", c.text) {
			t.Errorf("%s: an address that nobody proved is told", name)
		}
	}
}
