package flow

import (
	"context"
	"errors"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/password"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/store"
)

// Invite prepares an account and mails a one-time link for it. The link is returned too, for
// an administrator who hands it over in person. origin is that of the site to sign in to.
func (a Administrator) Invite(ctx context.Context, origin string, n account.NewUser) (link string, t account.Ticket, err error) {
	if origin == "" {
		return "", account.Ticket{}, ErrNoOrigin
	}
	folded, err := account.FoldEmail(n.Email)
	if err != nil {
		return "", account.Ticket{}, asError(err)
	}
	groups, err := account.CleanGroups(n.Groups)
	if err != nil {
		return "", account.Ticket{}, asError(err)
	}
	if len(n.Name) > account.MaxName {
		return "", account.Ticket{}, ErrTooMany
	}
	if _, _, err := a.e.accounts.ByEmail(ctx, folded); err == nil {
		return "", account.Ticket{}, ErrEmailTaken
	} else if !errors.Is(err, store.ErrNotFound) {
		return "", account.Ticket{}, asError(err)
	}
	var c store.Change
	token, t, err := a.e.accounts.IssueTicket(&c, account.Ticket{
		Kind: account.InviteTicket, Email: folded, Name: n.Name, Groups: groups,
	})
	if err != nil {
		return "", account.Ticket{}, asError(err)
	}
	link = origin + "/.stepgate/invite/" + token
	m, err := delivery.Invite(delivery.Letter{
		To: folded, Name: n.Name, Site: a.e.opts.Issuer, Host: a.e.place(Visitor{Origin: origin}), Link: link, Life: t.Kind.Life(),
	})
	if err != nil {
		return "", account.Ticket{}, asError(err)
	}
	if err := a.e.send(ctx, c, m, t.ExpiresAt); err != nil {
		return "", account.Ticket{}, err
	}
	a.record(audit.Event{Kind: audit.InvitationIssued})
	return link, t, nil
}

// Setup returns a one-time link with which the first administrator makes an account. It is
// "" when there are users already.
func (e *Engine) Setup(ctx context.Context, origin string) (link string, err error) {
	empty, err := e.accounts.Empty(ctx)
	if err != nil || !empty {
		return "", asError(err)
	}
	var c store.Change
	token, _, err := e.accounts.IssueTicket(&c, account.Ticket{Kind: account.SetupTicket, Groups: []string{account.AdminGroup}})
	if err != nil {
		return "", asError(err)
	}
	if err := e.db.Apply(ctx, c); err != nil {
		return "", asError(err)
	}
	e.record(Visitor{}, audit.Event{Kind: audit.InvitationIssued, ByAdmin: true, Reason: "first_administrator"})
	return origin + "/.stepgate/invite/" + token, nil
}

// Invited returns what an invitation or set-up link stands for. An empty Email means that
// the person chooses one.
func (e *Engine) Invited(ctx context.Context, v Visitor, token string) (account.Ticket, error) {
	if err := e.accounts.MayTry(ctx, v.IP); err != nil {
		return account.Ticket{}, asError(err)
	}
	for _, kind := range []account.TicketKind{account.InviteTicket, account.SetupTicket} {
		t, err := e.accounts.Ticket(ctx, kind, token)
		if err == nil {
			return t, e.stillSetup(ctx, t)
		}
		if !errors.Is(err, store.ErrNotFound) {
			return account.Ticket{}, asError(err)
		}
	}
	if err := e.accounts.Failed(ctx, v.IP); err != nil {
		return account.Ticket{}, asError(err)
	}
	return account.Ticket{}, ErrLinkNotFound
}

// stillSetup refuses a set-up link once anybody has an account.
func (e *Engine) stillSetup(ctx context.Context, t account.Ticket) error {
	if t.Kind != account.SetupTicket {
		return nil
	}
	empty, err := e.accounts.Empty(ctx)
	if err != nil {
		return asError(err)
	}
	if !empty {
		return ErrLinkNotFound
	}
	return nil
}

// Acceptance is what a person enters when they follow an invitation.
type Acceptance struct {
	// Email is read only for a set-up link; an invitation has its own.
	Email    string
	Name     string
	Password string
}

// AcceptInvite makes the account of an invitation, with the password as its first factor,
// and signs its owner in with that factor alone. The link is spent in the same change.
func (e *Engine) AcceptInvite(ctx context.Context, v Visitor, token string, a Acceptance) (Result, error) {
	if v.Session != nil {
		return Result{}, ErrAnotherUser
	}
	t, err := e.Invited(ctx, v, token)
	if err != nil {
		return Result{}, err
	}
	n := account.NewUser{Email: t.Email, Name: a.Name, Groups: t.Groups, Verified: true}
	if t.Email == "" {
		n.Email = a.Email
	}
	if n.Name == "" {
		n.Name = t.Name
	}
	folded, err := account.FoldEmail(n.Email)
	if err != nil {
		return Result{}, asError(err)
	}
	likely := account.User{Name: n.Name, Emails: []account.Email{{Address: folded}}}
	hash, err := e.newPassword(ctx, &likely, a.Password)
	if err != nil {
		return Result{}, err
	}
	result, err := e.AddProof(ctx, v, account.Attempt{}, func(ctx context.Context) (candidate, error) {
		return e.acceptance(ctx, t.Kind, token, n, hash)
	})
	if err != nil {
		return Result{}, err
	}
	v.Session = result.Session
	e.record(v, audit.Event{Kind: audit.AccountCreated})
	return result, nil
}

func (e *Engine) acceptance(ctx context.Context, kind account.TicketKind, token string, n account.NewUser, hash password.Credential) (candidate, error) {
	t, err := e.accounts.Ticket(ctx, kind, token)
	if err == nil {
		err = e.stillSetup(ctx, t)
	}
	if errors.Is(err, store.ErrNotFound) {
		return candidate{}, ErrLinkNotFound
	}
	if err != nil {
		return candidate{}, err
	}
	var c candidate
	if err := e.accounts.SpendTicket(ctx, &c.change, kind, token); err != nil {
		return candidate{}, err
	}
	c.user, err = e.accounts.Add(ctx, &c.change, n, func(u *account.User) { u.Password = &hash })
	if errors.Is(err, account.ErrExists) {
		return candidate{}, ErrEmailTaken
	}
	if err != nil {
		return candidate{}, err
	}
	c.created = true
	c.proof = factors.Proof{
		Product: factors.Password, UserID: c.user.ID, CredentialID: account.PasswordID(c.user.ID), AuthenticatedAt: e.db.Now(),
	}
	return c, nil
}
