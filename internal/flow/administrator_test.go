package flow

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/account"
)

// admin makes a user who administers the gateway.
func (h *house) admin(email string) account.User {
	h.t.Helper()
	u, err := h.Operator(false).Create(h.t.Context(), account.NewUser{Email: email, Verified: true, Groups: []string{account.AdminGroup}}, secret)
	ok(h.t, err)
	return u
}

// Administration takes the group, two factors that prove different things, and one of them
// from the last hour.
func TestWhoAdministers(t *testing.T) {
	h := newHouse(t)
	h.admin("ada@example.com")
	h.user("bob@example.com", true)
	_, err := h.Administrator(t.Context(), anon())
	refused(t, err, ErrNoSession)
	h.enrol(as(h.signIn("bob@example.com")))
	_, err = h.Administrator(t.Context(), h.mfa("bob@example.com", "B", "B"))
	refused(t, err, ErrForbidden)

	one := as(h.signIn("ada@example.com"))
	_, err = h.Administrator(t.Context(), one)
	refused(t, err, ErrAdminProof)
	var asked *Error
	if !errors.As(err, &asked) || asked.Required == nil {
		t.Fatal("the refusal does not say what it takes")
	}
	h.enrol(one)
	two := h.mfa("ada@example.com", "B", "B")
	_, err = h.Administrator(t.Context(), two)
	ok(t, err)
	rotated, old := two, two.Session.Snapshot()
	old.ReadOnly = true
	rotated.Session = old
	_, err = h.Administrator(t.Context(), rotated)
	refused(t, err, ErrSessionChanged)
	h.clock.Advance(time.Hour + time.Second)
	_, err = h.Administrator(t.Context(), two)
	refused(t, err, ErrAdminProof)

	// A password and the mailbox that resets it are one proof.
	id, code := h.code(one, "ada@example.com")
	r, err := h.AuthenticateCode(t.Context(), as(h.signIn("ada@example.com")), id, code)
	ok(t, err)
	_, err = h.Administrator(t.Context(), as(r))
	refused(t, err, ErrAdminProof)
	// Nor does a remembered device stand in.
	d, err := h.RememberDevice(t.Context(), h.mfa("ada@example.com", "B", "B"), parsed(t, rememberRequired))
	ok(t, err)
	v := as(h.signIn("ada@example.com"))
	v.Device = d.Value
	_, err = h.Administrator(t.Context(), v)
	refused(t, err, ErrAdminProof)
}

// Somebody always administers the gateway, unless the operator insists.
func TestLastAdministratorStays(t *testing.T) {
	for name, do := range map[string]func(a Administrator, id string) error{
		"lock":   func(a Administrator, id string) error { return a.Lock(t.Context(), id) },
		"delete": func(a Administrator, id string) error { return a.Delete(t.Context(), id) },
		"groups": func(a Administrator, id string) error { return a.SetGroups(t.Context(), id, []string{"staff"}) },
	} {
		h := newHouse(t)
		ada, grace := h.admin("ada@example.com"), h.admin("grace@example.com")
		h.user("bob@example.com", true)
		ok(t, h.Operator(false).Lock(t.Context(), grace.ID))
		refused(t, do(h.Operator(false), ada.ID), ErrLastAdministrator) // the other one is locked
		ok(t, h.Operator(false).Unlock(t.Context(), grace.ID))
		ok(t, do(h.Operator(false), ada.ID))
		refused(t, do(h.Operator(false), grace.ID), ErrLastAdministrator)
		ok(t, h.Operator(false).SetGroups(t.Context(), grace.ID, []string{"staff", account.AdminGroup}))
		if t.Failed() {
			t.Fatal(name)
		}
		ok(t, do(h.Operator(true), grace.ID))
	}
}

// Two administrators who lock each other at once: one of them stays.
func TestAdministratorsLockEachOther(t *testing.T) {
	for range 20 {
		h := newHouse(t)
		ada, grace := h.admin("ada@example.com"), h.admin("grace@example.com")
		var wait sync.WaitGroup
		errs := make([]error, 2)
		for i, id := range []string{ada.ID, grace.ID} {
			wait.Go(func() { errs[i] = h.Operator(false).Lock(t.Context(), id) })
		}
		wait.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("both or neither: %v", errs)
		}
	}
}

