package flow

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/policy"
)

// mayChange returns the visitor's account if the session may change its factors now. The
// refusal carries the requirement that would let it.
func (e *Engine) mayChange(ctx context.Context, v Visitor, maxAge time.Duration) (account.User, error) {
	u, _, err := e.user(ctx, v)
	if err != nil {
		return account.User{}, err
	}
	return u, e.mayChangeUser(v, &u, maxAge)
}

// mayChangeUser is mayChange for the account of a signed-in visitor as it is in u.
func (e *Engine) mayChangeUser(v Visitor, u *account.User, maxAge time.Duration) error {
	if v.Session.ReadOnly {
		return ErrSessionChanged
	}
	err := account.MayChangeFactors(u, v.Session.Subject().Factors, maxAge, e.db.Now())
	return e.needs(u, maxAge, err)
}

// edit changes the account of a signed-in visitor, provided that at the moment when the change is
// written the session goes on and the account is not locked: it was neither ended nor rotated
// away since the visitor was let in.
func (e *Engine) edit(ctx context.Context, v Visitor, edit func(*account.User, *store.Change) error) (account.User, error) {
	if v.Session == nil {
		return account.User{}, ErrNoSession
	}
	u, err := e.accounts.Update(ctx, v.Session.UserID, func(u *account.User, c *store.Change) error {
		err := e.sessions.Require(ctx, c, v.Session)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return ErrSessionChanged
		case err != nil:
			return err
		case u.Locked():
			return ErrNoSession
		}
		return edit(u, c)
	})
	return u, asError(err)
}

// change is edit for factors: whether the session may change them is judged against the account
// as it is when the change is written.
func (e *Engine) change(ctx context.Context, v Visitor, maxAge time.Duration, edit func(*account.User, *store.Change) error) (account.User, error) {
	return e.edit(ctx, v, func(u *account.User, c *store.Change) error {
		if err := e.mayChangeUser(v, u, maxAge); err != nil {
			return err
		}
		return edit(u, c)
	})
}

// mayEnrol is mayChange for a factor that makes the account stronger.
func (e *Engine) mayEnrol(ctx context.Context, v Visitor) (account.User, error) {
	u, err := e.mayChange(ctx, v, account.ChangeMaxAge)
	if err != nil {
		return account.User{}, err
	}
	return u, asError(account.MayAddSecond(&u))
}

// MayChange tells whether the visitor may change factors now; the refusal says what for.
func (e *Engine) MayChange(ctx context.Context, v Visitor) error {
	_, err := e.mayChange(ctx, v, account.ChangeMaxAge)
	return err
}

// needs turns a refused change into the answer that says what would allow it.
func (e *Engine) needs(u *account.User, maxAge time.Duration, err error) error {
	if err == nil {
		return nil
	}
	if !errors.Is(err, account.ErrCombination) && !errors.Is(err, account.ErrStale) {
		return asError(err)
	}
	required, perr := e.changeRequirement(u, maxAge)
	if perr != nil {
		return asError(perr)
	}
	kind, detail := "stale_factors", "Confirm it's you first: your last proof is too long ago for this change."
	if errors.Is(err, account.ErrCombination) {
		kind, detail = "insufficient_factors", "Confirm it's you first: this change needs two different proofs."
	}
	return &Error{Type: kind, Status: 401, Detail: detail, Required: required, cause: err}
}

// RemoveFactor removes one credential from the visitor's account. An authenticator app goes
// together with its recovery codes. One without which the user could no longer meet a rule goes
// only when that is confirmed; the last way in never does.
func (e *Engine) RemoveFactor(ctx context.Context, v Visitor, id string, confirmed bool) error {
	u, err := e.mayChange(ctx, v, account.ChangeMaxAge)
	if err != nil {
		return err
	}
	update := func(edit func(*account.User, *store.Change) error) error {
		_, err := e.change(ctx, v, account.ChangeMaxAge, edit)
		return err
	}
	what, gone, err := e.remove(update, id, func(u *account.User, without ...string) error {
		if err := account.MayRemove(u, e.opts.Primary, without...); err != nil || confirmed {
			return err
		}
		return neededBy(account.NeededBy(u, e.demands(), without...))
	})
	if err != nil {
		return err
	}
	ctx, done := consequences(ctx)
	defer done()
	if err := e.sessions.Drop(ctx, u.ID, gone...); err != nil {
		return asError(err)
	}
	if err := e.accounts.ForgetBrowsers(ctx, u.ID, v.Device, v.Browser); err != nil {
		return asError(err)
	}
	e.record(v, audit.Event{Kind: audit.FactorRemoved, CredentialID: id})
	return e.notify(ctx, u.ID, noticeFactorRemoved(what), v, addressGone(&u, id)...)
}

