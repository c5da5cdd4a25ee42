package flow

import (
	"context"

	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/session"
)

// SignOut ends the visitor's session.
func (e *Engine) SignOut(ctx context.Context, v Visitor) error {
	if v.Session == nil {
		return nil
	}
	return e.RevokeSession(ctx, v, v.Session.ID)
}

// RevokeSession ends one session of the visitor's user.
func (e *Engine) RevokeSession(ctx context.Context, v Visitor, id string) error {
	if v.Session == nil {
		return ErrNoSession
	}
	if err := e.sessions.Revoke(ctx, v.Session.UserID, id); err != nil {
		return asError(err)
	}
	e.record(v, audit.Event{Kind: audit.SessionRevoked, CredentialID: id})
	return nil
}

// RevokeOtherSessions ends all sessions of the visitor's user but this one, and forgets all
// remembered devices and known browsers but this one.
func (e *Engine) RevokeOtherSessions(ctx context.Context, v Visitor) error {
	if v.Session == nil {
		return ErrNoSession
	}
	ctx, done := consequences(ctx)
	defer done()
	if err := e.sessions.RevokeAll(ctx, v.Session.UserID, v.Session); err != nil {
		return asError(err)
	}
	if err := e.accounts.ForgetBrowsers(ctx, v.Session.UserID, v.Device, v.Browser); err != nil {
		return asError(err)
	}
	e.record(v, audit.Event{Kind: audit.SessionRevoked, Reason: "all_others"})
	return nil
}

// Sessions lists the live sessions of the visitor's user, the most recently used first.
func (e *Engine) Sessions(ctx context.Context, v Visitor) ([]*session.Session, error) {
	if v.Session == nil {
		return nil, ErrNoSession
	}
	list, err := e.sessions.List(ctx, v.Session.UserID)
	return list, asError(err)
}
