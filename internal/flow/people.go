package flow

import (
	"context"
	"errors"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/session"
	"github.com/stepgate/stepgate/internal/store"
)

// FindUser returns a user by id or by e-mail address, for administrators.
func (e *Engine) FindUser(ctx context.Context, name string) (account.User, error) {
	u, _, err := e.accounts.Get(ctx, name)
	if err == nil {
		return u, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return account.User{}, asError(err)
	}
	folded, err := account.FoldEmail(name)
	if err != nil {
		return account.User{}, ErrNotFound
	}
	u, _, err = e.accounts.ByEmail(ctx, folded)
	return u, asError(err)
}

// ListUsers returns users in the order of their ids, after the id after.
func (e *Engine) ListUsers(ctx context.Context, after string, limit int) ([]account.User, error) {
	list, err := e.accounts.List(ctx, after, limit)
	return list, asError(err)
}

// CreateUser makes an account at once. secret may be empty: the user then has no password.
func (e *Engine) CreateUser(ctx context.Context, n account.NewUser, secret string) (account.User, error) {
	var edit func(*account.User)
	if secret != "" {
		likely := account.User{Name: n.Name, Emails: []account.Email{{Address: n.Email}}}
		hash, err := e.newPassword(ctx, &likely, secret)
		if err != nil {
			return account.User{}, err
		}
		edit = func(u *account.User) { u.Password = &hash }
	}
	u, err := e.accounts.Create(ctx, n, edit)
	if errors.Is(err, account.ErrExists) {
		return account.User{}, ErrEmailTaken
	}
	if err != nil {
		return account.User{}, asError(err)
	}
	e.record(Visitor{}, audit.Event{Kind: audit.AccountCreated, UserID: u.ID, ByAdmin: true})
	return u, nil
}

// LockUser ends all sessions of a user and refuses every further sign-in.
func (e *Engine) LockUser(ctx context.Context, id string) error {
	_, err := e.accounts.Update(ctx, id, func(u *account.User, _ *store.Change) error {
		if !u.Locked() {
			u.LockedAt = e.db.Now()
		}
		return nil
	})
	if err != nil {
		return asError(err)
	}
	e.record(Visitor{}, audit.Event{Kind: audit.AccountLocked, UserID: id, ByAdmin: true})
	return e.endAll(ctx, id)
}

// endAll ends all sessions of a user and forgets all remembered devices.
func (e *Engine) endAll(ctx context.Context, id string) error {
	if err := e.sessions.RevokeAll(ctx, id, nil); err != nil {
		return asError(err)
	}
	return asError(e.accounts.ForgetDevices(ctx, id, ""))
}

// UnlockUser lifts the lock of an administrator and the lock after too many failures.
func (e *Engine) UnlockUser(ctx context.Context, id string) error {
	_, err := e.accounts.Update(ctx, id, func(u *account.User, c *store.Change) error {
		u.LockedAt = time.Time{}
		e.accounts.ClearAttempts(c, id)
		return nil
	})
	if err != nil {
		return asError(err)
	}
	e.record(Visitor{}, audit.Event{Kind: audit.AccountUnlocked, UserID: id, ByAdmin: true})
	return nil
}

// ResetFactor takes a factor from a user who lost it and ends the user's sessions. factor is
// a product: password or totp. It never gives the user another factor in its place.
func (e *Engine) ResetFactor(ctx context.Context, id string, factor factors.Product) error {
	u, _, err := e.accounts.Get(ctx, id)
	if err != nil {
		return asError(err)
	}
	var credential string
	switch {
	case factor == factors.Password && u.Password != nil:
		credential = account.PasswordID(id)
	case factor == factors.TOTP && u.TOTP != nil:
		credential = u.TOTP.ID
	default:
		return ErrNotFound
	}
	what, _, err := e.remove(ctx, id, credential, func(*account.User, ...string) error { return nil })
	if err != nil {
		return err
	}
	if err := e.accounts.ForgetFailures(ctx, id, factor, credential); err != nil {
		return asError(err)
	}
	if err := e.endAll(ctx, id); err != nil {
		return err
	}
	e.record(Visitor{}, audit.Event{Kind: audit.FactorRemoved, UserID: id, Factor: string(factor), ByAdmin: true})
	return e.notify(ctx, id, noticeFactorRemoved(what), Visitor{})
}

// DeleteUser removes a user with everything enrolled and ends all sessions.
func (e *Engine) DeleteUser(ctx context.Context, id string) error {
	if err := e.accounts.Delete(ctx, id); err != nil {
		return asError(err)
	}
	e.record(Visitor{}, audit.Event{Kind: audit.AccountDeleted, UserID: id, ByAdmin: true})
	return asError(e.sessions.RevokeAll(ctx, id, nil))
}

// UserSessions lists the live sessions of a user.
func (e *Engine) UserSessions(ctx context.Context, id string) ([]*session.Session, error) {
	list, err := e.sessions.List(ctx, id)
	return list, asError(err)
}

// RevokeUserSessions ends one session of a user, or all of them when sessionID is empty.
func (e *Engine) RevokeUserSessions(ctx context.Context, id, sessionID string) error {
	var err error
	if sessionID == "" {
		err = e.endAll(ctx, id)
	} else {
		err = e.sessions.Revoke(ctx, id, sessionID)
	}
	if err != nil {
		return asError(err)
	}
	e.record(Visitor{}, audit.Event{Kind: audit.SessionRevoked, UserID: id, Reason: sessionID, ByAdmin: true})
	return nil
}

// LockedUntil returns until when failures lock a user; zero when they do not.
func (e *Engine) LockedUntil(ctx context.Context, id string) (time.Time, error) {
	t, err := e.accounts.LockedUntil(ctx, id)
	return t, asError(err)
}
