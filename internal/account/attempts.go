package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/store"
)

var (
	// ErrLocked means that the account's passwords and codes are locked for a while.
	ErrLocked = errors.New("locked after too many failures")
	// ErrDisabled means that one credential failed so often that it must be enrolled again.
	ErrDisabled = errors.New("credential disabled after too many failures")
)

const (
	// disableAfter is the bound of NIST SP 800-63B-4, section 3.2.2.
	disableAfter = 100
	// forgetUnknown is how long failures for an address without an account are remembered.
	forgetUnknown = 24 * time.Hour
)

// Lockout says when failures lock an account. The zero value is not usable; see DefaultLockout.
type Lockout struct {
	// After is the number of failures in a row that locks.
	After int
	// For is how long the lock holds.
	For time.Duration
}

// DefaultLockout locks for one hour after ten failures in a row.
var DefaultLockout = Lockout{After: 10, For: time.Hour}

// attempts is the stored count of failures of one account. An attempt is counted as failed
// before it is made, so that no crash and no parallel guess goes uncounted.
type attempts struct {
	// Failures counts failures in a row by product. A success clears its own product only.
	Failures map[factors.Product]int `cbor:"1,keyasint"`
	// Credential counts failures in a row of each credential, without any time limit.
	Credential  map[string]int `cbor:"2,keyasint"`
	LockedUntil time.Time      `cbor:"3,keyasint"`
	// Browsers are those that have a budget of their own.
	Browsers []knownBrowser `cbor:"4,keyasint,omitempty"`
}

// noExpiry is for what is kept as long as the user.
var noExpiry time.Time

func sum(failures map[factors.Product]int) int {
	n := 0
	for _, k := range failures {
		n += k
	}
	return n
}

// Try is what somebody wants to prove.
type Try struct {
	// Account is the user, or what stands for an address that belongs to nobody.
	Account string
	// Known is set when Account is a user.
	Known   bool
	Product factors.Product
	// Credential may be empty where the product has none of its own.
	Credential string
	// Browser is the id that the browser keeps; empty for one that keeps none.
	Browser string
}

// Attempt is one counted try to prove a credential.
type Attempt struct {
	try Try
	// Locked is set when this attempt, unless it succeeds, is the one that locks the account.
	Locked bool
	// Spent is set when this attempt, unless it succeeds, is the last one of a browser that has a
	// budget of its own.
	Spent bool
	// ofBrowser is set when it counts in such a budget, and not in the account's.
	ofBrowser bool
}

// Account is the account that the attempt counts against.
func (a Attempt) Account() string { return a.try.Account }

// Product is what the attempt tries to prove.
func (a Attempt) Product() factors.Product { return a.try.Product }

// TakeAttempt counts a failure, durably, before it is known whether the attempt fails: in a
// browser that is known for the product in its own budget, else in the account's. One that has
// used its budget up is known no more. Failures of a credential are counted over all. The error
// is ErrLocked or ErrDisabled when no attempt is left.
func (a *Accounts) TakeAttempt(ctx context.Context, t Try) (Attempt, error) {
	now := a.db.Now()
	key := a.browserKey(t.Account, t.Browser)
	at := Attempt{try: t}
	expires := a.expiry(t)
	err := a.attempts.Update(ctx, t.Account, func(r *attempts, _ bool) (time.Time, error) {
		at = Attempt{try: t}
		lock := a.lockout.Load()
		known := r.knownFor(key, t.Product, lock.After)
		if known == nil && now.Before(r.LockedUntil) {
			return expires, ErrLocked
		}
		if t.Credential != "" {
			if r.Credential[t.Credential] >= disableAfter {
				return expires, ErrDisabled
			}
			count(&r.Credential, t.Credential)
		}
		if known != nil {
			at.ofBrowser = true
			count(&known.Failures, t.Product)
			at.Spent = known.spent(lock.After)
			return expires, nil
		}
		if !r.LockedUntil.IsZero() {
			r.LockedUntil, r.Failures = time.Time{}, nil
		}
		count(&r.Failures, t.Product)
		if at.Locked = sum(r.Failures) >= lock.After; at.Locked {
			r.LockedUntil = now.Add(lock.For)
		}
		return expires, nil
	})
	return at, err
}

func count[K comparable](failures *map[K]int, of K) {
	if *failures == nil {
		*failures = make(map[K]int)
	}
	(*failures)[of]++
}

// expiry is how long the count of a try is kept.
func (a *Accounts) expiry(t Try) time.Time {
	if t.Known {
		return noExpiry
	}
	return a.db.Now().Add(forgetUnknown)
}