// addressGone is the proven address that a removal takes away: whoever reads it is told too, as
// the last to be able to notice.
func addressGone(u *account.User, id string) []string {
	if m := u.Email(id); m != nil && m.Verified {
		return []string{m.Address}
	}
	return nil
}

// remove takes a credential from the user that update edits, if allowed agrees. It returns what
// the thing is called and the credentials that are gone.
func (e *Engine) remove(update func(func(*account.User, *store.Change) error) error, id string, allowed func(*account.User, ...string) error) (what string, gone []string, err error) {
	err = update(func(u *account.User, c *store.Change) error {
		gone = []string{id}
		what = called(u, id)
		switch {
		case u.TOTP != nil && u.TOTP.ID == id:
			gone = append(gone, account.RecoveryID(u.ID))
			gone = append(gone, u.Recovery.IDs()...)
			if err := allowed(u, gone...); err != nil {
				return err
			}
			u.TOTP, u.PendingTOTP, u.Recovery = nil, nil, nil
			return nil
		case u.Password != nil && id == account.PasswordID(u.ID):
			if err := allowed(u, id); err != nil {
				return err
			}
			u.Password = nil
			return nil
		case what == "":
			return store.ErrNotFound
		case u.Email(id) != nil && len(u.Emails) == 1:
			return account.ErrLastWayIn
		}
		if err := allowed(u, id); err != nil {
			return err
		}
		e.accounts.Remove(c, u, id)
		return nil
	})
	return what, gone, asError(err)
}

// demands are what all policies in force ask for.
func (e *Engine) demands() []policy.Demand {
	var out []policy.Demand
	for _, p := range e.policies() {
		out = append(out, p.Demands()...)
	}
	return out
}

// NeededBy names the rules that the visitor could no longer meet without a credential.
func (e *Engine) NeededBy(ctx context.Context, v Visitor, id string) ([]string, error) {
	u, err := e.User(ctx, v)
	if err != nil {
		return nil, err
	}
	without := []string{id}
	if u.TOTP != nil && u.TOTP.ID == id {
		without = append(without, account.RecoveryID(u.ID))
	}
	return account.NeededBy(&u, e.demands(), without...), nil
}

// called is what notices call a credential of u; empty when there is none with that id.
func called(u *account.User, id string) string {
	switch {
	case u.TOTP != nil && u.TOTP.ID == id:
		return "your authenticator app"
	case u.Password != nil && id == account.PasswordID(u.ID):
		return "your password"
	case u.Email(id) != nil:
		return "the e-mail address " + u.Email(id).Address
	case u.Phone(id) != nil:
		return "the phone number " + u.Phone(id).Number
	case u.Key(id) != nil:
		return "the passkey or security key “" + u.Key(id).Name + "”"
	case u.Identity(id) != nil:
		return "sign-in with " + u.Identity(id).Provider
	case u.Wallet(id) != nil:
		return "the wallet " + u.Wallet(id).Address
	}
	return ""
}

// Rename changes the visitor's display name.
func (e *Engine) Rename(ctx context.Context, v Visitor, name string) error {
	if len(name) > account.MaxName {
		return ErrTooMany
	}
	_, err := e.edit(ctx, v, func(u *account.User, _ *store.Change) error {
		u.Name = name
		return nil
	})
	return err
}

// MakePrimary makes a verified address of the visitor the one that apps are told.
func (e *Engine) MakePrimary(ctx context.Context, v Visitor, id string) error {
	u, err := e.mayChange(ctx, v, account.ChangeMaxAge)
	if err != nil {
		return err
	}
	_, err = e.change(ctx, v, account.ChangeMaxAge, func(u *account.User, _ *store.Change) error {
		i := slices.IndexFunc(u.Emails, func(m account.Email) bool { return m.ID == id && m.Verified })
		if i < 0 {
			return store.ErrNotFound
		}
		chosen := u.Emails[i]
		u.Emails = append([]account.Email{chosen}, slices.Delete(slices.Clone(u.Emails), i, i+1)...)
		return nil
	})
	if err != nil {
		return err
	}
	return e.notify(ctx, u.ID, notice{kind: delivery.NoticeMainAddress, detail: u.Email(id).Address}, v)
}
