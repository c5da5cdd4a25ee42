package flow

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/session"
	"github.com/stepgate/stepgate/internal/store"
)

// Find returns a user by id or by e-mail address.
func (a Administrator) Find(ctx context.Context, name string) (account.User, error) {
	u, _, err := a.e.accounts.Get(ctx, name)
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
	u, _, err = a.e.accounts.ByEmail(ctx, folded)
	return u, asError(err)
}

// List returns users in the order of their ids, after the id after.
func (a Administrator) List(ctx context.Context, after string, limit int) ([]account.User, error) {
	list, err := a.e.accounts.List(ctx, after, limit)
	return list, asError(err)
}

// Create makes an account at once. secret may be empty: the user then has no password.
func (a Administrator) Create(ctx context.Context, n account.NewUser, secret string) (account.User, error) {
	var edit func(*account.User)
	if secret != "" {
		likely := account.User{Name: n.Name, Emails: []account.Email{{Address: n.Email}}}
		hash, err := a.e.newPassword(ctx, &likely, secret)
		if err != nil {
			return account.User{}, err
		}
		edit = func(u *account.User) { u.Password = &hash }
	}
	u, err := a.e.accounts.Create(ctx, n, edit)
	if errors.Is(err, account.ErrExists) {
		return account.User{}, ErrEmailTaken
	}
	if err != nil {
		return account.User{}, asError(err)
	}
	a.record(audit.Event{Kind: audit.AccountCreated, UserID: u.ID})
	return u, nil
}

// Lock ends all sessions of a user and refuses every further sign-in. The last administrator
// cannot be locked.
func (a Administrator) Lock(ctx context.Context, id string) error {
	_, err := a.e.accounts.Update(ctx, id, func(u *account.User, c *store.Change) error {
		if err := a.mayLose(ctx, c, u); err != nil {
			return err
		}
		if !u.Locked() {
			u.LockedAt, u.LinksSince = a.e.db.Now(), a.e.db.Now()
		}
		return nil
	})
	if err != nil {
		return asError(err)
	}
	a.record(audit.Event{Kind: audit.AccountLocked, UserID: id})
	return a.e.endAll(ctx, id)
}

// endAll ends all sessions of a user and forgets all remembered devices and known browsers.
func (e *Engine) endAll(ctx context.Context, id string) error {
	ctx, done := consequences(ctx)
	defer done()
	if err := e.sessions.RevokeAll(ctx, id, nil); err != nil {
		return asError(err)
	}
	err := e.accounts.ForgetBrowsers(ctx, id, "", "")
	if errors.Is(err, store.ErrNotFound) {
		return nil // the user is gone, and the devices too
	}
	return asError(err)
}

// Unlock lifts the lock of an administrator and the lock after too many failures.
func (a Administrator) Unlock(ctx context.Context, id string) error {
	_, err := a.e.accounts.Update(ctx, id, func(u *account.User, c *store.Change) error {
		u.LockedAt = time.Time{}
		return a.e.accounts.Unlock(ctx, c, id)
	})
	if err != nil {
		return asError(err)
	}
	a.record(audit.Event{Kind: audit.AccountUnlocked, UserID: id})
	return nil
}

// SetGroups puts a user into these groups and no others. Groups that identity providers give
// are not touched. The last administrator stays one.
func (a Administrator) SetGroups(ctx context.Context, id string, groups []string) error {
	groups, err := account.CleanGroups(groups)
	if err != nil {
		return asError(err)
	}
	_, err = a.e.accounts.Update(ctx, id, func(u *account.User, c *store.Change) error {
		before := *u
		u.Groups = groups
		if !slices.Contains(groups, account.AdminGroup) {
			u.BreakGlass = nil // should the right return one day, the old codes do not
		}
		if u.Administers() {
			return nil
		}
		return a.mayLose(ctx, c, &before)
	})
	if err != nil {
		return asError(err)
	}
	a.record(audit.Event{Kind: audit.GroupsChanged, UserID: id})
	return nil
}

