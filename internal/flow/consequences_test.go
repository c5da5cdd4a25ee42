package flow

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stepgate/stepgate/internal/audit"
)

// dying is the context of a client who closes the connection after so many looks at it.
type dying struct {
	context.Context
	left *atomic.Int64
}

func leaving(t *testing.T, after int64) dying {
	d := dying{t.Context(), new(atomic.Int64)}
	d.left.Store(after)
	return d
}

func (d dying) Err() error {
	if d.left.Add(-1) < 0 {
		return context.Canceled
	}
	return d.Context.Err()
}

// Whoever closes the connection, at whatever point, has changed nothing, or everything: the
// sessions that must end have ended, and the owner is told.
func TestLeavingEarlyTakesNothingBack(t *testing.T) {
	const fresh = "eight loud lamps under water"
	for n := range int64(100) {
		h := newHouse(t)
		u := h.user("alice@example.com", true)
		open := h.signIn("alice@example.com")
		ok(t, h.StartReset(t.Context(), anon(), "alice@example.com"))
		err := h.Reset(leaving(t, n), anon(), last(h.newest("alice@example.com").Link), fresh)
		if _, changed := h.AuthenticatePassword(t.Context(), anon(), "alice@example.com", fresh); changed == nil {
			if _, err := h.sessions.Get(t.Context(), u.ID, open.Session.ID); err == nil {
				t.Errorf("leaving after %d: the password is new, and the old session goes on", n)
			}
			if !h.told("alice@example.com", "Your password was changed") || h.events.count(audit.PasswordReset) != 1 {
				t.Errorf("leaving after %d: nobody was told of the new password", n)
			}
		}
		if err == nil {
			break
		}
	}
	for n := range int64(150) {
		h := newHouse(t)
		u := h.user("alice@example.com", true)
		v := as(h.signIn("alice@example.com"))
		_, err := h.StartTOTP(t.Context(), v)
		ok(t, err)
		_, err = h.AuthenticateTOTP(leaving(t, n), v, h.totp(u.ID))
		got := must(h.Operator(false).Find(t.Context(), u.ID))
		if got.TOTP != nil && !h.told("alice@example.com", "Added to your account") {
			t.Errorf("leaving after %d: an app was added and nobody was told", n)
		}
		if err == nil {
			break
		}
	}
	for n := range int64(150) {
		h := newHouse(t)
		ada := h.admin("ada@example.com")
		open := h.signIn("ada@example.com")
		codes, err := h.Operator(false).BreakGlassCodes(t.Context(), ada.ID)
		ok(t, err)
		token, err := h.BreakGlass(leaving(t, n), anon(), "ada@example.com", codes[0])
		if must(h.Operator(false).Find(t.Context(), ada.ID)).BreakGlass.Left() == 9 {
			if _, err := h.sessions.Get(t.Context(), ada.ID, open.Session.ID); err == nil {
				t.Errorf("leaving after %d: the glass is broken, and the old session goes on", n)
			}
			if h.events.count(audit.BreakGlassUsed) != 1 || !h.told("ada@example.com", "ALARM") || token == "" {
				t.Errorf("leaving after %d: the glass is broken without an alarm, or without a way on", n)
			}
		}
		if err == nil {
			break
		}
	}
	for n := range int64(150) {
		h := newHouse(t)
		u := h.user("alice@example.com", true)
		v, other := as(h.signIn("alice@example.com")), h.signIn("alice@example.com")
		err := h.SetPassword(leaving(t, n), v, fresh)
		if _, changed := h.AuthenticatePassword(t.Context(), anon(), "alice@example.com", fresh); changed == nil {
			if _, err := h.sessions.Get(t.Context(), u.ID, other.Session.ID); err == nil || !h.told("alice@example.com", "Your password was changed") {
				t.Errorf("leaving after %d: the password is new, and another session goes on, or nobody was told", n)
			}
		}
		if err == nil {
			break
		}
	}
	for n := range int64(150) {
		h := newHouse(t)
		u := h.user("alice@example.com", true)
		r, _ := h.enrol(as(h.signIn("alice@example.com")))
		app := must(h.Operator(false).Find(t.Context(), u.ID)).TOTP.ID
		err := h.RemoveFactor(leaving(t, n), as(r), app, true)
		if must(h.Operator(false).Find(t.Context(), u.ID)).TOTP == nil {
			if s, err := h.lookup2(r.Cookie); err != nil || len(s.Factors) != 1 || !h.told("alice@example.com", "Removed from your account") {
				t.Errorf("leaving after %d: the app is gone, its proof is not, or nobody was told", n)
			}
		}
		if err == nil {
			break
		}
	}
}