// A link from an administrator sets a password once. It signs nobody in, proves no mailbox, and
// the second factor is still asked for.
func TestResetLink(t *testing.T) {
	h := newHouse(t)
	u := h.user("alice@example.com", false)
	open := h.signIn("alice@example.com")
	link, ticket, err := h.Operator(false).ResetLink(t.Context(), "https://app.test", u.ID)
	ok(t, err)
	token, found := strings.CutPrefix(link, "https://app.test/.stepgate/password/reset/")
	if !found || ticket.ExpiresAt.Sub(h.clock.Now()) != 24*time.Hour {
		t.Fatalf("link %q, until %v", link, ticket.ExpiresAt)
	}
	const fresh = "eight loud lamps under water"
	refused(t, h.Reset(t.Context(), anon(), token[1:], fresh), ErrLinkNotFound)
	ok(t, h.Reset(t.Context(), anon(), token, fresh))
	refused(t, h.Reset(t.Context(), anon(), token, fresh), ErrLinkNotFound)
	if _, err := h.lookup2(open.Cookie); !errors.Is(err, errAbsent) {
		t.Error("the sessions did not end")
	}
	got, _, err := h.accounts.Get(t.Context(), u.ID)
	ok(t, err)
	if got.HasVerifiedEmail() {
		t.Error("the link proved a mailbox")
	}
	_, err = h.AuthenticatePassword(t.Context(), anon(), "alice@example.com", secret)
	refused(t, err, ErrCredentials)
	r, err := h.AuthenticatePassword(t.Context(), anon(), "alice@example.com", fresh)
	ok(t, err)
	if n := len(r.Session.Factors); n != 1 {
		t.Errorf("%d factors", n)
	}
	// It expires, and a mailed link is none of the kind.
	link, _, err = h.Operator(false).ResetLink(t.Context(), "https://app.test", u.ID)
	ok(t, err)
	h.clock.Advance(24 * time.Hour)
	refused(t, h.Reset(t.Context(), anon(), link[strings.LastIndex(link, "/")+1:], secret), ErrLinkNotFound)
}

// Custom claims are bounded and change by name.
func TestCustomClaims(t *testing.T) {
	h := newHouse(t)
	u := h.user("alice@example.com", true)
	a := h.Operator(false)
	got, err := a.SetClaims(t.Context(), u.ID, map[string]any{"level": 3.0, "team": "blue"})
	ok(t, err)
	if len(got) != 2 {
		t.Fatalf("%v", got)
	}
	got, err = a.SetClaims(t.Context(), u.ID, map[string]any{"team": nil, "tags": []any{"a", "b"}})
	ok(t, err)
	if len(got) != 2 || got["team"] != nil {
		t.Fatalf("%v", got)
	}
	if s := h.signIn("alice@example.com").Session; s.CustomClaims["level"] == nil || s.Subject().CustomClaims["tags"] == nil {
		t.Errorf("the session has %v", s.CustomClaims)
	}
	many := make(map[string]any)
	for i := range 51 {
		many["c"+strings.Repeat("x", i)] = 1
	}
	for name, bad := range map[string]map[string]any{
		"no name": {"": 1}, "a control byte": {"a\nb": 1}, "a long name": {strings.Repeat("a", 101): 1},
		"too large": {"a": strings.Repeat("x", 3000)}, "too many": many,
	} {
		if _, err := a.SetClaims(t.Context(), u.ID, bad); err == nil {
			t.Errorf("%s: accepted", name)
		} else {
			refused(t, err, ErrInvalidClaims)
		}
	}
}

// An administrator takes away any kind of credential, and the sessions with it.
func TestResetFactorByID(t *testing.T) {
	h := newHouse(t)
	u := h.user("alice@example.com", true)
	h.enrol(as(h.signIn("alice@example.com")))
	refused(t, h.Operator(false).ResetFactor(t.Context(), u.ID, "webauthn-nothing"), ErrNotFound)
	got, _, err := h.accounts.Get(t.Context(), u.ID)
	ok(t, err)
	ok(t, h.Operator(false).ResetFactor(t.Context(), u.ID, got.TOTP.ID))
	got, _, err = h.accounts.Get(t.Context(), u.ID)
	ok(t, err)
	if got.TOTP != nil {
		t.Error("it stayed")
	}
	refused(t, h.Operator(false).ResetFactor(t.Context(), u.ID, "totp"), ErrNotFound)
}

