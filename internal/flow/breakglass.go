package flow

import (
	"context"
	"errors"
	"slices"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/recovery"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/store"
)

// Break-glass codes are the last resort of an administrator who has lost everything else, or whose
// mail, telephone and identity provider are down: printed, kept in a safe, each for one use. A code
// is no factor and opens no session. It empties the account of whatever may be in other hands and
// lets its holder choose a new password; everything that rules ask for beyond a password has to be
// set up again. Its use raises an alarm.

// BreakGlassCodes gives an administrator a new set of codes in the place of an older one. They are
// returned once, in plain text. ErrNoAdministrator means that the user is none.
func (a Administrator) BreakGlassCodes(ctx context.Context, id string) ([]string, error) {
	if !a.e.Offers(factors.Password) {
		return nil, ErrNotOffered
	}
	codes, set, err := recovery.New(a.e.rand, a.e.db.Now())
	if err != nil {
		return nil, asError(err)
	}
	_, err = a.e.accounts.Update(ctx, id, func(u *account.User, _ *store.Change) error {
		if !u.Administers() {
			return ErrNoAdministrator
		}
		u.BreakGlass = &set
		return nil
	})
	if err != nil {
		return nil, asError(err)
	}
	a.record(audit.Event{Kind: audit.BreakGlassIssued, UserID: id})
	return codes, nil
}

// RevokeBreakGlass makes all codes of a user useless.
func (a Administrator) RevokeBreakGlass(ctx context.Context, id string) error {
	_, err := a.e.accounts.Update(ctx, id, func(u *account.User, _ *store.Change) error {
		u.BreakGlass = nil
		return nil
	})
	if err != nil {
		return asError(err)
	}
	a.record(audit.Event{Kind: audit.BreakGlassRevoked, UserID: id})
	return nil
}

// BreakGlass spends a code of the user who has an address, and returns the token of a link with
// which a new password is set. Every other factor of the user is gone then, other addresses too,
// all sessions are ended and all devices forgotten; the owner and every administrator are told. The refusal is the same
// whether or not the address belongs to an administrator.
func (e *Engine) BreakGlass(ctx context.Context, v Visitor, email, code string) (token string, err error) {
	if err := e.accounts.MayTry(ctx, v.IP); err != nil {
		return "", asError(err)
	}
	if !recovery.WellFormed(code) {
		return "", ErrInvalidRecoveryCode
	}
	folded, id, known, err := e.lookup(ctx, email)
	if err != nil {
		return "", err
	}
	if known {
		token, err = e.breakGlass(ctx, id, folded, code)
	}
	if !known || errors.Is(err, ErrBreakGlass) {
		e.record(v, audit.Event{Kind: audit.BreakGlassRefused, Reason: ErrBreakGlass.Type})
		if err := e.accounts.Failed(ctx, v.IP); err != nil {
			return "", asError(err)
		}
		return "", ErrBreakGlass
	}
	if err != nil {
		return "", asError(err)
	}
	// The code is spent and the account emptied: whatever else fails, its holder must get on.
	e.brokenGlass(ctx, v, id, folded)
	return token, nil
}

// breakGlass spends the code and empties the account, in one change.
func (e *Engine) breakGlass(ctx context.Context, id, folded, code string) (token string, err error) {
	_, err = e.accounts.Update(ctx, id, func(u *account.User, c *store.Change) error {
		if u.BreakGlass == nil || !u.Administers() {
			return ErrBreakGlass
		}
		used, err := u.BreakGlass.Verify(code)
		if err != nil {
			return with(ErrBreakGlass, err, 0)
		}
		left := recovery.Set{CreatedAt: u.BreakGlass.CreatedAt, Codes: slices.DeleteFunc(slices.Clone(u.BreakGlass.Codes), func(c recovery.Code) bool { return c.ID == used })}
		u.BreakGlass = &left
		for _, f := range u.Enrolled() {
			if u.Email(f.ID) == nil {
				e.accounts.Remove(c, u, f.ID)
			}
		}
		for _, m := range u.Emails {
			if m.Address != folded { // an intruder may have added it
				e.accounts.Remove(c, u, m.ID)
			}
		}
		u.Password, u.TOTP, u.PendingTOTP, u.Recovery, u.LinksSince = nil, nil, nil, nil, e.db.Now()
		e.accounts.ClearAttempts(c, id)
		token, _, err = e.accounts.IssueTicket(c, account.Ticket{Kind: account.RecoverTicket, UserID: id, Email: u.PrimaryEmail().Address})
		return err
	})
	return token, err
}

// brokenGlass ends what the old factors had opened, and raises the alarm. What fails is recorded
// and stops nothing else.
func (e *Engine) brokenGlass(ctx context.Context, v Visitor, id, address string) {
	ctx, done := consequences(ctx)
	defer done()
	e.record(v, audit.Event{Kind: audit.BreakGlassUsed, UserID: id})
	problems := []error{e.endAll(ctx, id)}
	administrators, err := e.accounts.Administrators(ctx)
	problems = append(problems, err)
	told := append([]string{id}, slices.DeleteFunc(administrators, func(one string) bool { return one == id })...)
	for _, one := range told {
		problems = append(problems, e.notify(ctx, one, noticeBreakGlass(address), v))
	}
	if errors.Join(problems...) != nil {
		e.record(v, audit.Event{Kind: audit.BreakGlassUsed, UserID: id, Reason: "consequences_failed"})
	}
}
