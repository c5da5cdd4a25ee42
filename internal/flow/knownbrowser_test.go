package flow

import (
	"errors"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
)

const alice = "alice@example.com"

// besieged is a house in which strangers lock alice out. In the browser B she has proven her
// password and a code of her app, in C the password only; D is bob's.
func besieged(t *testing.T) (h *house, id string, recovery []string) {
	t.Helper()
	h = newHouse(t)
	id = h.user(alice, true).ID
	h.user("bob@example.com", true)
	_, recovery = h.enrol(as(h.signIn(alice)))
	h.mfa(alice, "B", "B")
	for browserOf, email := range map[string]string{"C": alice, "D": "bob@example.com"} {
		_, err := h.AuthenticatePassword(t.Context(), browser(anon(), browserOf), email, secret)
		ok(t, err)
	}
	h.besiege()
	return h, id, recovery
}

// besiege uses alice's budget up.
func (h *house) besiege() {
	h.t.Helper()
	for range 10 {
		_, err := h.AuthenticatePassword(h.t.Context(), browser(anon(), "Z"), alice, "wrong")
		refused(h.t, err, ErrCredentials)
	}
}

// enters tells whether alice's right password opens a session in a browser.
func (h *house) enters(n string) bool {
	h.t.Helper()
	_, err := h.AuthenticatePassword(h.t.Context(), browser(anon(), n), alice, secret)
	if err != nil {
		refused(h.t, err, ErrCredentials)
	}
	return err == nil
}

// While strangers keep the account locked, its owner gets in where she has been before, with each
// factor that she has proven there; nobody else does anywhere.
func TestStrangersLockNobodyOutOfAKnownBrowser(t *testing.T) {
	h, id, recovery := besieged(t)
	for n, want := range map[string]bool{"B": true, "C": true, "D": false, "Z": false, "E": false} {
		if h.enters(n) != want {
			t.Errorf("browser %s: enters is %t", n, !want)
		}
	}
	if _, err := h.AuthenticatePassword(t.Context(), anon(), alice, secret); err == nil {
		t.Error("a client that keeps nothing enters")
	}
	r, err := h.AuthenticatePassword(t.Context(), browser(anon(), "C"), alice, secret)
	ok(t, err)
	h.clock.Advance(time.Minute)
	_, err = h.AuthenticateTOTP(t.Context(), browser(as(r), "C"), h.totp(id))
	refused(t, err, ErrTooManyAttempts) // of the app, C knows nothing
	r, err = h.AuthenticateTOTP(t.Context(), browser(as(r), "B"), h.totp(id))
	ok(t, err)
	_, err = h.AuthenticateRecoveryCode(t.Context(), browser(as(r), "B"), recovery[0])
	ok(t, err)
	if h.enters("Z") {
		t.Error("the owner's success lets strangers on")
	}
}

// Ten failures in a known browser put it under the lock of the account, and are recorded.
func TestAKnownBrowserIsNoEndlessBudget(t *testing.T) {
	h, _, _ := besieged(t)
	for range 10 {
		_, err := h.AuthenticatePassword(t.Context(), browser(anon(), "B"), alice, "wrong")
		refused(t, err, ErrCredentials)
	}
	if h.enters("B") || !h.enters("C") {
		t.Error("ten failures in one browser do not end its budget, or end that of another")
	}
	if n := h.events.count(audit.AttemptsLocked); n != 2 {
		t.Errorf("%d locks recorded", n)
	}
	h.clock.Advance(time.Hour)
	if !h.enters("B") {
		t.Error("the lock of the account does not end")
	}
}

// Whoever knows the password and nothing else cannot make browsers known to guess the second
// factor in.
func TestAPasswordBuysNoGuessesAtTheApp(t *testing.T) {
	h := newHouse(t)
	id := h.user(alice, true).ID
	h.enrol(as(h.signIn(alice)))
	guesses := 0
	for _, n := range []string{"a", "b", "c", "d"} {
		for range 12 {
			r, err := h.AuthenticatePassword(t.Context(), browser(anon(), n), alice, secret)
			if err != nil {
				continue
			}
			if _, err := h.AuthenticateTOTP(t.Context(), browser(as(r), n), wrong(h.totp(id))); !errors.Is(err, account.ErrLocked) {
				guesses++
			}
		}
	}
	if guesses != 10 {
		t.Errorf("%d guesses at the app", guesses)
	}
}