// Uncounted is an attempt at a credential that cannot be guessed: it is not counted before it
// is made, and no lock stops it. CountFailure and Usable are for what is amiss with the
// credential itself.
func Uncounted(userID string, product factors.Product, credential string) Attempt {
	return Attempt{try: Try{Account: userID, Known: true, Product: product, Credential: credential}}
}

// CountFailure counts one more failure in a row of a credential. It locks nothing.
func (a *Accounts) CountFailure(ctx context.Context, userID, credential string) error {
	return a.attempts.Update(ctx, userID, func(r *attempts, _ bool) (time.Time, error) {
		if r.Credential == nil {
			r.Credential = make(map[string]int)
		}
		r.Credential[credential]++
		return time.Time{}, nil
	})
}

// Usable returns ErrDisabled for a credential that failed so often in a row that it must be
// enrolled again.
func (a *Accounts) Usable(ctx context.Context, userID, credential string) error {
	r, _, err := a.attempts.Get(ctx, userID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("read attempts: %w", err)
	}
	if r.Credential[credential] >= disableAfter {
		return ErrDisabled
	}
	return nil
}

// Succeeded adds to c that the attempt did not fail after all, and that the browser is known for
// what the user has proven in it; a try of nothing is one that nothing counted. In the budget of
// the browser, it forgives what failed there and nothing else: the owner's success takes back
// nothing of what strangers used up. The change conflicts with attempts made meanwhile; the caller
// then tries again.
func (a *Accounts) Succeeded(ctx context.Context, c *store.Change, at Attempt, userID string, product factors.Product, browser string) error {
	key, lockAfter := a.browserKey(userID, browser), a.lockout.Load().After
	if at.try.Account != userID && at.try.Account != "" { // the account was made by this success
		err := a.edit(ctx, c, at.try, func(r *attempts) bool { return r.forgive(at, "", lockAfter) })
		if err != nil {
			return err
		}
	}
	return a.edit(ctx, c, Try{Account: userID, Known: true}, func(r *attempts) bool {
		forgiven := at.try.Account == userID && r.forgive(at, key, lockAfter)
		return r.know(key, product, lockAfter) || forgiven
	})
}

// edit adds to c a change of the count of an account, provided that it changes nothing else.
func (a *Accounts) edit(ctx context.Context, c *store.Change, of Try, change func(*attempts) bool) error {
	r, rev, err := a.attempts.Get(ctx, of.Account)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("read attempts: %w", err)
	}
	if !change(&r) {
		return nil
	}
	return a.attempts.Replace(c, of.Account, rev, r, a.expiry(of))
}

// forgive takes back what an attempt that succeeded was counted as, with the failures before it,
// and tells whether there was anything.
func (r *attempts) forgive(at Attempt, key string, lockAfter int) bool {
	failed := r.Credential[at.try.Credential] > 0
	delete(r.Credential, at.try.Credential)
	if at.ofBrowser {
		i := r.browser(key)
		if i >= 0 {
			delete(r.Browsers[i].Failures, at.try.Product)
		}
		return failed || i >= 0
	}
	failed = failed || r.Failures[at.try.Product] > 0
	delete(r.Failures, at.try.Product)
	if sum(r.Failures) < lockAfter {
		r.LockedUntil = time.Time{}
	}
	return failed
}

// ForgetFailures forgets the failures of one product and credential, after the credential
// was replaced. Failures of other products stay.
func (a *Accounts) ForgetFailures(ctx context.Context, userID string, product factors.Product, credential string) error {
	return a.attempts.Update(ctx, userID, func(r *attempts, _ bool) (time.Time, error) {
		delete(r.Failures, product)
		delete(r.Credential, credential)
		if sum(r.Failures) < a.lockout.Load().After {
			r.LockedUntil = time.Time{}
		}
		return time.Time{}, nil
	})
}

// Unlock adds to c that all failures of an account are forgotten. Browsers that are known stay so.
func (a *Accounts) Unlock(ctx context.Context, c *store.Change, userID string) error {
	return a.edit(ctx, c, Try{Account: userID, Known: true}, func(r *attempts) bool {
		known := r.Browsers
		for i := range known {
			known[i].Failures = nil
		}
		*r = attempts{Browsers: known}
		return true
	})
}

// ClearAttempts adds to c that all failures and known browsers of an account are forgotten.
func (a *Accounts) ClearAttempts(c *store.Change, userID string) {
	a.attempts.Delete(c, userID)
}

// LockedUntil returns until when failures lock the account; zero when they do not.
func (a *Accounts) LockedUntil(ctx context.Context, userID string) (time.Time, error) {
	r, _, err := a.attempts.Get(ctx, userID)
	if errors.Is(err, store.ErrNotFound) || err == nil && !a.db.Now().Before(r.LockedUntil) {
		return time.Time{}, nil
	}
	return r.LockedUntil, err
}