// SetClaims changes custom claims of a user; null takes one away. It returns the claims that
// administrators set, without those of identity providers.
func (a Administrator) SetClaims(ctx context.Context, id string, change map[string]any) (map[string]any, error) {
	u, err := a.e.accounts.Update(ctx, id, func(u *account.User, _ *store.Change) error {
		merged, err := account.MergeClaims(u.CustomClaims, change)
		u.CustomClaims = merged
		return err
	})
	if err != nil {
		return nil, asError(err)
	}
	a.record(audit.Event{Kind: audit.ClaimsChanged, UserID: id})
	return u.CustomClaims, nil
}

// ResetFactor takes a lost factor from a user and ends the user's sessions: a product of which
// the user has one, or the id of a credential. It never gives the user another one in its place.
func (a Administrator) ResetFactor(ctx context.Context, id, factor string) error {
	u, _, err := a.e.accounts.Get(ctx, id)
	if err != nil {
		return asError(err)
	}
	credential := factor
	switch {
	case factor == string(factors.Password) && u.Password != nil:
		credential = account.PasswordID(id)
	case factor == string(factors.TOTP) && u.TOTP != nil:
		credential = u.TOTP.ID
	}
	product := productOf(&u, credential)
	update := func(edit func(*account.User, *store.Change) error) error {
		_, err := a.e.accounts.Update(ctx, id, edit)
		return err
	}
	what, _, err := a.e.remove(update, credential, func(*account.User, ...string) error { return nil })
	if err != nil {
		return err
	}
	ctx, done := consequences(ctx)
	defer done()
	if err := a.e.accounts.ForgetFailures(ctx, id, product, credential); err != nil {
		return asError(err)
	}
	if err := a.e.endAll(ctx, id); err != nil {
		return err
	}
	a.record(audit.Event{Kind: audit.FactorRemoved, UserID: id, Factor: string(product), CredentialID: credential})
	return a.e.notify(ctx, id, noticeFactorRemoved(what), Visitor{}, addressGone(&u, credential)...)
}

// productOf is the product of a user's credential; empty when there is none with that id.
func productOf(u *account.User, credential string) factors.Product {
	for _, f := range u.Enrolled() {
		if f.ID == credential {
			return factors.Product(f.Name)
		}
	}
	if u.Password != nil && credential == account.PasswordID(u.ID) {
		return factors.Password // one that must be reset is not enrolled
	}
	return ""
}

// Delete removes a user with everything enrolled and ends all sessions. The last administrator
// cannot be deleted.
func (a Administrator) Delete(ctx context.Context, id string) error {
	err := a.e.accounts.Delete(ctx, id, func(u *account.User, c *store.Change) error { return a.mayLose(ctx, c, u) })
	if err != nil {
		return asError(err)
	}
	a.record(audit.Event{Kind: audit.AccountDeleted, UserID: id})
	return a.e.endAll(ctx, id)
}

// Sessions lists the live sessions of a user.
func (a Administrator) Sessions(ctx context.Context, id string) ([]*session.Session, error) {
	list, err := a.e.sessions.List(ctx, id)
	return list, asError(err)
}

// RevokeSession ends one session of a user.
func (a Administrator) RevokeSession(ctx context.Context, id, sessionID string) error {
	if err := a.e.sessions.Revoke(ctx, id, sessionID); err != nil {
		return asError(err)
	}
	a.record(audit.Event{Kind: audit.SessionRevoked, UserID: id, CredentialID: sessionID})
	return nil
}

// RevokeSessions ends all sessions of a user and forgets the remembered devices and known browsers.
func (a Administrator) RevokeSessions(ctx context.Context, id string) error {
	if err := a.e.endAll(ctx, id); err != nil {
		return err
	}
	a.record(audit.Event{Kind: audit.SessionRevoked, UserID: id, Reason: "all"})
	return nil
}

// LockedUntil returns until when failures lock a user; zero when they do not.
func (a Administrator) LockedUntil(ctx context.Context, id string) (time.Time, error) {
	t, err := a.e.accounts.LockedUntil(ctx, id)
	return t, asError(err)
}
