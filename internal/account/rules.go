package account

import (
	"errors"
	"slices"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/policy"
)

var (
	// ErrCombination means that changing factors needs a secure combination, which the
	// session does not hold although the user could reach one.
	ErrCombination = errors.New("changing factors needs a secure combination")
	// ErrStale means that no factor of the session is fresh enough for the change.
	ErrStale = errors.New("no factor is fresh enough for this change")
	// ErrEmailNotVerified means that a user with a password must prove the e-mail address
	// before a second factor can be added.
	ErrEmailNotVerified = errors.New("the e-mail address is not verified")
	// ErrUnreachable means that a user must prove a mailbox or a phone number before a
	// WebAuthn credential can be added.
	ErrUnreachable = errors.New("no e-mail address or phone number is verified")
	// ErrLastWayIn means that a removal would leave no way to start a session.
	ErrLastWayIn = errors.New("this is the last way to sign in")
)

const (
	// ChangeMaxAge is how old the freshest factor may be when factors are changed.
	ChangeMaxAge = time.Hour
	// PasswordMaxAge is how old it may be when a password is set without the old one.
	PasswordMaxAge = 5 * time.Minute
)

// CanCombine tells whether what a user has enrolled could form a secure combination. It does
// not matter on which site, or whether a factor is switched off for a while: otherwise that
// would be the hour to take an account over with one factor.
func CanCombine(u *User) bool { return policy.SecureCombination(u.Enrolled()) }

// Fresh tells whether any proven factor is at most maxAge old.
func Fresh(proven []policy.Factor, maxAge time.Duration, now time.Time) bool {
	return slices.ContainsFunc(proven, func(f policy.Factor) bool { return now.Sub(f.At) <= maxAge })
}

// MayChangeFactors decides whether a session with the factors proven may add, change or
// remove factors of u: it needs a secure combination when the user can reach one, and one
// factor at most maxAge old. The error is ErrCombination or ErrStale.
func MayChangeFactors(u *User, proven []policy.Factor, maxAge time.Duration, now time.Time) error {
	if CanCombine(u) && !policy.SecureCombination(proven) {
		return ErrCombination
	}
	if !Fresh(proven, maxAge, now) {
		return ErrStale
	}
	return nil
}

// MayAddSecond decides whether u may be given a second factor at all. Otherwise somebody
// who registered a stranger's address could bind their own authenticator to it.
func MayAddSecond(u *User) error {
	if u.Password != nil && !u.HasVerifiedEmail() {
		return ErrEmailNotVerified
	}
	return nil
}

// MayAddKey decides whether u may be given a WebAuthn credential: there must be a proven way
// to reach the owner, for notices and for the day that the device is lost.
func MayAddKey(u *User) error {
	if err := MayAddSecond(u); err != nil {
		return err
	}
	if !u.HasVerifiedEmail() && len(u.Phones) == 0 {
		return ErrUnreachable
	}
	return nil
}

// MayRemove decides whether u would still have a way in after the credentials in without
// are gone. primary are the products that may start a session.
func MayRemove(u *User, primary []factors.Product, without ...string) error {
	for _, f := range u.Enrolled() {
		if slices.Contains(without, f.ID) {
			continue
		}
		if startsSession(f, primary) {
			return nil
		}
	}
	return ErrLastWayIn
}

// startsSession tells whether an enrolled factor is a way in.
func startsSession(f policy.Factor, primary []factors.Product) bool {
	p := factors.Product(f.Name)
	if p == factors.WebAuthn && f.Discoverable && f.UserVerified && slices.Contains(primary, factors.Passkey) {
		return true
	}
	return p.MayStart() && slices.Contains(primary, p)
}

// MayReset decides whether a link for a new password still works for u: the account is not
// locked, no password was set and no glass broken since the link was made, and a mailed link went
// to an address that u still has.
func MayReset(u *User, t *Ticket) bool {
	mailed := t.Kind == ResetTicket
	return !u.Locked() && !t.CreatedAt.Before(u.LinksSince) &&
		(!mailed || slices.ContainsFunc(u.Emails, func(m Email) bool { return m.Address == t.Email }))
}

// PasswordMinimum is the shortest password that u may have: 15 characters when it is the
// only factor in use, else 8 (NIST SP 800-63B-4, section 3.1.1.2).
func PasswordMinimum(u *User) int {
	for _, f := range u.Enrolled() {
		if policy.CategoryOf(f.Name) != policy.Knowledge && policy.CategoryOf(f.Name) != policy.EmailOrAccount {
			return 8
		}
	}
	return 15
}

// LocksPassword decides whether proving the mailbox of e, outside any session, must lock
// the password: it was set by somebody who never proved the mailbox.
func LocksPassword(u *User, e *Email) bool {
	return u.Password != nil && !u.HasVerifiedEmail() && !e.Verified
}
