package flow

import (
	"context"
	"errors"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/password"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/store"
)

// lookup finds who an address belongs to. account is the key under which attempts are
// counted: the user, or the address when it belongs to nobody, so that both lock alike.
func (e *Engine) lookup(ctx context.Context, email string) (folded, key string, known bool, err error) {
	folded, err = account.FoldEmail(email)
	if err != nil {
		return "", "", false, asError(err)
	}
	u, _, err := e.accounts.ByEmail(ctx, folded)
	if errors.Is(err, store.ErrNotFound) {
		return folded, "nobody-" + e.accounts.EmailID(folded), false, nil
	}
	if err != nil {
		return "", "", false, asError(err)
	}
	return folded, u.ID, true, nil
}

// AuthenticatePassword proves the password of the account that has an e-mail address. In a
// session, the address must be one of the session's user.
func (e *Engine) AuthenticatePassword(ctx context.Context, v Visitor, email, secret string) (Result, error) {
	if !e.Offers(factors.Password) {
		return Result{}, ErrNotOffered
	}
	_, key, known, err := e.lookup(ctx, email)
	if err != nil {
		return Result{}, err
	}
	if v.Session != nil && known && key != v.Session.UserID {
		// The same work and the same count as for a wrong password, whoever the address
		// belongs to: the answer differs only for somebody who knows that password.
		return e.foreignPassword(ctx, v, key, secret)
	}
	at, err := e.takePassword(ctx, v, key, known)
	if err != nil {
		return Result{}, err
	}
	return e.AddProof(ctx, v, at, func(ctx context.Context) (candidate, error) {
		u, rev, err := e.accounts.Get(ctx, key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return candidate{}, err
		}
		now := e.db.Now()
		rehash, err := e.verifyPassword(ctx, u.Password, secret)
		if err != nil {
			return candidate{}, err
		}
		if u.Password.MustReset {
			return candidate{}, ErrResetPassword
		}
		c := candidate{user: u, rev: rev, proof: factors.Proof{
			Product: factors.Password, UserID: u.ID, CredentialID: account.PasswordID(u.ID), AuthenticatedAt: now,
		}}
		if rehash {
			fresh, err := e.hasher.New(ctx, secret, now)
			if err != nil {
				return candidate{}, err
			}
			fresh.CreatedAt = u.Password.CreatedAt
			c.user.Password, c.edited = &fresh, true
		}
		return c, nil
	})
}

// takePassword takes an attempt. A locked account answers like a wrong password, because
// whoever asks is not known yet.
func (e *Engine) takePassword(ctx context.Context, v Visitor, key string, known bool) (account.Attempt, error) {
	if err := e.accounts.MayTry(ctx, v.IP); err != nil {
		return account.Attempt{}, asError(err)
	}
	credential := ""
	if known {
		credential = account.PasswordID(key)
	}
	at, err := e.accounts.TakeAttempt(ctx, account.Try{
		Account: key, Known: known, Product: factors.Password, Credential: credential, Browser: v.Browser,
	})
	if errors.Is(err, account.ErrLocked) || errors.Is(err, account.ErrDisabled) {
		if v.Session != nil {
			return at, asError(err)
		}
		// Work as hard as for a wrong password, so that the lock cannot be timed.
		if _, err := e.verifyPassword(ctx, nil, "locked"); !errors.Is(err, ErrCredentials) {
			return at, asError(err)
		}
		return at, with(ErrCredentials, err, 0)
	}
	return at, asError(err)
}

func (e *Engine) verifyPassword(ctx context.Context, c *password.Credential, secret string) (rehash bool, err error) {
	rehash, err = e.hasher.Verify(ctx, c, secret)
	if errors.Is(err, factors.ErrIncorrect) || errors.Is(err, factors.ErrMalformed) {
		return false, with(ErrCredentials, err, 0)
	}
	return rehash, err
}

func (e *Engine) foreignPassword(ctx context.Context, v Visitor, owner, secret string) (Result, error) {
	at, err := e.takePassword(ctx, v, owner, true)
	if err != nil {
		return Result{}, err
	}
	u, _, err := e.accounts.Get(ctx, owner)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Result{}, asError(err)
	}
	if _, err := e.verifyPassword(ctx, u.Password, secret); err != nil {
		return Result{}, e.failed(ctx, v, at, err)
	}
	return Result{}, e.failed(ctx, v, at, ErrAnotherUser)
}

// CheckPassword judges a password that a user of the given account might choose. u may be
// nil for somebody who has no account yet.
func (e *Engine) CheckPassword(ctx context.Context, u *account.User, secret string) (password.Strength, error) {
	rules := password.Rules{Minimum: 15}
	var personal []string
	if u != nil {
		rules.Minimum = account.PasswordMinimum(u)
		personal = append(personal, u.Name)
		for _, m := range u.Emails {
			personal = append(personal, m.Address)
		}
	}
	s := password.Check(secret, rules, append(personal, e.opts.Issuer)...)
	if !s.Valid || e.breaches == nil {
		return s, nil
	}
	breached, err := e.breaches.Breached(ctx, secret)
	if err != nil {
		return s, err
	}
	if breached {
		s.Valid, s.Reason = false, "breached"
		s.Feedback = "This password is on a list of stolen passwords. Choose another one."
	}
	return s, nil
}

// newPassword checks and hashes a password.
func (e *Engine) newPassword(ctx context.Context, u *account.User, secret string) (password.Credential, error) {
	s, err := e.CheckPassword(ctx, u, secret)
	if err != nil {
		return password.Credential{}, asError(err)
	}
	if !s.Valid {
		return password.Credential{}, WeakPassword(s.Feedback)
	}
	c, err := e.hasher.New(ctx, secret, e.db.Now())
	return c, asError(err)
}

// SetPassword gives the visitor's account a new password and ends its other sessions.
func (e *Engine) SetPassword(ctx context.Context, v Visitor, secret string) error {
	if !e.Offers(factors.Password) {
		return ErrNotOffered
	}
	u, err := e.mayChange(ctx, v, account.PasswordMaxAge)
	if err != nil {
		return err
	}
	hash, err := e.newPassword(ctx, &u, secret)
	if err != nil {
		return err
	}
	if _, err := e.change(ctx, v, account.PasswordMaxAge, func(u *account.User, _ *store.Change) error {
		if u.Password != nil {
			hash.CreatedAt = u.Password.CreatedAt
		}
		u.Password, u.LinksSince = &hash, e.db.Now()
		return nil
	}); err != nil {
		return err
	}
	ctx, done := consequences(ctx)
	defer done()
	if err := e.sessions.RevokeAll(ctx, u.ID, v.Session); err != nil {
		return asError(err)
	}
	if err := e.accounts.ForgetBrowsers(ctx, u.ID, v.Device, v.Browser); err != nil {
		return asError(err)
	}
	e.record(v, audit.Event{Kind: audit.PasswordChanged})
	return e.notify(ctx, u.ID, noticePasswordChanged, v)
}
