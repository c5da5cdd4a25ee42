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

const (
	// proofLife is how old a proof may be when it reaches AddProof. It only has to cover
	// the time between verifying and storing.
	proofLife = time.Minute
	// retries bounds how often a proof is verified again after losing a race for a record.
	retries = 50
)

// candidate is a verified proof with the state it was verified against. AddProof makes it
// count only if that state still holds.
type candidate struct {
	proof factors.Proof
	user  account.User
	rev   store.Rev // of user
	// created is set when change creates user.
	created bool
	// edited is set when user differs from what is stored and must be written.
	edited bool
	// change consumes the challenge.
	change store.Change
	// drop lists credentials whose older proofs no longer count.
	drop []string
}

// Result is what a successful proof gives.
type Result struct {
	Session *session.Session
	// Cookie is the new value of the session cookie.
	Cookie string
	// RecoveryCodes are shown to the user once; usually empty.
	RecoveryCodes []string
}

// AddProof is the only way to create or upgrade a session. verify checks what the visitor
// presented, against records whose revisions become conditions of one change; that change
// consumes the challenge, resets the count of failures, and writes the session. When one of
// the records changed meanwhile, verify runs again on the new state.
func (e *Engine) AddProof(ctx context.Context, v Visitor, at account.Attempt, verify func(context.Context) (candidate, error)) (Result, error) {
	for range retries {
		c, err := verify(ctx)
		if err != nil {
			return Result{}, e.failed(ctx, v, at, err)
		}
		issued, err := e.admit(ctx, v, at, &c)
		if err != nil {
			return Result{}, e.failed(ctx, v, at, err)
		}
		err = e.db.Apply(ctx, c.change)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return Result{}, asError(err)
		}
		return e.admitted(ctx, v, c, issued)
	}
	return Result{}, asError(store.ErrConflict)
}

// admit judges a candidate against the visitor's session and adds to its change everything
// that makes it count.
func (e *Engine) admit(ctx context.Context, v Visitor, at account.Attempt, c *candidate) (session.Issued, error) {
	if err := e.mayCount(v, c); err != nil {
		return session.Issued{}, err
	}
	c.proof.Browser = e.browserKey(v)
	c.proof.ForRules = e.required(v).OnceFor(session.Factor(c.proof))
	switch {
	case c.created:
	case c.edited:
		if err := e.accounts.Replace(&c.change, c.rev, c.user); err != nil {
			return session.Issued{}, err
		}
	default:
		e.accounts.Require(&c.change, c.user.ID, c.rev)
	}
	if err := e.accounts.Succeeded(ctx, &c.change, at, c.user.ID, c.proof.Product, v.Browser); err != nil {
		return session.Issued{}, err
	}
	if v.Session == nil {
		return e.sessions.Start(ctx, &c.change, c.proof, attributes(v))
	}
	issued, err := e.sessions.Upgrade(ctx, &c.change, v.Session, c.proof)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) {
		return session.Issued{}, ErrSessionChanged
	}
	return issued, err
}

// mayCount holds the rules of sequence and ownership.
func (e *Engine) mayCount(v Visitor, c *candidate) error {
	p, now := c.proof, e.db.Now()
	switch {
	case p.UserID == "" || p.UserID != c.user.ID || p.CredentialID == "":
		return ErrSequence
	case c.user.Locked():
		return refusedFor(p.Product)
	case p.AuthenticatedAt.After(now) || now.Sub(p.AuthenticatedAt) > proofLife:
		return ErrSequence
	case !e.Offers(p.Product) && (p.Product != factors.WebAuthn || !e.Offers(factors.Passkey)):
		return ErrNotOffered
	case v.Session == nil && !e.mayStart(p):
		return ErrSequence
	case v.Session != nil && v.Session.UserID != p.UserID:
		return ErrAnotherUser
	case v.Session != nil && v.Session.ReadOnly:
		return ErrSessionChanged
	}
	return nil
}

// mayStart tells whether a proof may start a session.
func (e *Engine) mayStart(p factors.Proof) bool {
	if p.Product == factors.WebAuthn && p.Discoverable && p.UserVerified && slices.Contains(e.opts.Primary, factors.Passkey) {
		return true
	}
	return p.Product.MayStart() && slices.Contains(e.opts.Primary, p.Product)
}

// refusedFor is the answer for a locked account: that of a wrong secret.
func refusedFor(p factors.Product) *Error {
	switch p {
	case factors.Password:
		return ErrCredentials
	case factors.TOTP:
		return ErrTOTPIncorrect
	case factors.RecoveryCode:
		return ErrRecoveryIncorrect
	case factors.MagicLink:
		return ErrLinkNotFound
	case factors.WebAuthn:
		return ErrKeyIncorrect
	case factors.OAuth:
		return ErrIdentityUnknown
	case factors.CryptoWallet:
		return ErrWalletIncorrect
	}
	return ErrOTPIncorrect
}

func (e *Engine) admitted(ctx context.Context, v Visitor, c candidate, issued session.Issued) (Result, error) {
	ctx, done := consequences(ctx)
	defer done()
	if c.edited || c.created {
		e.accounts.Changed(c.user.ID)
	}
	s, err := e.sessions.Issued(ctx, issued)
	if err != nil {
		return Result{}, asError(err)
	}
	if len(c.drop) > 0 {
		if err := e.sessions.Drop(ctx, c.user.ID, c.drop...); err != nil {
			return Result{}, asError(err)
		}
	}
	kind := audit.SessionStarted
	if v.Session != nil {
		kind = audit.SessionUpgraded
	}
	v.Session = s
	proven := audit.Event{Kind: audit.FactorProven, Factor: string(c.proof.Product), CredentialID: c.proof.CredentialID}
	e.record(v, proven)
	e.record(v, audit.Event{Kind: kind, Factor: string(c.proof.Product)})
	return Result{Session: s, Cookie: issued.Cookie}, nil
}

// failed counts and records a refusal, and tells the owner when it locked the account.
func (e *Engine) failed(ctx context.Context, v Visitor, at account.Attempt, err error) error {
	ctx, done := consequences(ctx)
	defer done()
	err = asError(err)
	var known *Error
	if !errors.As(err, &known) || known.Type == ErrUnavailable.Type || known.Type == ErrSessionChanged.Type {
		return err
	}
	if err := e.accounts.Failed(ctx, v.IP); err != nil {
		return asError(err)
	}
	e.record(v, audit.Event{Kind: audit.FactorRefused, UserID: at.Account(), Factor: string(at.Product()), Reason: known.Type})
	if at.Spent {
		e.record(v, audit.Event{Kind: audit.AttemptsLocked, UserID: at.Account(), Factor: string(at.Product()), Reason: "known_browser"})
	}
	if at.Locked {
		e.record(v, audit.Event{Kind: audit.AttemptsLocked, UserID: at.Account(), Factor: string(at.Product())})
		if err := e.notify(ctx, at.Account(), noticeLocked, v); err != nil {
			return asError(err)
		}
	}
	return err
}

func attributes(v Visitor) session.Attributes {
	a := session.Attributes{UserAgent: v.UserAgent}
	if v.IP.IsValid() {
		a.IPAddress = v.IP.String()
	}
	return a
}
