package account

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/store"
)

// try is one attempt at a product of a user in a browser.
func try(user string, p factors.Product, browser string) Try {
	return Try{Account: user, Known: true, Product: p, Credential: string(p) + "-" + user, Browser: browser}
}

func (a *Accounts) fail(t testing.TB, of Try) error {
	_, err := a.TakeAttempt(t.Context(), of)
	return err
}

// prove is an attempt that succeeds.
func (a *Accounts) prove(t testing.TB, of Try) error {
	_, err := a.proveBy(t, of)
	return err
}

// proveBy is prove, and tells whether the attempt counted in the budget of the browser.
func (a *Accounts) proveBy(t testing.TB, of Try) (ofBrowser bool, err error) {
	at, err := a.TakeAttempt(t.Context(), of)
	if err != nil {
		return false, err
	}
	var c store.Change
	if err := a.Succeeded(t.Context(), &c, at, of.Account, of.Product, of.Browser); err != nil {
		return false, err
	}
	return at.ofBrowser, a.db.Apply(t.Context(), c)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func locked(t testing.TB, what string, err error) {
	t.Helper()
	if !errors.Is(err, ErrLocked) {
		t.Fatalf("%s: %v", what, err)
	}
}

// lock has strangers use up the budget of a user.
func (a *Accounts) lock(t testing.TB, user string) {
	t.Helper()
	for range 10 {
		must(t, a.fail(t, try(user, factors.Password, "stranger")))
	}
	locked(t, "after ten failures", a.fail(t, try(user, factors.Password, "stranger")))
}

// Strangers lock the account, and not the browser in which the user proved the product before.
func TestAKnownBrowserPassesTheLockOfStrangers(t *testing.T) {
	a, _ := newAccounts(t)
	for _, u := range []string{"alice", "bob"} {
		must(t, a.prove(t, try(u, factors.Password, "of "+u)))
	}
	a.lock(t, "alice")
	locked(t, "no browser", a.fail(t, try("alice", factors.Password, "")))
	locked(t, "the browser of somebody else", a.fail(t, try("alice", factors.Password, "of bob")))
	locked(t, "what was not proven in it", a.fail(t, try("alice", factors.TOTP, "of alice")))
	must(t, a.prove(t, try("alice", factors.Password, "of alice")))
	locked(t, "a stranger, after the user's success", a.fail(t, try("alice", factors.Password, "stranger")))
}

// An app that was proven makes the browser known for the recovery codes that stand in for it.
func TestKnownForRecoveryCodes(t *testing.T) {
	a, _ := newAccounts(t)
	must(t, a.prove(t, try("u", factors.TOTP, "b")))
	a.lock(t, "u")
	must(t, a.prove(t, try("u", factors.RecoveryCode, "b")))
	locked(t, "a code by mail", a.fail(t, try("u", factors.EmailOTP, "b")))
	must(t, a.prove(t, try("u", factors.TOTP, "b")))
}

// The budget of a browser is as large as that of the account, of whatever is tried in it; then the
// browser is like any other. A success clears its own product only.
func TestAKnownBrowserHasABudgetOfItsOwn(t *testing.T) {
	a, clock := newAccounts(t)
	must(t, a.prove(t, try("u", factors.Password, "b")))
	must(t, a.prove(t, try("u", factors.TOTP, "b")))
	a.lock(t, "u")
	for range 9 {
		must(t, a.fail(t, try("u", factors.TOTP, "b")))
		must(t, a.prove(t, try("u", factors.Password, "b")))
	}
	at, err := a.TakeAttempt(t.Context(), try("u", factors.Password, "b"))
	if err != nil || !at.Spent || at.Locked {
		t.Fatalf("the tenth: %+v, %v", at, err)
	}
	locked(t, "the password", a.fail(t, try("u", factors.Password, "b")))
	locked(t, "the app", a.fail(t, try("u", factors.TOTP, "b")))
	clock.Advance(time.Hour)
	must(t, a.prove(t, try("u", factors.Password, "b"))) // which makes it known again, for that
	a.lock(t, "u")
	must(t, a.prove(t, try("u", factors.Password, "b")))
	locked(t, "the app, which was not proven since", a.fail(t, try("u", factors.TOTP, "b")))
}

// 200 attempts in parallel, in a known browser and in others, take ten each.
func TestParallelAttemptsKeepBothBudgets(t *testing.T) {
	a, _ := newAccounts(t)
	must(t, a.prove(t, try("u", factors.Password, "b")))
	a.lock(t, "u")
	var all sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	for i := range 200 {
		all.Go(func() {
			err := a.fail(t, try("u", factors.Password, []string{"b", "stranger"}[i%2]))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				taken++
			} else if !errors.Is(err, ErrLocked) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if taken != 10 {
		t.Errorf("%d attempts", taken)
	}
}

// A hundred failures in a row disable a credential, wherever they were made.
func TestFailuresOfACredentialCountInAllBrowsers(t *testing.T) {
	a, clock := newAccounts(t)
	must(t, a.prove(t, try("u", factors.Password, "b")))
	for range 5 {
		must(t, a.fail(t, try("u", factors.Password, "b")))
	}
	for n := 5; n < 100; {
		if a.fail(t, try("u", factors.Password, "stranger")) == nil {
			n++
			continue
		}
		clock.Advance(time.Hour)
	}
	for _, browser := range []string{"b", "stranger"} {
		clock.Advance(time.Hour)
		if err := a.fail(t, try("u", factors.Password, browser)); !errors.Is(err, ErrDisabled) {
			t.Errorf("%s: %v", browser, err)
		}
	}
}

// The browsers of a user are bounded. Whoever has one product only pushes out at most one browser
// in which more was proven.
func TestKnownBrowsersAreBounded(t *testing.T) {
	a, _ := newAccounts(t)
	for n := range maxKnownBrowsers {
		must(t, a.prove(t, try("u", factors.Password, fmt.Sprint(n))))
		must(t, a.prove(t, try("u", factors.TOTP, fmt.Sprint(n))))
	}
	must(t, a.prove(t, try("u", factors.Password, "0"))) // the latest, from now on
	for n := range 50 {
		must(t, a.prove(t, try("u", factors.Password, fmt.Sprint("flood ", n))))
	}
	r, _, err := a.attempts.Get(t.Context(), "u")
	must(t, err)
	if len(r.Browsers) != maxKnownBrowsers {
		t.Fatalf("%d browsers", len(r.Browsers))
	}
	a.lock(t, "u")
	for n := range maxKnownBrowsers {
		if err := a.prove(t, try("u", factors.TOTP, fmt.Sprint(n))); (err == nil) != (n != 1) {
			t.Errorf("browser %d: %v", n, err)
		}
	}
}

// What makes remembered devices void makes known browsers void, but for the one that stays; to
// unlock an account does not.
func TestForgettingBrowsers(t *testing.T) {
	a, _ := newAccounts(t)
	u, err := a.Create(t.Context(), NewUser{Email: "x@example.com"}, nil)
	must(t, err)
	for _, browser := range []string{"kept", "other"} {
		must(t, a.prove(t, try(u.ID, factors.Password, browser)))
	}
	must(t, a.fail(t, try(u.ID, factors.Password, "kept")))
	a.lock(t, u.ID)
	var c store.Change
	must(t, a.Unlock(t.Context(), &c, u.ID))
	must(t, a.db.Apply(t.Context(), c))
	a.lock(t, u.ID)
	must(t, a.prove(t, try(u.ID, factors.Password, "other")))
	must(t, a.ForgetBrowsers(t.Context(), u.ID, "", "kept"))
	locked(t, "another browser", a.fail(t, try(u.ID, factors.Password, "other")))
	must(t, a.prove(t, try(u.ID, factors.Password, "kept")))
	must(t, a.ForgetBrowsers(t.Context(), u.ID, "", ""))
	locked(t, "all are forgotten", a.fail(t, try(u.ID, factors.Password, "kept")))
	locked(t, "no browser", a.fail(t, try(u.ID, factors.Password, "")))

	must(t, a.Delete(t.Context(), u.ID, func(*User, *store.Change) error { return nil }))
	if err := a.ForgetBrowsers(t.Context(), u.ID, "", ""); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
	if _, _, err := a.attempts.Get(t.Context(), u.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a count of nobody was made: %v", err)
	}
}

// Whatever the user does by the budget of a known browser, nobody else gets more than ten guesses
// an hour, at all products together.
func TestStrangersGetNoMoreGuesses(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		a, clock := newAccounts(t)
		must(t, a.prove(t, try("u", factors.Password, "b")))
		must(t, a.prove(t, try("u", factors.TOTP, "b")))
		var guesses []time.Time
		products := []factors.Product{factors.Password, factors.TOTP, factors.RecoveryCode, factors.EmailOTP}
		r.Repeat(map[string]func(*rapid.T){
			"guess": func(r *rapid.T) {
				p := rapid.SampledFrom(products).Draw(r, "product")
				browser := rapid.SampledFrom([]string{"", "stranger", "another"}).Draw(r, "browser")
				for range 4 {
					if a.fail(t, try("u", p, browser)) == nil {
						guesses = append(guesses, clock.Now())
					}
				}
			},
			"user": func(r *rapid.T) {
				p := rapid.SampledFrom(products[:2]).Draw(r, "product")
				if ofBrowser, err := a.proveBy(t, try("u", p, "b")); err == nil && !ofBrowser {
					guesses = nil // a success by the common budget forgives, as it does without known browsers
				}
			},
			"user mistypes": func(*rapid.T) { _ = a.fail(t, try("u", factors.Password, "b")) },
			"wait": func(r *rapid.T) {
				clock.Advance(time.Duration(rapid.IntRange(1, 61).Draw(r, "minutes")) * time.Minute)
			},
			"": func(r *rapid.T) {
				hour := clock.Now().Add(-time.Hour)
				guesses = slices.DeleteFunc(guesses, func(at time.Time) bool { return !at.After(hour) })
				if len(guesses) > 10 {
					r.Fatalf("%d guesses in an hour", len(guesses))
				}
			},
		})
	})
}
