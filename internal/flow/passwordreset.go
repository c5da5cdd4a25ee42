package flow

import (
	"context"
	"errors"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/store"
)

// StartReset mails a link for a new password, if the address belongs to an account. The
// answer is the same when it does not.
func (e *Engine) StartReset(ctx context.Context, v Visitor, email string) error {
	if !e.Offers(factors.Password) {
		return ErrNotOffered
	}
	if v.Origin == "" {
		return ErrNoOrigin
	}
	folded, key, known, err := e.lookup(ctx, email)
	if err != nil {
		return err
	}
	if err := e.accounts.TakeSend(ctx, folded, v.IP); err != nil {
		return asError(err)
	}
	t := account.Ticket{Kind: account.ResetTicket, UserID: key, Email: folded}
	useful := known
	if known {
		u, _, err := e.accounts.Get(ctx, key)
		if err != nil {
			return asError(err)
		}
		useful = !u.Locked()
	}
	if !useful {
		t.UserID = "" // nobody's: it is stored so that an unknown address costs what a known one does
	}
	var c store.Change
	token, t, err := e.accounts.IssueTicket(&c, t)
	if err != nil {
		return asError(err)
	}
	link := v.Origin + "/.stepgate/password/reset/" + token
	m, err := delivery.PasswordReset(delivery.Letter{To: folded, Site: e.opts.Issuer, Host: e.place(v), Link: link, Life: t.ExpiresAt.Sub(t.CreatedAt)})
	if err != nil {
		return asError(err)
	}
	if !useful {
		return asError(e.db.Apply(ctx, c))
	}
	return e.send(ctx, c, m, t.ExpiresAt)
}

// ResetLink returns a one-time link with which a user sets a new password, for somebody who can
// get no mail any more. The administrator hands it over in person. It signs nobody in, proves no
// mailbox, and leaves every other factor as it is.
func (a Administrator) ResetLink(ctx context.Context, origin, id string) (link string, t account.Ticket, err error) {
	if !a.e.Offers(factors.Password) {
		return "", account.Ticket{}, ErrNotOffered
	}
	if origin == "" {
		return "", account.Ticket{}, ErrNoOrigin
	}
	u, rev, err := a.e.accounts.Get(ctx, id)
	if err != nil {
		return "", account.Ticket{}, asError(err)
	}
	var c store.Change
	a.e.accounts.Require(&c, id, rev)
	token, t, err := a.e.accounts.IssueTicket(&c, account.Ticket{Kind: account.RecoverTicket, UserID: id, Email: u.PrimaryEmail().Address})
	if err != nil {
		return "", account.Ticket{}, asError(err)
	}
	if err := a.e.db.Apply(ctx, c); err != nil {
		return "", account.Ticket{}, asError(err)
	}
	a.record(audit.Event{Kind: audit.ResetLinkIssued, UserID: id})
	return origin + "/.stepgate/password/reset/" + token, t, a.e.notify(ctx, id, noticeResetLink, Visitor{Origin: origin})
}

// Reset sets a new password by a link. It signs nobody in, ends all sessions of the user,
// and proves the mailbox that the link was mailed to.
func (e *Engine) Reset(ctx context.Context, v Visitor, token, secret string) error {
	if err := e.accounts.MayTry(ctx, v.IP); err != nil {
		return asError(err)
	}
	t, err := e.resetTicket(ctx, v, token)
	if err != nil {
		return err
	}
	u, _, err := e.accounts.Get(ctx, t.UserID)
	if errors.Is(err, store.ErrNotFound) || err == nil && !account.MayReset(&u, &t) {
		return ErrLinkNotFound
	}
	if err != nil {
		return asError(err)
	}
	hash, err := e.newPassword(ctx, &u, secret)
	if err != nil {
		return err
	}
	_, err = e.accounts.Update(ctx, t.UserID, func(u *account.User, c *store.Change) error {
		if err := e.accounts.SpendTicket(ctx, c, t.Kind, token); err != nil {
			return err
		}
		if !account.MayReset(u, &t) {
			return store.ErrNotFound
		}
		if t.Kind == account.ResetTicket {
			verify(u, e.accounts.EmailID(t.Email), e.db.Now())
		}
		u.Password, u.LinksSince = &hash, e.db.Now()
		return nil
	})
	if errors.Is(err, store.ErrNotFound) {
		return ErrLinkNotFound
	}
	if err != nil {
		return asError(err)
	}
	ctx, done := consequences(ctx)
	defer done()
	if err := e.accounts.ForgetFailures(ctx, t.UserID, factors.Password, account.PasswordID(t.UserID)); err != nil {
		return asError(err)
	}
	if err := e.endAll(ctx, t.UserID); err != nil {
		return err
	}
	e.record(Visitor{IP: v.IP}, audit.Event{Kind: audit.PasswordReset, UserID: t.UserID})
	return e.notify(ctx, t.UserID, noticePasswordChanged, v)
}

// ResetTarget returns the address that a reset link was mailed to, and how many characters
// the new password must have.
func (e *Engine) ResetTarget(ctx context.Context, v Visitor, token string) (email string, minimum int, err error) {
	t, err := e.resetTicket(ctx, v, token)
	if err != nil {
		return "", 0, err
	}
	u, _, err := e.accounts.Get(ctx, t.UserID)
	if errors.Is(err, store.ErrNotFound) || err == nil && !account.MayReset(&u, &t) {
		return "", 0, ErrLinkNotFound
	}
	return t.Email, account.PasswordMinimum(&u), asError(err)
}

// resetTicket looks a link for a new password up; guesses count against the client's network.
func (e *Engine) resetTicket(ctx context.Context, v Visitor, token string) (account.Ticket, error) {
	for _, kind := range []account.TicketKind{account.ResetTicket, account.RecoverTicket} {
		t, err := e.accounts.Ticket(ctx, kind, token)
		if !errors.Is(err, store.ErrNotFound) {
			return t, asError(err)
		}
	}
	if err := e.accounts.Failed(ctx, v.IP); err != nil {
		return account.Ticket{}, asError(err)
	}
	return account.Ticket{}, ErrLinkNotFound
}

// verify marks an address of u as proven.
func verify(u *account.User, emailID string, now time.Time) {
	if m := u.Email(emailID); m != nil && !m.Verified {
		m.Verified, m.VerifiedAt = true, now
	}
}
