package flow

import (
	"context"
	"testing"

	"github.com/stepgate/stepgate/internal/account"
)

// What was right when it was looked at, and was used by somebody else before it could count, does
// not count: the change that makes it count holds only on the records that were looked at.
func TestASecretCountsOnceWhoeverIsFirst(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(h *house) (verify func(v Visitor) (candidate, error), use func(v Visitor) (Result, error))
		session bool
		want    *Error
	}{
		"e-mail code": {func(h *house) (func(Visitor) (candidate, error), func(Visitor) (Result, error)) {
			id, code := h.code(anon(), "alice@example.com")
			return func(v Visitor) (candidate, error) { return h.verifyCode(h.t.Context(), v, id, code) },
				func(v Visitor) (Result, error) { return h.AuthenticateCode(h.t.Context(), v, id, code) }
		}, false, ErrOTPUsed},
		"app": {func(h *house) (func(Visitor) (candidate, error), func(Visitor) (Result, error)) {
			r, _ := h.enrol(as(h.signIn("alice@example.com")))
			code := h.totp(r.Session.UserID)
			return func(v Visitor) (candidate, error) {
					c, _, err := h.verifyTOTP(h.t.Context(), v, code, true)
					return c, err
				},
				func(v Visitor) (Result, error) { return h.AuthenticateTOTP(h.t.Context(), v, code) }
		}, true, ErrTOTPUsed},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.user("alice@example.com", true)
			verify, use := c.prepare(h)
			first, second := anon(), anon()
			if c.session {
				first, second = as(h.signIn("alice@example.com")), as(h.signIn("alice@example.com"))
			}
			looked := 0
			_, err := h.AddProof(t.Context(), second, account.Attempt{}, func(context.Context) (candidate, error) {
				got, err := verify(second)
				if looked++; looked == 1 {
					ok(t, err)
					_, err := use(first)
					ok(t, err)
				}
				return got, err
			})
			refused(t, err, c.want)
			if looked != 2 {
				t.Errorf("looked at %d times", looked)
			}
		})
	}
}