// In a locked account, an unknown browser gets one answer: for a right password, a wrong one and an
// address of nobody; and a browser known to others is an unknown one.
func TestTheLockTellsNothingOfKnownBrowsers(t *testing.T) {
	h, _, _ := besieged(t)
	for _, try := range [][3]string{
		{"Z", alice, secret}, {"Z", alice, "wrong"}, {"Z", "nobody@example.com", secret}, {"D", alice, secret}, {"D", alice, "wrong"}, {"B", alice, "wrong"},
	} {
		_, err := h.AuthenticatePassword(t.Context(), browser(anon(), try[0]), try[1], try[2])
		var got *Error
		if !errors.As(err, &got) || got.Type != ErrCredentials.Type || got.Detail != ErrCredentials.Detail || got.Status != ErrCredentials.Status || got.RetryAfter != 0 {
			t.Errorf("%v: %#v", try, got)
		}
	}
}

// What takes remembered devices away makes browsers unknown, all or all but the one in which it
// was done. To lift a lock does not.
func TestWhatMakesBrowsersUnknown(t *testing.T) {
	const fresh = "eight loud lamps under water"
	admin := func(do func(Administrator, string) error) func(*house, string, Visitor) error {
		return func(h *house, id string, _ Visitor) error { return do(h.Operator(false), id) }
	}
	for name, c := range map[string]struct {
		do   func(h *house, id string, v Visitor) error // v is alice, with all factors, in B
		want map[string]bool
		now  string // the password from then on
	}{
		"nothing":            {func(*house, string, Visitor) error { return nil }, map[string]bool{"B": true, "C": true}, secret},
		"unlocked":           {admin(func(a Administrator, id string) error { return a.Unlock(t.Context(), id) }), map[string]bool{"B": true, "C": true}, secret},
		"all sessions ended": {admin(func(a Administrator, id string) error { return a.RevokeSessions(t.Context(), id) }), nil, secret},
		"locked and unlocked": {admin(func(a Administrator, id string) error {
			return errors.Join(a.Lock(t.Context(), id), a.Unlock(t.Context(), id))
		}), nil, secret},
		"locked": {func(h *house, id string, _ Visitor) error {
			return h.Operator(false).Lock(t.Context(), id)
		}, nil, secret},
		"app reset":            {admin(func(a Administrator, id string) error { return a.ResetFactor(t.Context(), id, "totp") }), nil, secret},
		"signed out elsewhere": {func(h *house, _ string, v Visitor) error { return h.RevokeOtherSessions(t.Context(), v) }, map[string]bool{"B": true}, secret},
		"password changed":     {func(h *house, _ string, v Visitor) error { return h.SetPassword(t.Context(), v, fresh) }, map[string]bool{"B": true}, fresh},
		"app removed": {func(h *house, id string, v Visitor) error {
			return h.RemoveFactor(t.Context(), v, must(h.Operator(false).Find(t.Context(), id)).TOTP.ID, true)
		}, map[string]bool{"B": true}, secret},
		"password reset": {func(h *house, _ string, _ Visitor) error {
			if err := h.StartReset(t.Context(), anon(), alice); err != nil {
				return err
			}
			return h.Reset(t.Context(), browser(anon(), "B"), last(h.newest(alice).Link), fresh)
		}, nil, fresh},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			id := h.user(alice, true).ID
			h.enrol(as(h.signIn(alice)))
			_, err := h.AuthenticatePassword(t.Context(), browser(anon(), "C"), alice, secret)
			ok(t, err)
			v := h.mfa(alice, "B", "B")
			ok(t, c.do(h, id, v))
			h.besiege()
			for _, n := range []string{"B", "C"} {
				_, err := h.AuthenticatePassword(t.Context(), browser(anon(), n), alice, c.now)
				if (err == nil) != c.want[n] {
					t.Errorf("browser %s: %v", n, err)
				}
			}
		})
	}
}

// Only what was proven makes a browser known: not a link, not a failure, not a password that was
// set, and not a proof for somebody else.
func TestWhatMakesABrowserKnown(t *testing.T) {
	h := newHouse(t)
	h.user(alice, true)
	h.user("bob@example.com", true)
	bob, err := h.AuthenticatePassword(t.Context(), browser(anon(), "D"), "bob@example.com", secret)
	ok(t, err)
	_, err = h.AuthenticatePassword(t.Context(), browser(as(bob), "D"), alice, secret)
	refused(t, err, ErrAnotherUser)
	_, err = h.AuthenticatePassword(t.Context(), browser(anon(), "E"), alice, "wrong")
	refused(t, err, ErrCredentials)
	id, code := h.code(anon(), alice)
	_, err = h.AuthenticateCode(t.Context(), browser(anon(), "F"), id, code)
	ok(t, err)
	h.besiege()
	for _, n := range []string{"D", "E", "F"} {
		if h.enters(n) {
			t.Errorf("browser %s is known for the password", n)
		}
	}
	id, code = h.code(anon(), alice)
	_, err = h.AuthenticateCode(t.Context(), browser(anon(), "E"), id, code)
	refused(t, err, ErrOTPIncorrect)
	_, err = h.AuthenticateCode(t.Context(), browser(anon(), "F"), id, code)
	ok(t, err)
}
