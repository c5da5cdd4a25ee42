package flow

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/store"
)

// A break-glass code leads back in once: with a new password, and with nothing of what may be in
// other hands. It signs nobody in, and everybody who administers is told.
func TestBreakGlass(t *testing.T) {
	h := newHouse(t)
	ada := h.admin("ada@example.com")
	h.admin("grace@example.com")
	h.user("bob@example.com", true)
	h.enrol(as(h.signIn("ada@example.com")))
	open := h.mfa("ada@example.com", "B", "B")
	h.edit(ada.ID, func(u *account.User) { // an intruder's
		u.Emails = append(slices.Clone(u.Emails), account.Email{ID: "email-mallory", Address: "mallory@example.com", Verified: true})
	})
	codes, err := h.Operator(false).BreakGlassCodes(t.Context(), ada.ID)
	ok(t, err)
	if len(codes) != 10 {
		t.Fatalf("%d codes", len(codes))
	}
	token, err := h.BreakGlass(t.Context(), anon(), "ADA@example.com", codes[3])
	ok(t, err)
	_, err = h.User(t.Context(), open)
	ok(t, err) // the account is there
	if _, err := h.sessions.Get(t.Context(), ada.ID, open.Session.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the session goes on: %v", err)
	}
	_, err = h.AuthenticatePassword(t.Context(), anon(), "ada@example.com", secret)
	refused(t, err, ErrCredentials)
	got, _, err := h.accounts.Get(t.Context(), ada.ID)
	ok(t, err)
	if got.Password != nil || got.TOTP != nil || got.Recovery != nil || len(got.Emails) != 1 || got.BreakGlass.Left() != 9 {
		t.Errorf("left: %+v", got)
	}
	if h.events.count(audit.BreakGlassUsed) != 1 {
		t.Error("no alarm")
	}
	for _, to := range []string{"ada@example.com", "grace@example.com"} {
		if !h.told(to, "ALARM") {
			t.Errorf("%s is not told", to)
		}
	}
	const fresh = "eight loud lamps under water"
	ok(t, h.Reset(t.Context(), anon(), token, fresh))
	r, err := h.AuthenticatePassword(t.Context(), anon(), "ada@example.com", fresh)
	ok(t, err)
	// What administration asks for still has to be proven.
	_, err = h.Administrator(t.Context(), as(r))
	refused(t, err, ErrAdminProof)
	if _, err := h.StartTOTP(t.Context(), as(r)); err != nil {
		t.Errorf("no second factor can be set up: %v", err)
	}

	for name, try := range map[string][2]string{
		"used": {"ada@example.com", codes[3]}, "another's": {"grace@example.com", codes[4]}, "no administrator": {"bob@example.com", codes[4]},
		"nobody": {"nobody@example.com", codes[4]}, "wrong": {"ada@example.com", "0000-0000-0000-0000"},
	} {
		_, err := h.BreakGlass(t.Context(), anon(), try[0], try[1])
		if err == nil {
			t.Fatalf("%s: accepted", name)
		}
		refused(t, err, ErrBreakGlass)
	}
	_, err = h.BreakGlass(t.Context(), anon(), "ada@example.com", "nonsense")
	refused(t, err, ErrInvalidRecoveryCode)
}

// told tells whether somebody got a mail with a text in its subject.
func (h *house) told(to, text string) bool {
	h.queue.Deliver(h.t.Context())
	for _, m := range h.outbox.List() {
		if m.To == to && strings.Contains(m.Subject, text) {
			return true
		}
	}
	return false
}

// One code opens once, however many use it at the same time.
func TestBreakGlassOnce(t *testing.T) {
	h := newHouse(t)
	ada := h.admin("ada@example.com")
	codes, err := h.Operator(false).BreakGlassCodes(t.Context(), ada.ID)
	ok(t, err)
	var wait sync.WaitGroup
	errs := make([]error, 20)
	for i := range errs {
		wait.Go(func() { _, errs[i] = h.BreakGlass(t.Context(), anon(), "ada@example.com", codes[0]) })
	}
	wait.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		}
	}
	if won != 1 {
		t.Errorf("%d of them opened: %v", won, errs)
	}
}

// Codes are for administrators, die when they are revoked or the right goes, and guessing is
// bounded by the client's network.
func TestWhoHasBreakGlass(t *testing.T) {
	h := newHouse(t)
	ada, bob := h.admin("ada@example.com"), h.user("bob@example.com", true)
	h.admin("grace@example.com")
	a := h.Operator(false)
	_, err := a.BreakGlassCodes(t.Context(), bob.ID)
	refused(t, err, ErrNoAdministrator)
	codes, err := a.BreakGlassCodes(t.Context(), ada.ID)
	ok(t, err)
	ok(t, a.SetGroups(t.Context(), ada.ID, nil))
	_, err = h.BreakGlass(t.Context(), anon(), "ada@example.com", codes[0])
	refused(t, err, ErrBreakGlass)
	ok(t, a.SetGroups(t.Context(), ada.ID, []string{"admins"}))
	_, err = h.BreakGlass(t.Context(), anon(), "ada@example.com", codes[0]) // nor do they come back with the right
	refused(t, err, ErrBreakGlass)
	codes, err = a.BreakGlassCodes(t.Context(), ada.ID)
	ok(t, err)
	ok(t, a.Lock(t.Context(), ada.ID))
	_, err = h.BreakGlass(t.Context(), anon(), "ada@example.com", codes[0])
	refused(t, err, ErrBreakGlass)
	ok(t, a.Unlock(t.Context(), ada.ID))
	ok(t, a.RevokeBreakGlass(t.Context(), ada.ID))
	_, err = h.BreakGlass(t.Context(), anon(), "ada@example.com", codes[0])
	refused(t, err, ErrBreakGlass)
	for range 1000 {
		if _, err = h.BreakGlass(t.Context(), anon(), "ada@example.com", "0000-0000-0000-0000"); !errors.Is(err, ErrBreakGlass) {
			refused(t, err, ErrTooManyRequests)
			return
		}
	}
	t.Error("a thousand guesses from one address")
}
