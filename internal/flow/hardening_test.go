package flow

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/store"
)

func codeFor(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	code, err := totp.GenerateCode(secret, at)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// many runs f in parallel and counts how often it succeeds.
func many(n int, f func() error) (successes int, errs []error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range n {
		wg.Go(func() {
			err := f()
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				successes++
			} else {
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	return successes, errs
}

// The same right code, posted by many requests at once, counts once.
func TestOneCodeCountsOnceInParallel(t *testing.T) {
	t.Run("e-mail code", func(t *testing.T) {
		h := newHouse(t)
		h.user("alice@example.com", true)
		id, code := h.code(anon(), "alice@example.com")
		n, errs := many(50, func() error {
			_, err := h.AuthenticateCode(t.Context(), anon(), id, code)
			return err
		})
		if n != 1 {
			t.Fatalf("%d of 50 counted: %v", n, errs)
		}
	})
	t.Run("TOTP", func(t *testing.T) {
		h := newHouse(t)
		u := h.user("alice@example.com", true)
		h.enrol(as(h.signIn("alice@example.com")))
		code := h.totp(u.ID)
		sessions := make(chan Result, 8)
		for range 8 {
			sessions <- h.signIn("alice@example.com")
		}
		n, errs := many(8, func() error {
			_, err := h.AuthenticateTOTP(t.Context(), as(<-sessions), code)
			return err
		})
		if n != 1 {
			t.Fatalf("%d of 8 counted: %v", n, errs)
		}
	})
	t.Run("recovery code", func(t *testing.T) {
		h := newHouse(t)
		h.user("alice@example.com", true)
		_, codes := h.enrol(as(h.signIn("alice@example.com")))
		sessions := make(chan Result, 8)
		for range 8 {
			sessions <- h.signIn("alice@example.com")
		}
		n, errs := many(8, func() error {
			_, err := h.AuthenticateRecoveryCode(t.Context(), as(<-sessions), codes[0])
			return err
		})
		if n != 1 {
			t.Fatalf("%d of 8 counted: %v", n, errs)
		}
	})
	t.Run("invitation", func(t *testing.T) {
		h := newHouse(t)
		link, _, err := h.Operator(false).Invite(t.Context(), "https://app.test", account.NewUser{Email: "eve@example.com"})
		ok(t, err)
		token := link[strings.LastIndex(link, "/")+1:]
		n, errs := many(10, func() error {
			_, err := h.AcceptInvite(t.Context(), anon(), token, Acceptance{Password: secret})
			return err
		})
		if n != 1 {
			t.Fatalf("%d of 10 counted: %v", n, errs)
		}
	})
}

// A step is refused for ever once it or a later one was accepted, two steps of skew
// are too many, and a clock that jumps back revives nothing.
func TestTOTPReplayAndSkew(t *testing.T) {
	h := newHouse(t)
	u := h.user("alice@example.com", true)
	h.enrol(as(h.signIn("alice@example.com")))
	now := h.clock.Now()
	for _, skew := range []time.Duration{-60 * time.Second, 60 * time.Second} {
		_, err := h.AuthenticateTOTP(t.Context(), as(h.signIn("alice@example.com")), h.totpAt(u.ID, now.Add(skew)))
		refused(t, err, ErrTOTPIncorrect)
	}
	code := h.totp(u.ID)
	_, err := h.AuthenticateTOTP(t.Context(), as(h.signIn("alice@example.com")), code)
	ok(t, err)
	_, err = h.AuthenticateTOTP(t.Context(), as(h.signIn("alice@example.com")), code)
	refused(t, err, ErrTOTPUsed)
	h.clock.Advance(30 * time.Second)
	_, err = h.AuthenticateTOTP(t.Context(), as(h.signIn("alice@example.com")), code)
	refused(t, err, ErrTOTPUsed)
	h.clock.Advance(-10 * time.Minute)
	_, err = h.AuthenticateTOTP(t.Context(), as(h.signIn("alice@example.com")), h.totp(u.ID))
	refused(t, err, ErrTOTPUsed)
}

// Six ASCII digits or nothing: other forms are told apart from guesses and spend nothing.
func TestMalformedCodesSpendNothing(t *testing.T) {
	h := newHouse(t)
	h.user("alice@example.com", true)
	id, code := h.code(anon(), "alice@example.com")
	for range 20 {
		for _, form := range []string{"", "1", "12345", "1234567", " " + code, code + "\n", "+12345", "12 345", "１２３４５６", "0x1234"} {
			_, err := h.AuthenticateCode(t.Context(), anon(), id, form)
			refused(t, err, ErrInvalidCode)
		}
	}
	_, err := h.AuthenticateCode(t.Context(), anon(), id, code)
	ok(t, err)
}

// Wrong, expired and used codes are told apart; a newer code replaces an older one.
func TestCodesAreToldApart(t *testing.T) {
	h := newHouse(t)
	h.user("alice@example.com", true)
	id, first := h.code(anon(), "alice@example.com")
	_, second := h.code(anon(), "alice@example.com")
	if first != second {
		_, err := h.AuthenticateCode(t.Context(), anon(), id, first)
		refused(t, err, ErrOTPIncorrect)
	}
	h.clock.Advance(2*time.Minute - time.Millisecond)
	_, err := h.AuthenticateCode(t.Context(), anon(), id, second)
	ok(t, err)
	_, err = h.AuthenticateCode(t.Context(), anon(), id, second)
	refused(t, err, ErrOTPUsed)
	_, third := h.code(anon(), "alice@example.com")
	h.clock.Advance(2 * time.Minute)
	_, err = h.AuthenticateCode(t.Context(), anon(), id, third)
	refused(t, err, ErrOTPExpired)
}

// TOTP and recovery codes never start a session, whatever is offered them.
func TestSecondFactorsNeverStart(t *testing.T) {
	h := newHouse(t)
	u := h.user("alice@example.com", true)
	_, codes := h.enrol(as(h.signIn("alice@example.com")))
	_, err := h.AuthenticateTOTP(t.Context(), anon(), h.totp(u.ID))
	refused(t, err, ErrNoSession)
	_, err = h.AuthenticateRecoveryCode(t.Context(), anon(), codes[0])
	refused(t, err, ErrNoSession)
	user, rev, err := h.accounts.Get(t.Context(), u.ID)
	ok(t, err)
	for _, product := range []factors.Product{factors.TOTP, factors.RecoveryCode, "", "unknown"} {
		_, err := h.AddProof(t.Context(), anon(), account.Attempt{}, candidateOf(user, rev, factors.Proof{
			Product: product, UserID: u.ID, CredentialID: "x", AuthenticatedAt: h.clock.Now(),
		}))
		if err == nil {
			t.Fatalf("%q started a session", product)
		}
	}
}

// AddProof refuses proofs that are old, from the future, of nobody, or of another user.
func TestAddProofRefuses(t *testing.T) {
	h := newHouse(t)
	u := h.user("alice@example.com", true)
	other := h.user("bob@example.com", true)
	user, rev, err := h.accounts.Get(t.Context(), u.ID)
	ok(t, err)
	good := factors.Proof{Product: factors.Password, UserID: u.ID, CredentialID: account.PasswordID(u.ID), AuthenticatedAt: h.clock.Now()}
	for name, change := range map[string]func(*factors.Proof){
		"old":           func(p *factors.Proof) { p.AuthenticatedAt = p.AuthenticatedAt.Add(-2 * time.Minute) },
		"future":        func(p *factors.Proof) { p.AuthenticatedAt = p.AuthenticatedAt.Add(time.Second) },
		"nobody":        func(p *factors.Proof) { p.UserID = "" },
		"another user":  func(p *factors.Proof) { p.UserID = other.ID },
		"no credential": func(p *factors.Proof) { p.CredentialID = "" },
		"no product":    func(p *factors.Proof) { p.Product = "" },
		"not offered":   func(p *factors.Proof) { p.Product = factors.SMSOTP },
		"zero":          func(p *factors.Proof) { *p = factors.Proof{} },
	} {
		p := good
		change(&p)
		if _, err := h.AddProof(t.Context(), anon(), account.Attempt{}, candidateOf(user, rev, p)); err == nil {
			t.Errorf("%s: counted", name)
		}
	}
	if _, err := h.AddProof(t.Context(), anon(), account.Attempt{}, candidateOf(user, rev, good)); err != nil {
		t.Errorf("the good one: %v", err)
	}
	if _, err := h.AddProof(t.Context(), anon(), account.Attempt{}, candidateOf(user, rev-1, good)); err == nil {
		t.Error("a user that changed meanwhile: counted")
	}
	// What is switched off counts nowhere, and what may not start a session counts in one only.
	signedIn := as(h.signIn("alice@example.com"))
	h.opts.Primary = []factors.Product{factors.EmailOTP}
	for _, c := range []struct {
		product factors.Product
		v       Visitor
		want    *Error
	}{{factors.SMSOTP, signedIn, ErrNotOffered}, {factors.Password, anon(), ErrSequence}, {factors.Password, signedIn, nil}} {
		p := good
		p.Product = c.product
		user, rev, err := h.accounts.Get(t.Context(), u.ID)
		ok(t, err)
		if _, err = h.AddProof(t.Context(), c.v, account.Attempt{}, candidateOf(user, rev, p)); c.want != nil {
			refused(t, err, c.want)
		} else {
			ok(t, err)
		}
	}
}

// Failures of all products count together, survive new sessions and other addresses,
// and success of one product clears no other.
func TestLockoutCountsAcrossProducts(t *testing.T) {
	h := newHouse(t)
	u := h.user("alice@example.com", true)
	h.enrol(as(h.signIn("alice@example.com")))
	for i := range 9 {
		v := as(h.signIn("alice@example.com")) // a right password in between
		v.IP = netip.MustParseAddr(fmt.Sprintf("198.51.100.%d", i+1))
		_, err := h.AuthenticateTOTP(t.Context(), v, wrong(h.totp(u.ID)))
		refused(t, err, ErrTOTPIncorrect)
	}
	v := as(h.signIn("alice@example.com"))
	_, err := h.AuthenticateTOTP(t.Context(), v, wrong(h.totp(u.ID)))
	refused(t, err, ErrTOTPIncorrect)
	_, err = h.AuthenticateTOTP(t.Context(), v, h.totp(u.ID))
	refused(t, err, ErrTooManyAttempts)
	_, err = h.AuthenticatePassword(t.Context(), anon(), "alice@example.com", secret)
	refused(t, err, ErrCredentials)
	if h.events.count(audit.AttemptsLocked) != 1 {
		t.Fatalf("%d locks recorded", h.events.count(audit.AttemptsLocked))
	}
	h.clock.Advance(time.Hour)
	v = as(h.signIn("alice@example.com"))
	_, err = h.AuthenticateTOTP(t.Context(), v, h.totp(u.ID))
	ok(t, err)
}

// wrong is a code that is not the given one.
func wrong(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

// A locked account answers a right password, a wrong one and an unknown address alike.
func TestLockTellsNothing(t *testing.T) {
	h := newHouse(t)
	h.user("alice@example.com", true)
	for range 10 {
		_, err := h.AuthenticatePassword(t.Context(), anon(), "alice@example.com", "wrong")
		refused(t, err, ErrCredentials)
	}
	for _, try := range [][2]string{{"alice@example.com", secret}, {"alice@example.com", "wrong"}, {"nobody@example.com", secret}} {
		_, err := h.AuthenticatePassword(t.Context(), anon(), try[0], try[1])
		var got *Error
		if !errors.As(err, &got) || got.Type != ErrCredentials.Type || got.Detail != ErrCredentials.Detail || got.Status != ErrCredentials.Status || got.RetryAfter != 0 {
			t.Errorf("%v: %#v", try, got)
		}
	}
}

// Ten wrong passwords in parallel take ten attempts, not fewer: the budget is taken first.
func TestParallelGuessesAreAllCounted(t *testing.T) {
	h := newHouse(t)
	u := h.user("alice@example.com", true)
	many(40, func() error {
		_, err := h.AuthenticatePassword(t.Context(), anon(), "alice@example.com", "wrong")
		return err
	})
	until, err := h.Operator(false).LockedUntil(t.Context(), u.ID)
	ok(t, err)
	if until.IsZero() {
		t.Fatal("40 parallel wrong passwords did not lock")
	}
}

// NIST SP 800-63B-4, 3.2.2: a hundred failures in a row, over any time, disable the one
// authenticator until it is enrolled again.
func TestHundredFailuresDisableTheAuthenticator(t *testing.T) {
	h := newHouse(t)
	u := h.user("alice@example.com", true)
	h.enrol(as(h.signIn("alice@example.com")))
	for i := range 100 {
		if i%5 == 0 {
			h.clock.Advance(time.Hour + time.Minute) // past every lock
		}
		v := as(h.signIn("alice@example.com"))
		v.IP = netip.AddrFrom4([4]byte{203, 0, byte(i), 1})
		_, err := h.AuthenticateTOTP(t.Context(), v, wrong(h.totp(u.ID)))
		refused(t, err, ErrTOTPIncorrect)
		// Passwords succeed in between and must not give the app new tries.
	}
	h.clock.Advance(2 * time.Hour)
	_, err := h.AuthenticateTOTP(t.Context(), as(h.signIn("alice@example.com")), h.totp(u.ID))
	refused(t, err, ErrFactorDisabled)
}

// Sending codes and reset links answers alike for known and unknown addresses.
func TestSendingTellsNothing(t *testing.T) {
	h := newHouse(t)
	h.user("alice@example.com", true)
	known, err := h.SendEmailCode(t.Context(), anon(), "alice@example.com")
	ok(t, err)
	unknown, err := h.SendEmailCode(t.Context(), anon(), "nobody@example.com")
	ok(t, err)
	if len(known) != len(unknown) || known == unknown {
		t.Fatalf("%q and %q", known, unknown)
	}
	_, err = h.AuthenticateCode(t.Context(), anon(), unknown, "123456")
	refused(t, err, ErrOTPIncorrect)
	_, err = h.AuthenticateCode(t.Context(), anon(), known, "12345"+"x")
	refused(t, err, ErrInvalidCode)
	ok(t, h.StartReset(t.Context(), anon(), "alice@example.com"))
	ok(t, h.StartReset(t.Context(), anon(), "nobody@example.com"))
	h.queue.Deliver(t.Context())
	for _, m := range h.outbox.List() {
		if m.To == "nobody@example.com" {
			t.Fatal("a stranger got mail")
		}
	}
}

// With a password alone, no call changes the factors of a user who has a second one.
func TestOneFactorChangesNothing(t *testing.T) {
	h := newHouse(t)
	u := h.user("alice@example.com", true)
	h.enrol(as(h.signIn("alice@example.com")))
	v := as(h.signIn("alice@example.com"))
	user, _, err := h.accounts.Get(t.Context(), u.ID)
	ok(t, err)
	_, start := h.StartTOTP(t.Context(), v)
	_, renew := h.RenewRecoveryCodes(t.Context(), v)
	_, add := h.AddEmail(t.Context(), v, "new@example.com")
	for name, err := range map[string]error{
		"remove TOTP": h.RemoveFactor(t.Context(), v, user.TOTP.ID, false), "remove password": h.RemoveFactor(t.Context(), v, account.PasswordID(u.ID), false),
		"remove e-mail": h.RemoveFactor(t.Context(), v, user.Emails[0].ID, false), "set password": h.SetPassword(t.Context(), v, secret+"!"),
		"enrol TOTP": start, "new recovery codes": renew, "add e-mail": add, "primary e-mail": h.MakePrimary(t.Context(), v, user.Emails[0].ID),
		"name a key": h.RenameKey(t.Context(), v, "webauthn-registration-1", "Mine"),
	} {
		var got *Error
		if !errors.As(err, &got) || got.Type != "insufficient_factors" || got.Status != 401 || got.Required == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	id, code := h.code(v, "new@example.com")
	_, err = h.AuthenticateCode(t.Context(), v, id, code)
	refused(t, err, &Error{Type: "insufficient_factors"})
}

// A secure combination whose factors are all older than an hour changes nothing either.
func TestStaleFactorsChangeNothing(t *testing.T) {
	h := newHouse(t)
	u := h.user("alice@example.com", true)
	r, _ := h.enrol(as(h.signIn("alice@example.com")))
	_ = u
	h.clock.Advance(time.Hour - 31*time.Second)
	ok(t, h.MayChange(t.Context(), as(r)))
	h.clock.Advance(time.Millisecond)
	refused(t, h.MayChange(t.Context(), as(r)), &Error{Type: "stale_factors"})
	err := h.SetPassword(t.Context(), as(r), secret+" again")
	refused(t, err, &Error{Type: "stale_factors"})
}

// A user with a password and an unproven address cannot bind a second factor.
func TestUnverifiedAddressBindsNothing(t *testing.T) {
	h := newHouse(t)
	h.user("alice@example.com", false)
	r := h.signIn("alice@example.com")
	_, err := h.StartTOTP(t.Context(), as(r))
	refused(t, err, ErrEmailNotVerified)
	id, code := h.code(as(r), "alice@example.com")
	r, err = h.AuthenticateCode(t.Context(), as(r), id, code)
	ok(t, err)
	_, err = h.StartTOTP(t.Context(), as(r))
	ok(t, err)
	if _, err := h.AuthenticatePassword(t.Context(), anon(), "alice@example.com", secret); err != nil {
		t.Fatalf("proving the mailbox in one's own session locked the password: %v", err)
	}
}

// Somebody registered a stranger's address with a password. When the stranger proves the
// mailbox, that password stops working.
func TestProvenMailboxLocksAStrangersPassword(t *testing.T) {
	h := newHouse(t)
	h.user("alice@example.com", false)
	id, code := h.code(anon(), "alice@example.com")
	_, err := h.AuthenticateCode(t.Context(), anon(), id, code)
	ok(t, err)
	_, err = h.AuthenticatePassword(t.Context(), anon(), "alice@example.com", secret)
	refused(t, err, ErrResetPassword)
	_, err = h.AuthenticatePassword(t.Context(), anon(), "alice@example.com", "wrong")
	refused(t, err, ErrCredentials)
}

// A factor of another user is told as such, and never switches the session.
func TestForeignFactor(t *testing.T) {
	h := newHouse(t)
	h.user("alice@example.com", true)
	h.user("bob@example.com", true)
	v := as(h.signIn("alice@example.com"))
	_, err := h.AuthenticatePassword(t.Context(), v, "bob@example.com", secret)
	refused(t, err, ErrAnotherUser)
	_, err = h.AuthenticatePassword(t.Context(), v, "bob@example.com", "wrong")
	refused(t, err, ErrCredentials)
	id, code := h.code(v, "bob@example.com")
	_, err = h.AuthenticateCode(t.Context(), v, id, code)
	refused(t, err, ErrAnotherUser)
}

// A lock set while somebody is between two factors holds at the second.
func TestLockBetweenFactors(t *testing.T) {
	h := newHouse(t)
	u := h.user("alice@example.com", true)
	h.enrol(as(h.signIn("alice@example.com")))
	r := h.signIn("alice@example.com")
	id, code := h.code(anon(), "alice@example.com")
	ok(t, h.Operator(false).Lock(t.Context(), u.ID))
	_, err := h.AuthenticateTOTP(t.Context(), as(r), h.totp(u.ID))
	refused(t, err, ErrNoSession)
	_, err = h.AuthenticateCode(t.Context(), anon(), id, code)
	refused(t, err, ErrOTPIncorrect)
	_, err = h.AuthenticatePassword(t.Context(), anon(), "alice@example.com", secret)
	refused(t, err, ErrCredentials)
	if _, err := h.lookup2(r.Cookie); !errors.Is(err, errAbsent) {
		t.Fatalf("the session outlived the lock: %v", err)
	}
	ok(t, h.Operator(false).Unlock(t.Context(), u.ID))
	h.signIn("alice@example.com")
}

// Every proof changes cookie and id; the old id reads for ten seconds and gains nothing.
func TestRotation(t *testing.T) {
	h := newHouse(t)
	u := h.user("alice@example.com", true)
	first := h.signIn("alice@example.com")
	second, _ := h.enrol(as(first))
	if first.Cookie == second.Cookie || first.Session.ID == second.Session.ID {
		t.Fatal("the session did not change")
	}
	h.clock.Advance(-31 * time.Second) // enrol moved the clock
	old, err := h.lookup2(first.Cookie)
	ok(t, err)
	if !old.ReadOnly || len(old.Factors) != 1 {
		t.Fatalf("the old session gained: %+v", old.Factors)
	}
	h.clock.Advance(9 * time.Second)
	id, code := h.code(anon(), "alice@example.com")
	_, err = h.AuthenticateCode(t.Context(), as(Result{Session: old}), id, code)
	refused(t, err, ErrSessionChanged)
	_, err = h.AuthenticateCode(t.Context(), as(first), id, code) // a request that began before
	refused(t, err, ErrSessionChanged)
	h.clock.Advance(time.Second)
	if _, err := h.lookup2(first.Cookie); !errors.Is(err, errAbsent) {
		t.Fatalf("after the grace: %v", err)
	}
	if _, err := h.lookup2(second.Cookie); err != nil {
		t.Fatal(err)
	}
	ok(t, h.SignOut(t.Context(), as(second)))
	if _, err := h.lookup2(second.Cookie); !errors.Is(err, errAbsent) {
		t.Fatalf("after sign-out: %v", err)
	}
	_ = u
}

// A reset link works once, for half an hour; it signs nobody in and ends all sessions.
func TestReset(t *testing.T) {
	h := newHouse(t)
	h.user("alice@example.com", true)
	r := h.signIn("alice@example.com")
	ok(t, h.StartReset(t.Context(), anon(), "Alice@Example.com"))
	link := h.newest("alice@example.com").Link
	if !strings.HasPrefix(link, "https://app.test/.stepgate/password/reset/") {
		t.Fatal(link)
	}
	token := link[strings.LastIndex(link, "/")+1:]
	refused(t, h.Reset(t.Context(), anon(), token, "short"), &Error{Type: "weak_password"})
	refused(t, h.Reset(t.Context(), anon(), token[:len(token)-1], secret+" new"), ErrLinkNotFound)
	n, errs := many(10, func() error { return h.Reset(t.Context(), anon(), token, secret+" new") })
	if n != 1 {
		t.Fatalf("%d resets by one link: %v", n, errs)
	}
	if _, err := h.lookup2(r.Cookie); !errors.Is(err, errAbsent) {
		t.Fatalf("a session outlived the reset: %v", err)
	}
	_, err := h.AuthenticatePassword(t.Context(), anon(), "alice@example.com", secret)
	refused(t, err, ErrCredentials)
	ok(t, h.StartReset(t.Context(), anon(), "alice@example.com"))
	link = h.newest("alice@example.com").Link
	h.clock.Advance(30 * time.Minute)
	refused(t, h.Reset(t.Context(), anon(), link[strings.LastIndex(link, "/")+1:], secret), ErrLinkNotFound)
}

// A link is never made from a host that the configuration does not name.
func TestNoLinkFromAnUnknownHost(t *testing.T) {
	h := newPost(t)
	h.user("alice@example.com", true)
	v := in("laptop")
	v.Origin = ""
	refused(t, h.StartReset(t.Context(), v, "alice@example.com"), ErrNoOrigin)
	_, err := h.SendLink(t.Context(), v, "alice@example.com", "")
	refused(t, err, ErrNoOrigin)
}

// Codes, links and resets to one address share a budget, whoever asks and from wherever. A send
// that is refused leaves the code of an earlier one as it was.
func TestMailsHaveABudget(t *testing.T) {
	for name, send := range map[string]func(h *house, v Visitor) error{
		"codes":  func(h *house, v Visitor) error { return second(h.SendEmailCode(t.Context(), v, "alice@example.com")) },
		"links":  func(h *house, v Visitor) error { return second(h.SendLink(t.Context(), v, "alice@example.com", "")) },
		"resets": func(h *house, v Visitor) error { return h.StartReset(t.Context(), v, "alice@example.com") },
	} {
		t.Run(name, func(t *testing.T) {
			h := newPost(t)
			h.user("alice@example.com", true)
			id, code := h.code(in("laptop"), "alice@example.com")
			v := in("phone")
			for i := range 12 {
				v.IP = netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
				switch err := send(h, v); {
				case i >= 9:
					refused(t, err, ErrTooManyRequests)
				case name == "codes":
					ok(t, err)
					code = h.newest("alice@example.com").Code
				default:
					ok(t, err)
				}
			}
			if n := h.messages("alice@example.com"); n != 10 {
				t.Errorf("%d mails", n)
			}
			_, err := h.AuthenticateCode(t.Context(), in("laptop"), id, code)
			ok(t, err)
		})
	}
}

// A set-up link is dead once anybody has an account, and a ticket of one kind opens no other.
func TestLinksOfOtherKinds(t *testing.T) {
	h := newHouse(t)
	link, err := h.Setup(t.Context(), "https://app.test")
	ok(t, err)
	token := link[strings.LastIndex(link, "/")+1:]
	_, err = h.ResetTargetErr(token)
	refused(t, err, ErrLinkNotFound)
	h.user("alice@example.com", true)
	ok(t, h.StartReset(t.Context(), anon(), "alice@example.com"))
	_, err = h.Invited(t.Context(), anon(), last(h.newest("alice@example.com").Link))
	refused(t, err, ErrLinkNotFound)
	_, err = h.Invited(t.Context(), anon(), token)
	refused(t, err, ErrLinkNotFound)
	_, err = h.AcceptInvite(t.Context(), anon(), token, Acceptance{Email: "x@example.com", Password: secret})
	refused(t, err, ErrLinkNotFound)
	if again, err := h.Setup(t.Context(), "https://app.test"); err != nil || again != "" {
		t.Fatalf("a second set-up link: %q %v", again, err)
	}
}

// ResetTargetErr asks for the target of a reset link.
func (h *house) ResetTargetErr(token string) (string, error) {
	email, _, err := h.ResetTarget(h.t.Context(), anon(), token)
	return email, err
}

// The last way to sign in stays.
func TestLastWayInStays(t *testing.T) {
	h := newHouse(t)
	u := h.user("alice@example.com", true)
	r, _ := h.enrol(as(h.signIn("alice@example.com")))
	user, _, err := h.accounts.Get(t.Context(), u.ID)
	ok(t, err)
	ok(t, h.RemoveFactor(t.Context(), as(r), account.PasswordID(u.ID), false))
	_, err = h.lookup2(r.Cookie)
	ok(t, err)
	id, code := h.code(anon(), "alice@example.com")
	r, err = h.AuthenticateCode(t.Context(), anon(), id, code)
	ok(t, err)
	h.clock.Advance(30 * time.Second)
	r, err = h.AuthenticateTOTP(t.Context(), as(r), h.totp(u.ID))
	ok(t, err)
	refused(t, h.RemoveFactor(t.Context(), as(r), user.Emails[0].ID, false), ErrLastWayIn)
	refused(t, h.RemoveFactor(t.Context(), as(r), "totp-of-somebody-else", false), ErrNotFound)

	// Where only a password starts a session, it stays, confirmed or not, and so does the last address.
	h = newHouse(t)
	h.opts.Primary = []factors.Product{factors.Password}
	u = h.user("alice@example.com", true)
	r, _ = h.enrol(as(h.signIn("alice@example.com")))
	for _, confirmed := range []bool{false, true} {
		for _, id := range []string{account.PasswordID(u.ID), u.Emails[0].ID} {
			refused(t, h.RemoveFactor(t.Context(), as(r), id, confirmed), ErrLastWayIn)
		}
	}
}

// A flow id that is altered, old, of another host or of another session opens nothing.
func TestFlowIDs(t *testing.T) {
	h := newHouse(t)
	h.user("alice@example.com", true)
	h.user("bob@example.com", true)
	alice, bob := h.signIn("alice@example.com"), h.signIn("bob@example.com")
	id, err := h.Begin(Pending{Host: "app.test", Return: "/x?y=1", Rule: "r", Required: `{"factors":2}`, Family: alice.Session.Family})
	ok(t, err)
	p, err := h.Pending(as(alice), "app.test", id)
	ok(t, err)
	if p.Return != "/x?y=1" || p.Rule != "r" {
		t.Fatalf("%+v", p)
	}
	for name, try := range map[string]func() error{
		"nobody":     func() error { _, err := h.Pending(anon(), "app.test", id); return err },
		"bob":        func() error { _, err := h.Pending(as(bob), "app.test", id); return err },
		"other host": func() error { _, err := h.Pending(as(alice), "evil.test", id); return err },
		"cut":        func() error { _, err := h.Pending(as(alice), "app.test", id[:len(id)-1]); return err },
		"longer":     func() error { _, err := h.Pending(as(alice), "app.test", id+"A"); return err },
		"empty":      func() error { _, err := h.Pending(as(alice), "app.test", ""); return err },
		"huge":       func() error { _, err := h.Pending(as(alice), "app.test", strings.Repeat("A", 1<<20)); return err },
		"flipped": func() error {
			b := []byte(id)
			b[len(b)/2] ^= 1
			_, err := h.Pending(as(alice), "app.test", string(b))
			return err
		},
	} {
		if err := try(); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.clock.Advance(time.Hour)
	if _, err := h.Pending(as(alice), "app.test", id); !errors.Is(err, ErrNotFound) {
		t.Errorf("old: %v", err)
	}
}

// Visitors who never sign in leave nothing in the store.
func TestAnonymousFlowsStoreNothing(t *testing.T) {
	h := newHouse(t)
	before := h.keys()
	for i := range 1000 {
		if _, err := h.Begin(Pending{Host: "app.test", Return: fmt.Sprintf("/page/%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if after := h.keys(); after != before {
		t.Fatalf("%d records before, %d after", before, after)
	}
}

func (h *house) keys() int {
	h.t.Helper()
	list, err := h.db.Store().List(h.t.Context(), "", "", 1<<20)
	if err != nil {
		h.t.Fatal(err)
	}
	return len(list)
}

// A store that fails refuses everything and acknowledges nothing.
func TestClosedStoreFailsClosed(t *testing.T) {
	h := newHouse(t)
	h.user("alice@example.com", true)
	r := h.signIn("alice@example.com")
	ok(t, h.db.Store().Close())
	_, err := h.AuthenticatePassword(t.Context(), anon(), "alice@example.com", secret)
	refused(t, err, ErrUnavailable)
	_, err = h.SendEmailCode(t.Context(), anon(), "alice@example.com")
	refused(t, err, ErrUnavailable)
	_, err = h.StartTOTP(t.Context(), as(r))
	refused(t, err, ErrUnavailable)
	refused(t, h.SignOut(t.Context(), as(r)), ErrUnavailable)
	unknown := "A" + r.Cookie[1:]
	if unknown == r.Cookie {
		unknown = "B" + r.Cookie[1:]
	}
	if _, err := h.sessions.Lookup(t.Context(), unknown); !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("lookup: %v", err)
	}
}

func candidateOf(u account.User, rev store.Rev, p factors.Proof) func(context.Context) (candidate, error) {
	return func(context.Context) (candidate, error) { return candidate{proof: p, user: u, rev: rev}, nil }
}