// A link for a new password dies with what it was made for: the address that it was mailed to, the
// password that it was to replace, the glass that was broken since.
func TestLinksThatOutlivedTheirReason(t *testing.T) {
	const fresh, other = "eight loud lamps under water", "nine quiet lamps under water"
	for name, c := range map[string]func(h *house, v Visitor) (link string){
		"the address is gone": func(h *house, v Visitor) string {
			id, err := h.AddEmail(t.Context(), v, "second@example.com")
			ok(t, err)
			r, err := h.AuthenticateCode(t.Context(), v, id, h.newest("second@example.com").Code)
			ok(t, err)
			ok(t, h.StartReset(t.Context(), anon(), "second@example.com"))
			link := h.newest("second@example.com").Link
			ok(t, h.RemoveFactor(t.Context(), browser(as(r), "B"), id, true))
			return link
		},
		"the password changed": func(h *house, v Visitor) string {
			ok(t, h.StartReset(t.Context(), anon(), "ada@example.com"))
			link := h.newest("ada@example.com").Link
			h.clock.Advance(time.Second)
			ok(t, h.SetPassword(t.Context(), v, other))
			return link
		},
		"another link was used": func(h *house, _ Visitor) string {
			ok(t, h.StartReset(t.Context(), anon(), "ada@example.com"))
			link := h.newest("ada@example.com").Link
			h.clock.Advance(time.Second)
			ok(t, h.StartReset(t.Context(), anon(), "ada@example.com"))
			ok(t, h.Reset(t.Context(), anon(), last(h.newest("ada@example.com").Link), other))
			return link
		},
		"the glass was broken": func(h *house, v Visitor) string {
			link, _, err := h.Operator(false).ResetLink(t.Context(), "https://app.test", v.Session.UserID)
			ok(t, err)
			codes, err := h.Operator(false).BreakGlassCodes(t.Context(), v.Session.UserID)
			ok(t, err)
			h.clock.Advance(time.Second)
			_, err = h.BreakGlass(t.Context(), anon(), "ada@example.com", codes[0])
			ok(t, err)
			return link
		},
	} {
		h := newHouse(t)
		h.admin("ada@example.com")
		h.enrol(as(h.signIn("ada@example.com")))
		link := c(h, h.mfa("ada@example.com", "B", "B"))
		if _, _, err := h.ResetTarget(t.Context(), anon(), last(link)); !errors.Is(err, ErrLinkNotFound) {
			t.Errorf("%s: the page opens: %v", name, err)
		}
		if err := h.Reset(t.Context(), anon(), last(link), fresh); !errors.Is(err, ErrLinkNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An address or a lock makes no difference to the work of asking for a link: each stores one.
func TestAskingForALinkStoresTheSame(t *testing.T) {
	h := newHouse(t)
	h.user("alice@example.com", true)
	locked := h.user("locked@example.com", true)
	ok(t, h.Operator(false).Lock(t.Context(), locked.ID))
	tickets := func() int {
		list, err := h.db.Store().List(t.Context(), "ut/", "", 1000)
		ok(t, err)
		return len(list)
	}
	for _, email := range []string{"alice@example.com", "nobody@example.com", "locked@example.com"} {
		before := tickets()
		ok(t, h.StartReset(t.Context(), anon(), email))
		if n := tickets() - before; n != 1 {
			t.Errorf("%s: %d links stored", email, n)
		}
		h.queue.Deliver(t.Context())
		for _, m := range h.outbox.List() {
			if m.To == email && email != "alice@example.com" {
				t.Errorf("a mail to %s", email)
			}
		}
	}
}

// Links and invitations name a site that the configuration knows, or are not made.
func TestLinksNameASite(t *testing.T) {
	h := newHouse(t)
	u := h.user("alice@example.com", true)
	_, _, err := h.Operator(false).Invite(t.Context(), "", account.NewUser{Email: "new@example.com"})
	refused(t, err, ErrNoOrigin)
	_, _, err = h.Operator(false).ResetLink(t.Context(), "", u.ID)
	refused(t, err, ErrNoOrigin)
}

// Applications get all groups in one header: a name can hold nothing that ends or joins names.
func TestNamesOfGroups(t *testing.T) {
	h := newHouse(t)
	u := h.user("alice@example.com", true)
	for _, bad := range []string{"a,admins", "a\nb", "a\x00", " a", "a ", "", "\xff", strings.Repeat("a", 101)} {
		refused(t, h.Operator(false).SetGroups(t.Context(), u.ID, []string{"staff", bad}), ErrInvalidGroup)
	}
	ok(t, h.Operator(false).SetGroups(t.Context(), u.ID, []string{"Büro Süd", "a/b:c"}))
}
