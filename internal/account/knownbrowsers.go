package account

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/store"
)

// maxKnownBrowsers bounds the browsers by which one user is known.
const maxKnownBrowsers = 10

// knownBrowser is a browser in which the user proved something that can be guessed. Attempts at
// the same product in it have a budget of their own, so that strangers who use the account's
// budget up do not lock the user out there. Whoever knows one product gets no guesses at another
// by it.
type knownBrowser struct {
	// Key recognises the id that the browser keeps; it is a keyed hash for this user alone.
	Key string `cbor:"1,keyasint"`
	// Proven are the products that were proven in it; a recovery code counts as the app that it
	// stands in for.
	Proven []factors.Product `cbor:"2,keyasint"`
	// Failures counts failures in a row in it by product.
	Failures map[factors.Product]int `cbor:"3,keyasint,omitempty"`
}

// browserKey is the stored form of the id that a browser keeps; empty for none.
func (a *Accounts) browserKey(userID, browser string) string {
	if browser == "" {
		return ""
	}
	return a.db.Keyring().Index("known browser", userID+"\x00"+browser)
}

// guessable returns the product whose proof makes a browser known for p; false for products that
// cannot be guessed, which no failures lock.
func guessable(p factors.Product) (factors.Product, bool) {
	switch p {
	case factors.Password, factors.EmailOTP, factors.SMSOTP, factors.WhatsAppOTP, factors.TOTP:
		return p, true
	case factors.RecoveryCode:
		return factors.TOTP, true
	}
	return "", false
}

func (r *attempts) browser(key string) int {
	return slices.IndexFunc(r.Browsers, func(b knownBrowser) bool { return key != "" && b.Key == key })
}

// spent tells whether a browser has used its budget up. Then it is like any other, until
// something is proven in it by the account's budget.
func (b *knownBrowser) spent(lockAfter int) bool { return sum(b.Failures) >= lockAfter }

// knownFor returns the browser of a key if it is known for a product, else nil.
func (r *attempts) knownFor(key string, p factors.Product, lockAfter int) *knownBrowser {
	i := r.browser(key)
	if as, ok := guessable(p); !ok || i < 0 || !slices.Contains(r.Browsers[i].Proven, as) || r.Browsers[i].spent(lockAfter) {
		return nil
	}
	return &r.Browsers[i]
}

// know makes a browser known for a product that was proven in it, and tells whether anything
// changed. When there are too many, the one gives way in which the fewest products were proven, of
// these the one in which anything was proven the longest ago: whoever has nothing but the password
// pushes out none in which more was proven, but for one.
func (r *attempts) know(key string, p factors.Product, lockAfter int) bool {
	as, ok := guessable(p)
	if key == "" || !ok {
		return false
	}
	b := knownBrowser{Key: key}
	if i := r.browser(key); i >= 0 {
		if !r.Browsers[i].spent(lockAfter) {
			b = r.Browsers[i]
		}
		r.Browsers = slices.Delete(r.Browsers, i, i+1)
	}
	if !slices.Contains(b.Proven, as) {
		b.Proven = append(b.Proven, as)
	}
	for len(r.Browsers) >= maxKnownBrowsers {
		least := slices.MinFunc(r.Browsers, func(x, y knownBrowser) int { return len(x.Proven) - len(y.Proven) }).Key
		r.Browsers = slices.DeleteFunc(r.Browsers, func(b knownBrowser) bool { return b.Key == least })
	}
	r.Browsers = append(r.Browsers, b)
	return true
}

// ForgetBrowsers takes all remembered devices and known browsers from a user but those of one
// browser: device is the value by which it is remembered, browser its id; both may be empty. It
// follows every change after which somebody else may hold one of the factors.
func (a *Accounts) ForgetBrowsers(ctx context.Context, userID, device, browser string) error {
	return errors.Join(a.forgetKnown(ctx, userID, browser), a.forgetDevices(ctx, userID, device))
}

func (a *Accounts) forgetKnown(ctx context.Context, userID, keep string) error {
	key := a.browserKey(userID, keep)
	other := func(b knownBrowser) bool { return b.Key != key }
	err := a.attempts.Update(ctx, userID, func(r *attempts, _ bool) (time.Time, error) {
		if !slices.ContainsFunc(r.Browsers, other) {
			return noExpiry, store.ErrNotFound
		}
		r.Browsers = slices.DeleteFunc(r.Browsers, other)
		return noExpiry, nil
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
