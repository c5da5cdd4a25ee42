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
}

func (a *attempts) sum() int {
	n := 0
	for _, k := range a.Failures {
		n += k
	}
	return n
}

// Attempt is one counted try to prove a credential.
type Attempt struct {
	account    string
	product    factors.Product
	credential string
	// Locked is set when this attempt, unless it succeeds, is the one that locks the account.
	Locked bool
}

// Account is the account that the attempt counts against.
func (a Attempt) Account() string { return a.account }

// Product is what the attempt tries to prove.
func (a Attempt) Product() factors.Product { return a.product }

// TakeAttempt counts a failure of product for account, durably, before it is known whether
// the attempt fails. credential may be empty where the product has none of its own. The
// error is ErrLocked or ErrDisabled when no attempt is left.
func (a *Accounts) TakeAttempt(ctx context.Context, account string, known bool, product factors.Product, credential string) (Attempt, error) {
	now := a.db.Now()
	at := Attempt{account: account, product: product, credential: credential}
	var expires time.Time
	if !known {
		expires = now.Add(forgetUnknown)
	}
	err := a.attempts.Update(ctx, account, func(r *attempts, _ bool) (time.Time, error) {
		at.Locked = false
		if now.Before(r.LockedUntil) {
			return expires, ErrLocked
		}
		if !r.LockedUntil.IsZero() {
			r.LockedUntil, r.Failures = time.Time{}, nil
		}
		if credential != "" && r.Credential[credential] >= disableAfter {
			return expires, ErrDisabled
		}
		if r.Failures == nil {
			r.Failures = make(map[factors.Product]int)
		}
		r.Failures[product]++
		if credential != "" {
			if r.Credential == nil {
				r.Credential = make(map[string]int)
			}
			r.Credential[credential]++
		}
		if lock := a.lockout.Load(); r.sum() >= lock.After {
			r.LockedUntil = now.Add(lock.For)
			at.Locked = true
		}
		return expires, nil
	})
	return at, err
}

// Uncounted is an attempt at a credential that cannot be guessed: it is not counted before it
// is made, and no lock stops it. CountFailure and Usable are for what is amiss with the
// credential itself.
func Uncounted(userID string, product factors.Product, credential string) Attempt {
	return Attempt{account: userID, product: product, credential: credential}
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

// Succeeded adds to c that the attempt did not fail after all. The change conflicts with
// attempts made meanwhile; the caller then tries again.
func (a *Accounts) Succeeded(ctx context.Context, c *store.Change, at Attempt) error {
	r, rev, err := a.attempts.Get(ctx, at.account)
	if errors.Is(err, store.ErrNotFound) || err == nil && r.Failures[at.product] == 0 && r.Credential[at.credential] == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read attempts: %w", err)
	}
	delete(r.Failures, at.product)
	delete(r.Credential, at.credential)
	if r.sum() < a.lockout.Load().After {
		r.LockedUntil = time.Time{}
	}
	return a.attempts.Replace(c, at.account, rev, r, time.Time{})
}

// ForgetFailures forgets the failures of one product and credential, after the credential
// was replaced. Failures of other products stay.
func (a *Accounts) ForgetFailures(ctx context.Context, userID string, product factors.Product, credential string) error {
	return a.attempts.Update(ctx, userID, func(r *attempts, _ bool) (time.Time, error) {
		delete(r.Failures, product)
		delete(r.Credential, credential)
		if r.sum() < a.lockout.Load().After {
			r.LockedUntil = time.Time{}
		}
		return time.Time{}, nil
	})
}

// ClearAttempts adds to c that all failures of an account are forgotten, after an
// administrator unlocked it.
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
